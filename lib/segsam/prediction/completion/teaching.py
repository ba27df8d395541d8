"""Teaching: whether a mask decoder is adapted to an object, and from which state.

    confirmed slices --parts, each left out while the others teach--> scores
                     --better than the parent?--> weights learnt from all, or the parent's own

A state holds all that was learnt; the next correction continues from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from segsam.model import SegSam
from segsam.prediction.completion.adaptation import (
    Course,
    Lesson,
    Weights,
    adapt,
    mixed,
    towards,
    with_weights,
)
from segsam.prediction.completion.confirmed import Mask
from segsam.prediction.completion.self_check import USUAL_SHAPE_WEIGHT, Score, Test, score
from segsam.prediction.job import Job

PlaneKey = tuple[int, int]
"""(axis, index) of a confirmed slice."""

FOLD_STEPS, FINAL_STEPS, FURTHER_STEPS, SINGLE_STEPS = 16, 28, 14, 20
LEAST_STRENGTH = 0.5
"""Share of the way from the parent's weights to those learnt, for an object that the parent knows.
Half of it keeps nearly all of the gain and harms next to nothing (docs/lab/completion.md)."""
_UNKNOWN_STRENGTH = 1.1
"""The share, before what the parent draws of the object (a Dice) is taken off: what it does not
know at all is drawn by the weights as they were learnt."""
_RATE = 2e-4
_GAIN = 0.01
"""Least gain in Dice, the mean of slices that were left out and slices that were learnt from."""
_LOSS = 0.05
"""Largest loss in Dice on slices that were left out. They lie twice as far from what was learnt as
the slices that will be drawn, so an adaptation is better than it seems on them: the hip bone lost
0.01 to 0.05 by what gained it 0.07 (docs/lab/completion.md)."""
_LEAST_LEFT_OUT, _LEAST_LEARNT = 0.3, 0.65
"""Dice below which nothing was learnt: of slices that were left out, and of those learnt from. A
mask without a form is at best filled as a whole."""
_LEFT_OUT_SINGLY = 3


@dataclass(frozen=True)
class SelfCheck:
    """Finding of the self-check: mean Dice of left-out slices by the parent and adapted.

    They are None if there was nothing to test on, or nothing was adapted.
    """

    unadapted: float | None = None
    adapted: float | None = None


@dataclass(frozen=True, eq=False)
class AdaptedState:
    """State of what was learnt about one object; nothing of it changes later.

    `learnt` are weights of the mask decoder, None where the parent's own are better; objects are
    drawn by weights that lie the share `strength` of the way from the parent's to them.
    `shape_weight` is that of the interpolated shape. `taught` maps each slice to a digest of what
    was confirmed on it. `parent` identifies the model.
    """

    parent: str
    learnt: Weights | None
    strength: float
    shape_weight: float
    taught: Mapping[PlaneKey, str]
    check: SelfCheck

    @property
    def is_adapted(self) -> bool:
        """True if the decoder's weights are not the parent's."""
        return self.learnt is not None

    def adapted(self, model: SegSam) -> SegSam:
        """Return the parent with the weights by which the object is drawn."""
        if self.learnt is None:
            return model
        return with_weights(model, towards(model, self.learnt, self.strength))


@dataclass(frozen=True, eq=False)
class _Finding:
    """What was found out by teaching: the fields of `AdaptedState` that it decides."""

    learnt: Weights | None
    strength: float = LEAST_STRENGTH
    shape_weight: float = USUAL_SHAPE_WEIGHT
    check: SelfCheck = field(default_factory=SelfCheck)


@dataclass(frozen=True, eq=False)
class Trial:
    """Weights, the slices that were left out when they were learnt, and those learnt from."""

    learnt: Weights
    left_out: Sequence[Test]
    learnt_from: Sequence[Test]


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores of one model in several trials."""

    left_out: list[Score] = field(default_factory=list)
    learnt: list[Score] = field(default_factory=list)

    def add(self, model: SegSam, trial: Trial) -> None:
        """Add the scores of a model in one trial."""
        self.left_out.append(score(model, trial.left_out))
        self.learnt.append(score(model, trial.learnt_from))

    @property
    def of_left_out(self) -> Score:
        return Score.joined(self.left_out)

    @property
    def of_learnt(self) -> Score:
        return Score.joined(self.learnt)


class Teacher:
    """Teacher of one model about one object.

    Args:
        model: the parent.
        parent: its identifier.
        job: counts the steps of adaptations, and may cancel them.
    """

    def __init__(self, model: SegSam, parent: str, job: Job) -> None:
        self._model = model
        self._parent = parent
        self._job = job

    def teach(
        self,
        lessons: Mapping[PlaneKey, Lesson],
        tests: Mapping[PlaneKey, Test],
        taught: Mapping[PlaneKey, str],
        beside: Sequence[Test],
        previous: AdaptedState | None,
    ) -> AdaptedState:
        """Return the state after the lessons.

        Args:
            lessons: all confirmed planes.
            tests: those across the main axis that show the object.
            taught: digests of the planes.
            beside: slices beside the only one that shows the object, as if they were like it.
            previous: the state to continue from.
        """
        found = None
        if previous is not None and dict(previous.taught) == dict(taught):
            return previous
        if previous is not None and previous.is_adapted and set(previous.taught) <= set(taught):
            new = [key for key in lessons if previous.taught.get(key) != taught[key]]
            found = self._further(lessons, tests, new, previous)
        if found is None and len(tests) > 1:
            found = self._from_several(lessons, tests)
        elif found is None:
            found = self._from_one(lessons, tests, beside)
        return AdaptedState(
            self._parent,
            found.learnt,
            found.strength,
            found.shape_weight,
            MappingProxyType(dict(taught)),
            found.check,
        )

    def _from_several(
        self, lessons: Mapping[PlaneKey, Lesson], tests: Mapping[PlaneKey, Test]
    ) -> _Finding:
        """Learn from all slices, if each part of them is drawn better by what the others teach."""
        parts = _parts(list(tests))
        self._job.planned += len(parts) * FOLD_STEPS
        learnt = [
            self._adapt([lessons[key] for key in lessons if key not in part], FOLD_STEPS, seed=seed)
            for seed, part in enumerate(parts)
        ]
        trials = [
            Trial(weights, *_divided(tests, part))
            for weights, part in zip(learnt, parts, strict=True)
        ]
        found = self._checked(trials)
        if found.learnt is None:
            return found
        self._job.planned += FINAL_STEPS
        final = self._adapt(
            list(lessons.values()), FINAL_STEPS, start=mixed(learnt), seed=len(parts)
        )
        return replace(found, learnt=final)

    def _from_one(
        self,
        lessons: Mapping[PlaneKey, Lesson],
        tests: Mapping[PlaneKey, Test],
        beside: Sequence[Test],
    ) -> _Finding:
        """Learn from the only slice with the object, if its neighbours are then drawn more like it:
        from one slice to the next an object changes little.
        """
        self._job.planned += SINGLE_STEPS
        learnt = self._adapt(list(lessons.values()), SINGLE_STEPS)
        return self._checked([Trial(learnt, beside, list(tests.values()))])

    def _further(
        self,
        lessons: Mapping[PlaneKey, Lesson],
        tests: Mapping[PlaneKey, Test],
        new: Sequence[PlaneKey],
        previous: AdaptedState,
    ) -> _Finding | None:
        """Continue from a state, if it draws the slices that are new to it better than the parent;
        None if it does not.
        """
        found = _Finding(previous.learnt, previous.strength, previous.shape_weight, previous.check)
        trial = Trial(previous.learnt or {}, *_divided(tests, new))
        if trial.left_out:
            found = self._checked([trial])
        if found.learnt is None:
            return None
        self._job.planned += FURTHER_STEPS
        # What is new comes twice in turn, however much was taught before.
        examples = [*lessons.values(), *(lessons[key] for key in new)]
        learnt = self._adapt(examples, FURTHER_STEPS, start=found.learnt)
        return replace(found, learnt=learnt)

    def _checked(self, tried: Sequence[Trial]) -> _Finding:
        """Return a finding with the first of the tried weights; None if the parent is as good."""
        parent, adapted = _Scores(), _Scores()
        for trial in tried:
            parent.add(self._model, trial)
        known, before = parent.of_learnt.mean, parent.of_left_out
        strength = min(max(LEAST_STRENGTH, _UNKNOWN_STRENGTH - known), 1.0)
        for trial in tried:
            weights = towards(self._model, trial.learnt, strength)
            adapted.add(with_weights(self._model, weights), trial)
        after = adapted.of_left_out
        check = SelfCheck(before.mean, after.mean)
        learnt = adapted.of_learnt.mean
        gain = (after.mean - before.mean + learnt - known) / 2
        least = max(before.mean - _LOSS, _LEAST_LEFT_OUT)
        if gain < _GAIN or after.mean < least or learnt < _LEAST_LEARNT:
            return _Finding(None, 0.0, before.shape_weight, check)
        return _Finding(tried[0].learnt, strength, after.shape_weight, check)

    def _adapt(
        self, lessons: Sequence[Lesson], steps: int, *, start: Weights | None = None, seed: int = 0
    ) -> Weights:
        return adapt(
            self._model,
            lessons,
            Course(steps, _RATE),
            start=start,
            seed=seed,
            after_step=self._after_step,
        )

    def _after_step(self) -> None:
        self._job.advance("learning from the confirmed slices")
        self._job.raise_if_cancelled()


def digest_of(plane: Mask) -> str:
    """Return a digest of a confirmed plane."""
    packed = np.packbits(plane)
    return hashlib.blake2b(
        packed.tobytes() + repr(plane.shape).encode(), digest_size=16
    ).hexdigest()


def _divided(
    tests: Mapping[PlaneKey, Test], part: Sequence[PlaneKey]
) -> tuple[list[Test], list[Test]]:
    """Return the slices of a part as left out, and the others, by their boxes, as learnt from."""
    others = [replace(test, shape=None) for key, test in tests.items() if key not in part]
    return [tests[key] for key in part if key in tests], others


def _parts(keys: Sequence[PlaneKey]) -> list[list[PlaneKey]]:
    """Return the slices that are left out together: one by one of three, else two halves in turns
    along the axis.
    """
    if len(keys) == _LEFT_OUT_SINGLY:
        return [[key] for key in keys]
    return [list(keys[::2]), list(keys[1::2])]
