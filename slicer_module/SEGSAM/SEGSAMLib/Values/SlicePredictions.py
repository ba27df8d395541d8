"""What the model said about the slices of a segment: how certain, and what else is there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Mapping

import numpy as np

Slice = tuple[int, int]
"""(axis, index)."""
_MOST = 10_000


@dataclass(frozen=True)
class SlicePredictions:
    """Of one segment. `certainty` is 0 to 1 by slice: how far the two decoders agree or, where the
    model names nothing, its own estimate of its mask. `present` is by slice as well: other
    categories with their probabilities, likeliest first.
    """

    certainty: Mapping[Slice, float] = field(default_factory=dict)
    present: Mapping[Slice, tuple[tuple[str, float], ...]] = field(default_factory=dict)

    def strip(self, axis: int, count: int) -> np.ndarray:
        """(count,) float32 of the slices of an axis, NaN where nothing is known."""
        values = np.full(count, np.nan, dtype=np.float32)
        for (of_axis, index), value in self.certainty.items():
            if of_axis == axis and 0 <= index < count:
                values[index] = value
        return values

    def worst(self, axis: int) -> int | None:
        """The slice of an axis that the model is least certain of."""
        known = {i: value for (a, i), value in self.certainty.items() if a == axis}
        return min(known, key=lambda index: (known[index], index)) if known else None

    def to_text(self) -> str:
        """The certainties, for the scene; nothing when there are none."""
        kept = [[a, i, round(value, 3)] for (a, i), value in sorted(self.certainty.items())]
        return json.dumps(kept, separators=(",", ":")) if kept else ""

    @classmethod
    def from_text(cls, text: str) -> SlicePredictions:
        """What `to_text` wrote; anything else is nothing, for it can be computed again."""
        try:
            rows = json.loads(text or "[]")
            return cls({(int(a), int(i)): float(value) for a, i, value in rows[:_MOST]})
        except (ValueError, TypeError, KeyError):
            return cls()


NO_PREDICTIONS = SlicePredictions()
