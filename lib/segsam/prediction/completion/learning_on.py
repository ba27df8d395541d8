"""Learning on: from the labelled cases of one name to a start for the next case.

    label (i, j, k) --LabelledObject.of--> lessons of one case
    lessons of several cases --learn_on--> CarriedState, or None if the parent is as good

The newest case is held out, or every second slice of the only one: what the others teach has to
draw it better than the parent does. Then it teaches as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.model import SegSam
from segsam.prediction.completion.adaptation import (
    Course,
    Lesson,
    adapt,
    towards,
    with_weights,
)
from segsam.prediction.completion.carried import CarriedState, Gain
from segsam.prediction.completion.drawing import to_picture
from segsam.prediction.completion.self_check import Test, score
from segsam.prediction.decoding import SliceDecoder

MOST_CASES = 4
"""Cases that are learnt from, the newest ones."""
SLICES_OF_CASE = 8
"""Slices of a case that teach: each may have to be encoded."""
FEWEST_SLICES = 4
"""Slices of the only case, half of which are held out."""
CHECK_STEPS, FINAL_STEPS = 40, 20
_RATE = 2e-4
_STRENGTHS = (0.5, 0.75, 1.0)
"""Shares of the way from the parent to what was learnt; what is held out chooses one of them."""
_GAIN = 0.01
"""Least gain in Dice on what was held out."""


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """Object with one name in one case: lessons of some of its slices, in ascending order."""

    case: str
    annotator: str
    lessons: tuple[Lesson, ...]

    @classmethod
    def of(
        cls,
        slices: SliceDecoder,
        labels: NDArray[np.integer[Any]],
        value: int,
        *,
        case: str,
        annotator: str = "",
        indices: Sequence[int] = (),
        before_slice: Callable[[], None] = lambda: None,
    ) -> LabelledObject:
        """Return the object with a value in a label (i, j, k).

        It is learnt from on the slices with these indices that show it; without any, on some that
        are spread over it evenly. `before_slice` is called before each slice, which may have to be
        encoded; it may wait, or raise to end it.
        """
        view, lessons = slices.view, []
        others = tuple(number for number in range(3) if number != view.axis)
        shown = np.flatnonzero((labels == value).any(axis=others))
        for index in _spread(shown) if not indices else np.intersect1d(shown, indices).tolist():
            before_slice()
            mask = to_picture(view, view.cut(labels, index) == value)
            lessons.append(Lesson(slices.features(index, background=True), mask, mask))
        return cls(case, annotator, tuple(lessons))


def learn_on(
    model: SegSam,
    parent: str,
    name: str,
    objects: Sequence[LabelledObject],
    *,
    previous: CarriedState | None = None,
    created: str = "",
    after_step: Callable[[], None] = lambda: None,
) -> tuple[CarriedState | None, Gain]:
    """Return what the objects teach, if on what is held out it is better than the parent and no
    worse than what was learnt before, and the Dice of parent and lesson there.

    Args:
        model: the parent, which is only read.
        parent: its identifier.
        name: of the structure.
        objects: those with this name, the newest last.
        previous: what was learnt before. One of another parent, or one that has learnt from the
            newest case, is not compared with.
        created: time in UTC, ISO 8601.
        after_step: called after each step; may wait, or raise to end it.
    """
    objects = [one for one in objects if one.lessons][-MOST_CASES:]
    taught, held_out = _divided(objects)
    if not taught or not held_out:
        return None, Gain(0.0, 0.0)
    learnt = adapt(model, taught, Course(CHECK_STEPS, _RATE), after_step=after_step)
    tests = [Test(lesson, None) for lesson in held_out]
    before = score(model, tests).mean
    by_strength = {
        share: score(with_weights(model, towards(model, learnt, share)), tests).mean
        for share in _STRENGTHS
    }
    strength = max(by_strength, key=lambda share: by_strength[share])
    gain = Gain(before, by_strength[strength])
    least = before + _GAIN
    is_comparable = previous is not None and previous.parent == parent
    if previous is not None and is_comparable and objects[-1].case not in previous.cases:
        least = max(least, score(with_weights(model, previous.learnt), tests).mean)
    if gain.after < least:
        return None, gain
    course = Course(FINAL_STEPS, _RATE)
    final = adapt(model, [*taught, *held_out], course, start=learnt, seed=1, after_step=after_step)
    return CarriedState(
        parent,
        towards(model, final, strength),
        name,
        tuple(one.case for one in objects),
        gain,
        tuple(dict.fromkeys(one.annotator for one in objects if one.annotator)),
        created,
    ), gain


def _spread(shown: NDArray[np.integer[Any]]) -> list[int]:
    """Return some of the slices that show an object, evenly."""
    count = min(SLICES_OF_CASE, len(shown))
    places = (np.arange(count) + 0.5) / max(count, 1) * len(shown)
    return [int(index) for index in shown[places.astype(int)]]


def _divided(objects: Sequence[LabelledObject]) -> tuple[list[Lesson], list[Lesson]]:
    """Return the lessons to learn from, and those that are held out."""
    if len(objects) > 1:
        return [lesson for one in objects[:-1] for lesson in one.lessons], [*objects[-1].lessons]
    lessons = [lesson for one in objects for lesson in one.lessons]
    if len(lessons) < FEWEST_SLICES:
        return [], []
    return lessons[::2], lessons[1::2]
