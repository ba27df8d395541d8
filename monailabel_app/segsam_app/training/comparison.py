"""Comparison of a trained model with the one before, object by object, on slices of patients that
neither was trained on: what decides whether a version is promoted.

A mean over few slices says little. On the same slices with the same prompts, the Dice of one object
changes through a training by 2 to 6 points up or down around the mean change, so that a mean of ten
objects is uncertain by 1 to 2 points, as much as a training gains. So the mean gain counts only as
far as it exceeds its margin: the one-sided 95 % bound of its standard error.

Objects of one patient are alike, so the error has two parts: that of the objects, and that of the
patients. Both are estimated from the differences, but never taken to be smaller than usual ones
(`OBJECT_SD`, `CASE_SD`), since a standard deviation of three values may be small by chance.
docs/lab/training.md has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segsam.training.validation import BOX, POINT, ValidationScore
from segsam_app.versions.record import Evidence

ONE_SIDED_95 = 1.645
OBJECT_SD = 3.0
"""Standard deviation of one object's difference that is assumed at least, in percent points."""
CASE_SD = 0.5
"""Standard deviation of the true differences of patients that is assumed at least."""
UNSEEN_MARGIN = 5.0
"""Added to the margin if no patient was held out: the scores are of slices whose neighbours were
trained on, and say nothing about other patients."""

ObjectScores = Mapping[str, Sequence[ValidationScore]]


@dataclass(frozen=True)
class Difference:
    """Change of one object's Dice in percent points, the mean of box and point."""

    case: str
    slice: str
    points: float


def differences(before: ObjectScores, after: ObjectScores) -> list[Difference]:
    """Return the differences of the objects that both models were scored on."""
    if any(len(before[prompt]) != len(after[prompt]) for prompt in (BOX, POINT)):
        return []
    rises = [
        [new.dsc - old.dsc for old, new in zip(before[prompt], after[prompt], strict=True)]
        for prompt in (BOX, POINT)
    ]
    return [
        Difference(score.slice.split("/")[1], score.slice, 100 * float(np.mean(of_both)))
        for score, *of_both in zip(before[BOX], *rises, strict=True)
    ]


def weigh(found: Sequence[Difference], *, held_out: bool) -> Evidence | None:
    """Return the mean gain with its margin; None without any object.

    Args:
        found: of all objects.
        held_out: the cases were held out, else they were trained on in other slices.
    """
    if not found:
        return None
    by_case: dict[str, list[float]] = {}
    for each in found:
        by_case.setdefault(each.case, []).append(each.points)
    means = [float(np.mean(points)) for points in by_case.values()]
    within = [
        point - mean
        for points, mean in zip(by_case.values(), means, strict=True)
        for point in points
    ]
    error = _standard_error(means, within)
    margin = ONE_SIDED_95 * error + (0 if held_out else UNSEEN_MARGIN)
    return Evidence(
        cases=len(by_case) if held_out else 0,
        slices=len({each.slice for each in found}),
        objects=len(found),
        gain=round(float(np.mean(means)), 2),
        margin=round(margin, 2),
    )


def _standard_error(means: Sequence[float], within: Sequence[float]) -> float:
    """Standard error of the mean over the cases' `means`, from the objects' deviations `within`."""
    cases, objects = len(means), len(within)
    free = objects - cases
    of_objects = math.sqrt(sum(each**2 for each in within) / free) if free else 0.0
    expected = max(of_objects, OBJECT_SD) ** 2 / objects + CASE_SD**2 / cases
    observed = float(np.var(means, ddof=1)) / cases if cases > 1 else 0.0
    return math.sqrt(max(expected, observed))
