"""Who is learnt from, and who is only measured."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from segsam.datasets.splits import TRAIN, VALIDATION
from segsam_app.training.cases import Case

BOTH = "both"
"""Too few cases to hold one out: of each, every fourth slice is measured and not learnt from."""

FEWEST = 3
"""So many cases are needed to hold one out."""


def parts(
    cases: Sequence[Case], held_out_before: Collection[str], share: float
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The part of each case (by image), and what there is to say about it.

    Who was held out stays so, as the version before has not seen them; the others follow from
    their ids alone.
    """
    if len(cases) < FEWEST or not share:
        why = "val_split is 0" if len(cases) >= FEWEST else f"there are fewer than {FEWEST} cases"
        note = (
            f"no case was held out, as {why}: every fourth slice was measured instead, and figures "
            "on neighbours of slices that were learnt from flatter"
        )
        return {case.image: BOTH for case in cases}, (note,)
    wanted = min(max(1, round(share * len(cases))), len(cases) - 2)
    order = sorted(cases, key=lambda case: (case.image not in held_out_before, _rank(case.image)))
    measured = {case.image for case in order[:wanted]}
    return {case.image: VALIDATION if case.image in measured else TRAIN for case in cases}, ()


def _rank(image: str) -> bytes:
    return hashlib.sha256(image.encode()).digest()
