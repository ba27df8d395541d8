"""Result of a completion: the object in the whole volume, and what was learnt about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segsam.prediction.completion.teaching import AdaptedState
from segsam.prediction.result import Result
from segsam.prompting.prompts import Box, Prompts


@dataclass(frozen=True, eq=False, kw_only=True)
class Completion(Result):
    """Result of `Predictor.complete`.

    `state` is what was learnt, for the next call. `confirmed` are the slices across the first axis
    that were confirmed, which the labels hold exactly as they were, and `confirmed_boxes` their
    outlines' boxes. `certainties` maps each slice across it that was drawn or confirmed to a
    certainty of 0 to 1.
    """

    state: AdaptedState
    confirmed: tuple[int, ...]
    confirmed_boxes: Prompts = field(default_factory=Prompts)
    certainties: Mapping[int, float] = field(default_factory=dict)

    @property
    def least_certain(self) -> int | None:
        """The slice whose confirmation would help most; None if every slice is confirmed.

        It is the one on which the most pixels are in doubt, times its distance to the nearest
        confirmed slice: what is learnt there helps as many others.
        """
        worth = {
            index: self._doubt(index) * min(abs(index - other) for other in self.confirmed)
            for index in self.certainties
            if index not in self.confirmed
        }
        return max(worth, key=lambda index: worth[index]) if worth else None

    def to_json(self) -> dict[str, Any]:
        """Return everything but the voxels as JSON values."""
        check = self.state.check
        return {
            **super().to_json(),
            "confirmed": list(self.confirmed),
            "certainties": {str(index): value for index, value in self.certainties.items()},
            "least_certain": self.least_certain,
            "adapted": self.state.is_adapted,
            "self_check": {"unadapted": check.unadapted, "adapted": check.adapted},
            "start": None if self.state.offer is None else self.state.offer.to_json(),
        }

    def _doubt(self, index: int) -> float:
        """Return the share of doubt on a slice times its pixels of the object."""
        axis = "ijk".index(self.axes[0])
        offset = index - self.region.start_ijk[axis]
        if not 0 <= offset < self.region.values.shape[axis]:
            return 0.0
        return (1 - self.certainties[index]) * self.region.section(axis, offset).voxels


def boxes_of(boxes: Mapping[int, Box | None]) -> Prompts:
    """Return the boxes of confirmed slices, of which some are empty, as a picture shows them."""
    return Prompts(boxes=tuple(box for box in boxes.values() if box is not None))
