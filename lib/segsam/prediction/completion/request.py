"""All that a caller gives about an object: slices, clicks, and where other objects are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsam.errors import PromptError
from segsam.imaging.voxels import shape_text
from segsam.prediction.completion.confirmed import ConfirmedSlices, Planes
from segsam.prompting.prompts import Box, Point, Prompts
from segsam.types import VoxelIndex


@dataclass(frozen=True, eq=False)
class CompletionRequest:
    """Confirmed slices, clicks on others, True (i, j, k) where other objects are, and the name that
    the caller has for the object.
    """

    confirmed: ConfirmedSlices
    points: tuple[Point, ...] = ()
    others: NDArray[np.bool_] | None = None
    name: str | None = None

    @classmethod
    def checked(
        cls,
        confirmed: Planes | ConfirmedSlices,
        points: Sequence[Point],
        others: NDArray[np.bool_] | None,
        shape_ijk: VoxelIndex,
        name: str | None = None,
    ) -> CompletionRequest:
        """Check all of it for a volume of `shape_ijk`.

        Raises:
            PromptError: planes, points or other objects that do not fit the volume.
        """
        if not isinstance(confirmed, ConfirmedSlices):
            confirmed = ConfirmedSlices.of(confirmed, shape_ijk)
        if confirmed.shape_ijk != shape_ijk:
            raise PromptError(
                f"Expected confirmed slices of a volume of {shape_text(shape_ijk)} voxels, got "
                f"those of one of {shape_text(confirmed.shape_ijk)}."
            )
        if others is not None and others.shape != shape_ijk:
            raise PromptError(
                f"Expected other objects on {shape_text(shape_ijk)} voxels, got "
                f"{shape_text(others.shape)}."
            )
        if others is not None:
            _refuse_overlap(confirmed, others)
        last_i, last_j, last_k = (side - 1 for side in shape_ijk)
        whole = Box((0, 0, 0), (last_i, last_j, last_k))
        prompts, _ = Prompts(tuple(points), (whole,)).checked(shape_ijk)
        return cls(confirmed, prompts.points, None if others is None else others != 0, name)


def _refuse_overlap(confirmed: ConfirmedSlices, others: NDArray[np.bool_]) -> None:
    """Raise PromptError if all that a confirmed slice shows is of other objects.

    Where outlines only overlap, the confirmed slice holds.
    """
    for (axis, index), plane in confirmed.planes.items():
        if plane.any() and np.take(others, index, axis)[plane].all():
            raise PromptError(
                f"Expected other objects beside this one, got them in every voxel of it on the "
                f"confirmed slice {'ijk'[axis]} = {index}."
            )
