"""Split of the cases into those to train on and those held out for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from segsam.datasets.splits import TRAIN, VALIDATION
from segsam_app.training.cases import LabelledCase

BY_SLICE = "both"
"""Part of a case when there are too few to hold one out: every fourth slice is for validation."""

MIN_CASES = 3
"""Number of cases from which one is held out."""


def split_cases(
    cases: Sequence[LabelledCase], held_out_before: Collection[str], share: float
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the part of each case (by image), and notes on the split.

    Cases that were held out before stay so, because the version before has not seen them. The
    others follow from a hash of their ids, so that the same cases are always split alike.
    """
    if len(cases) < MIN_CASES or not share:
        few = f"there are fewer than {MIN_CASES} cases"
        why = "val_split is 0" if len(cases) >= MIN_CASES else few
        note = (
            f"no case was held out, as {why}: every fourth slice is used for validation instead. "
            "Its neighbours were trained on, so the scores are too good"
        )
        return {case.image: BY_SLICE for case in cases}, (note,)
    count = min(max(1, round(share * len(cases))), len(cases) - 2)
    order = sorted(cases, key=lambda case: (case.image not in held_out_before, _rank(case.image)))
    held_out = {case.image for case in order[:count]}
    return {case.image: VALIDATION if case.image in held_out else TRAIN for case in cases}, ()


def _rank(image: str) -> bytes:
    return hashlib.sha256(image.encode()).digest()
