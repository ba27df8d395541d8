"""A simulated annotator: confirms the true outline on the slices that the tool proposes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsam.prediction.completion.confirmed import ConfirmedSlices, Planes
from segsam.types import VoxelIndex

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Annotator:
    """Annotator of one object, whose `truth` is True (i, j, k) in it, on slices across `axis`."""

    truth: Mask
    axis: int

    @property
    def shown(self) -> NDArray[np.int64]:
        """Indices of the slices that show the object, in ascending order."""
        others = tuple(number for number in range(3) if number != self.axis)
        return np.flatnonzero(self.truth.any(axis=others))

    @property
    def first(self) -> int:
        """The slice to begin with: the middle one of those that show the object."""
        return int(self.shown[len(self.shown) // 2])

    def confirmed(self, indices: list[int]) -> ConfirmedSlices:
        """Return the true outlines on slices; one that does not show the object is empty."""
        shape: VoxelIndex = self.truth.shape  # type: ignore[assignment]
        planes: Planes = {
            (self.axis, index): np.asarray(self.truth.take(index, self.axis)) for index in indices
        }
        return ConfirmedSlices.of(planes, shape)

    def only(self, indices: list[int]) -> Mask:
        """Return the truth on some slices, and False on all others."""
        mask = np.zeros_like(self.truth)
        place = (slice(None),) * self.axis + (indices,)
        mask[place] = self.truth[place]
        return mask

    def dice_of_others(self, mask: Mask, indices: list[int]) -> float:
        """Return Dice over all slices but those with these indices; 1 if nothing is there."""
        true, drawn = (np.delete(one, indices, self.axis) for one in (self.truth, mask))
        both = int(true.sum()) + int(drawn.sum())
        return 2 * int((true & drawn).sum()) / both if both else 1.0
