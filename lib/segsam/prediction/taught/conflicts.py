"""Conflicts: names that were given to the same object, which only people can settle.

Two drawings of one object on a slice differ by less than any two objects do: their descriptions are
all but equal. Names whose examples are, are shown side by side; none is chosen and nothing is
averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from segsam.prediction.taught.examples import TaughtExample, TaughtName, TaughtNames

SAME_OBJECT = 0.1
"""Largest relative difference of two descriptions of one object, as two people draw it."""
_SAME_PLACE = 0.03
"""Largest difference of the centres, as a share of the body's size."""


@dataclass(frozen=True, eq=False)
class Conflict:
    """Two names for one object, with an example of each."""

    names: tuple[TaughtName, TaughtName]
    examples: tuple[TaughtExample, TaughtExample]

    def to_json(self) -> dict[str, Any]:
        """Return the names and where each was given, as JSON values."""
        return {
            "names": [one.name for one in self.names],
            "examples": [one.to_json() for one in self.examples],
        }


def conflicts(names: TaughtNames) -> Iterator[Conflict]:
    """Yield each two names that were given to one object on a slice of a case."""
    for first, second in combinations(names, 2):
        found = _shared(first, second)
        if found is not None:
            yield Conflict((first, second), found)


def _shared(first: TaughtName, second: TaughtName) -> tuple[TaughtExample, TaughtExample] | None:
    """Return the first two examples of two names that are of one object; None if there are none."""
    slices = {(one.embedding, one.case, one.axis, one.index): one for one in first.examples}
    for other in second.examples:
        one = slices.get((other.embedding, other.case, other.axis, other.index))
        if one is not None and is_of_one_object(one, other):
            return one, other
    return None


def is_of_one_object(one: TaughtExample, other: TaughtExample) -> bool:
    """Return True for two examples of the same object on the same slice."""
    first_place, second_place = (
        (each.embedding, each.case, each.axis, each.index) for each in (one, other)
    )
    if first_place != second_place:
        return False
    if max(abs(a - b) for a, b in zip(one.position, other.position, strict=True)) > _SAME_PLACE:
        return False
    half = len(one.description) // 2  # the other half describes the whole image
    first, second = one.description[:half], other.description[:half]
    apart = float(np.linalg.norm(first - second))
    return apart <= SAME_OBJECT * float(np.linalg.norm(first))
