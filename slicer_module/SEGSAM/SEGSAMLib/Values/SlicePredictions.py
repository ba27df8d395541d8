"""Predictions of the model for each slice of a segment: certainty, and other categories."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Collection, Mapping

import numpy as np

Slice = tuple[int, int]
"""(axis, index)."""
_MAX_ROWS = 10_000


@dataclass(frozen=True)
class SlicePredictions:
    """Predictions for the slices of one segment.

    `certainty` by slice, 0 to 1: the agreement (IoU) of the two decoders or, with a checkpoint that
    names nothing, the model's estimate of the quality of its mask. `present` by slice: other
    categories with their probabilities, the most probable first. `proposed` is the slice whose
    confirmation would help a completion most.
    """

    certainty: Mapping[Slice, float] = field(default_factory=dict)
    present: Mapping[Slice, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    proposed: Slice | None = None

    def strip(self, axis: int, count: int) -> np.ndarray:
        """Return the certainty of the slices of an axis, (count,) float32, NaN where unknown."""
        values = np.full(count, np.nan, dtype=np.float32)
        for (of_axis, index), value in self.certainty.items():
            if of_axis == axis and 0 <= index < count:
                values[index] = value
        return values

    def worst(self, axis: int, confirmed: Collection[int] = ()) -> int | None:
        """Return the slice of an axis with the lowest certainty, None if none is known. Confirmed
        ones are left out.
        """
        known = {i: v for (a, i), v in self.certainty.items() if a == axis and i not in confirmed}
        return min(known, key=lambda index: (known[index], index)) if known else None

    def updated(self, newer: SlicePredictions) -> SlicePredictions:
        """Return these predictions with those of slices that were segmented again."""
        certainty = {**self.certainty, **newer.certainty}
        present = {at: self.present[at] for at in self.present if at not in newer.certainty}
        return SlicePredictions(certainty, {**present, **newer.present}, self.proposed)

    def to_text(self) -> str:
        """Return the certainties as JSON for the scene, empty if there are none."""
        rows = [[a, i, round(value, 3)] for (a, i), value in sorted(self.certainty.items())]
        return json.dumps(rows, separators=(",", ":")) if rows else ""

    @classmethod
    def from_text(cls, text: str) -> SlicePredictions:
        """Read what `to_text` wrote. Anything else gives no predictions: they can be computed
        again.
        """
        try:
            rows = json.loads(text or "[]")
            return cls({(int(a), int(i)): float(value) for a, i, value in rows[:_MAX_ROWS]})
        except (ValueError, TypeError, KeyError):
            return cls()


NO_PREDICTIONS = SlicePredictions()
