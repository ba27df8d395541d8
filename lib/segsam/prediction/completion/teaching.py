"""Teaching: whether a mask decoder is adapted to an object, and from which state.

    confirmed slices --parts, each left out while the others teach--> scores
                     --better than the start?--> weights learnt from all, or those of the start
    start            the parent, or what was carried from other cases, whichever is then better

A state holds all that was learnt; the next correction continues from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

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
from segsam.prediction.completion.carried import CarriedState
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
_CARRIED_MISS = 0.25
"""Largest loss in Dice of what is carried, as it is, on the confirmed slices. Beyond it, it is not
worth a trial; within it, it is often better as soon as it has learnt from them."""


@dataclass(frozen=True)
class SelfCheck:
    """Finding of the self-check: mean Dice of left-out slices by the parent and adapted.

    They are None if there was nothing to test on, or nothing was adapted.
    """

    unadapted: float | None = None
    adapted: float | None = None


@dataclass(frozen=True, eq=False)
class Offer:
    """Carried state that was tried on an object, and whether it is used.

    `unadapted` and `carried` are the mean Dice of the confirmed slices by the parent and by what
    was carried; neither has learnt from them.
    """

    state: CarriedState
    is_used: bool
    unadapted: float
    carried: float

    def to_json(self) -> dict[str, Any]:
        """Return where it comes from and what it is worth here, as JSON values."""
        return {
            "name": self.state.name,
            "cases": list(self.state.cases),
            "used": self.is_used,
            "unadapted": self.unadapted,
            "carried": self.carried,
        }


@dataclass(frozen=True, eq=False)
class AdaptedState:
    """State of what was learnt about one object; nothing of it changes later.

    `learnt` are weights of the mask decoder, None where those of the start are better: what was
    carried from other cases if `offer` was used, else the parent's. Objects are drawn by weights
    that lie the share `strength` of the way from the start's to those learnt. `shape_weight` is
    that of the interpolated shape. `taught` maps each slice to a digest of what was confirmed on
    it. `parent` identifies the model.
    """

    parent: str
    learnt: Weights | None
    strength: float
    shape_weight: float
    taught: Mapping[PlaneKey, str]
    check: SelfCheck
    offer: Offer | None = None

    @property
    def is_adapted(self) -> bool:
        """True if the decoder's weights are not the parent's."""
        return self.learnt is not None or self.start is not None

    @property
    def start(self) -> CarriedState | None:
        """Carried state from which it starts; None if it starts from the parent."""
        return self.offer.state if self.offer is not None and self.offer.is_used else None

    def adapted(self, model: SegSam) -> SegSam:
        """Return the parent with the weights by which the object is drawn."""
        return _drawing(model, self.start, self.learnt, self.strength)


@dataclass(frozen=True, eq=False)
class _Finding:
    """What was found out by teaching: the fields of `AdaptedState` that it decides.

    `check` compares the start with what was learnt from there.
    """

    learnt: Weights | None
    strength: float = LEAST_STRENGTH
    shape_weight: float = USUAL_SHAPE_WEIGHT
    check: SelfCheck = field(default_factory=SelfCheck)
    offer: Offer | None = None

    @property
    def score(self) -> float:
        """Mean Dice of left-out slices by what is used: the start, or what was learnt."""
        used = self.check.unadapted if self.learnt is None else self.check.adapted
        return used or 0.0


@dataclass(frozen=True, eq=False)
class Trial:
    """Weights, the slices that were left out when they were learnt, and those learnt from."""

    learnt: Weights
    left_out: Sequence[Test]
    learnt_from: Sequence[Test]


@dataclass(frozen=True, eq=False)
class Examples:
    """Lessons of all confirmed planes, and slices to test on: those across the main axis that show
    the object, and of a single one the slices beside it, as if they were like it.
    """

    lessons: Mapping[PlaneKey, Lesson]
    tests: Mapping[PlaneKey, Test]
    beside: Sequence[Test]


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
        examples: Examples,
        taught: Mapping[PlaneKey, str],
        previous: AdaptedState | None,
        carried: CarriedState | None = None,
    ) -> AdaptedState:
        """Return the state after the lessons.

        Args:
            examples: what the confirmed planes teach.
            taught: digests of the planes.
            previous: the state to continue from.
            carried: what was learnt about the structure in other cases.
        """
        found = None
        if previous is not None and dict(previous.taught) == dict(taught):
            return previous
        if previous is not None and previous.learnt is not None:
            is_offered = carried is not None and previous.offer is None
            if set(previous.taught) <= set(taught) and not is_offered:
                new = [key for key in examples.lessons if previous.taught.get(key) != taught[key]]
                found = self._further(examples, new, previous)
        if found is None:
            offered = None if previous is None or previous.offer is None else previous.offer.state
            found = self._best(examples, carried or offered)
        return AdaptedState(
            self._parent,
            found.learnt,
            found.strength,
            found.shape_weight,
            MappingProxyType(dict(taught)),
            found.check,
            found.offer,
        )

    def _best(self, examples: Examples, carried: CarriedState | None) -> _Finding:
        """Learn from the parent and from what was carried, and return what draws left-out slices
        best.
        """
        plain = self._learnt(examples, None)
        if carried is None:
            return plain
        tests = list(examples.tests.values())
        unadapted = score(self._model, tests).mean
        after = score(_drawing(self._model, carried, None, 0.0), tests).mean
        offer = Offer(carried, False, unadapted, after)
        if after < unadapted - _CARRIED_MISS:
            return replace(plain, offer=offer)
        found = self._learnt(examples, carried)
        if found.score <= plain.score:
            return replace(plain, offer=offer)
        check = SelfCheck(plain.check.unadapted, found.score)
        return replace(found, check=check, offer=replace(offer, is_used=True))

    def _learnt(self, examples: Examples, carried: CarriedState | None) -> _Finding:
        """Learn from a start, if what is learnt is better than it."""
        if len(examples.tests) > 1:
            return self._from_several(examples, carried)
        return self._from_one(examples, carried)

    def _from_several(self, examples: Examples, carried: CarriedState | None) -> _Finding:
        """Learn from all slices, if each part of them is drawn better by what the others teach."""
        lessons, start = examples.lessons, None if carried is None else carried.learnt
        parts = _parts(list(examples.tests))
        steps = _steps(FOLD_STEPS, carried)
        self._job.planned += len(parts) * steps
        learnt = [
            self._adapt(
                [lessons[key] for key in lessons if key not in part],
                steps,
                start=start,
                seed=seed,
            )
            for seed, part in enumerate(parts)
        ]
        trials = [
            Trial(weights, *_divided(examples.tests, part))
            for weights, part in zip(learnt, parts, strict=True)
        ]
        found = self._checked(trials, carried)
        if found.learnt is None:
            return found
        steps = _steps(FINAL_STEPS, carried)
        self._job.planned += steps
        final = self._adapt(list(lessons.values()), steps, start=mixed(learnt), seed=len(parts))
        return replace(found, learnt=final)

    def _from_one(self, examples: Examples, carried: CarriedState | None) -> _Finding:
        """Learn from the only slice with the object, if its neighbours are then drawn more like it:
        from one slice to the next an object changes little.
        """
        start = None if carried is None else carried.learnt
        steps = _steps(SINGLE_STEPS, carried)
        self._job.planned += steps
        learnt = self._adapt(list(examples.lessons.values()), steps, start=start)
        trial = Trial(learnt, examples.beside, list(examples.tests.values()))
        return self._checked([trial], carried)

    def _further(
        self, examples: Examples, new: Sequence[PlaneKey], previous: AdaptedState
    ) -> _Finding | None:
        """Continue from a state, if it draws the slices that are new to it better than the parent
        and its start; None if it does not.
        """
        found = _Finding(previous.learnt, previous.strength, previous.shape_weight, previous.check)
        trial = Trial(previous.learnt or {}, *_divided(examples.tests, new))
        if trial.left_out:
            found = self._checked([trial], previous.start)
            if previous.start is not None:
                unadapted = score(self._model, trial.left_out).mean
                if found.score < unadapted:
                    return None
                found = replace(found, check=SelfCheck(unadapted, found.score))
        if found.learnt is None:
            return None
        self._job.planned += FURTHER_STEPS
        # What is new comes twice in turn, however much was taught before.
        lessons = [*examples.lessons.values(), *(examples.lessons[key] for key in new)]
        learnt = self._adapt(lessons, FURTHER_STEPS, start=found.learnt)
        return replace(found, learnt=learnt, offer=previous.offer)

    def _checked(self, tried: Sequence[Trial], carried: CarriedState | None) -> _Finding:
        """Return a finding with the first of the tried weights; None if the start is as good."""
        start, adapted = _Scores(), _Scores()
        begun = _drawing(self._model, carried, None, 0.0)
        for trial in tried:
            start.add(begun, trial)
        known, before = start.of_learnt.mean, start.of_left_out
        strength = min(max(LEAST_STRENGTH, _UNKNOWN_STRENGTH - known), 1.0)
        for trial in tried:
            adapted.add(_drawing(self._model, carried, trial.learnt, strength), trial)
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


def _steps(usual: int, carried: CarriedState | None) -> int:
    """Return the number of steps from a start: from what was carried, half of them are enough."""
    return usual if carried is None else usual // 2


def _drawing(
    model: SegSam, carried: CarriedState | None, learnt: Weights | None, strength: float
) -> SegSam:
    """Return the model with the weights that lie the share `strength` of the way from a start, the
    parent's own if nothing is carried, to those learnt.
    """
    start = None if carried is None else carried.learnt
    if learnt is None:
        return model if start is None else with_weights(model, start)
    return with_weights(model, towards(model, learnt, strength, start=start))


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
