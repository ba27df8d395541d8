"""Prompts of the demo, made from the sample's pseudo-labels: boxes, points, and their requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.errors import SampleError
from segsam.imaging.geometry import nearest_axes
from segsam.prompting.prompts import Box
from segsam.types import Affine, LabelArray, VoxelIndex

ORGANS = (
    "liver",
    "spleen",
    "kidney_right",
    "kidney_left",
    "gallbladder",
    "stomach",
    "aorta",
    "urinary_bladder",
    "vertebrae_L3",
)
"""Organs that are whole or nearly whole in the sample, of 1,300 to 42,000 voxels."""


@dataclass(frozen=True, eq=False)
class Organ:
    """Pseudo-label: its value in the sample's label volume, mask (i, j, k) and tight box."""

    name: str
    value: int
    mask: NDArray[np.bool_]
    box: Box

    @property
    def title(self) -> str:
        """Name for a person: "kidney left" for `kidney_left`."""
        return self.name.replace("_", " ")


def organs_in(
    labels: LabelArray, table: Mapping[str, int], names: Sequence[str] = ORGANS
) -> tuple[Organ, ...]:
    """Return the named organs of a label volume (i, j, k); `table` gives their values.

    Raises:
        SampleError: an organ is not in the table or not in the labels.
    """
    organs = []
    for name in names:
        mask = labels == table.get(name, 0)
        if name not in table or not mask.any():
            raise SampleError(f"The sample's labels hold no {name}.")
        organs.append(Organ(name, table[name], mask, tight_box(mask)))
    return tuple(organs)


def tight_box(mask: NDArray[np.bool_]) -> Box:
    """Return the smallest box around the voxels of a mask (i, j, k) that is not empty."""
    indices = np.argwhere(mask)
    return Box(_index(indices.min(axis=0)), _index(indices.max(axis=0)))


def section_box(organ: Organ, axis: int, index: int) -> Box | None:
    """Return the tight 2D box of the organ on one slice; None if it is absent or only a line."""
    plane = np.zeros_like(organ.mask)
    on_slice = (slice(None),) * axis + (index,)
    plane[on_slice] = organ.mask[on_slice]
    if not plane.any():
        return None
    box = tight_box(plane)
    return box if box.flat_axes == (axis,) else None


def widest_slice(organ: Organ, axis: int) -> int:
    """Return the slice across `axis` with the most voxels of the organ."""
    others = tuple(other for other in range(3) if other != axis)
    return int(organ.mask.sum(axis=others).argmax())


def centre_of(organ: Organ, axis: int, index: int) -> VoxelIndex:
    """Return the organ's voxel on a slice that is nearest to its centre of mass there."""
    plane = np.argwhere(organ.mask)
    plane = plane[plane[:, axis] == index]
    nearest = plane[((plane - plane.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return _index(nearest)


def stock_params(organ: Organ, affine_ras: Affine, extension: str) -> dict[str, Any]:
    """Return what 3D Slicer's stock MONAI Label module sends for a box and a click inside.

    The module takes the corners of `roi` in world order. Along a voxel axis that runs against the
    world axis, the greater index therefore comes first.
    """
    axes, signs = nearest_axes(affine_ras)
    roi = [0] * 6
    for world in range(3):
        axis, ends = axes[world], (organ.box.min_ijk[axes[world]], organ.box.max_ijk[axes[world]])
        roi[2 * axis : 2 * axis + 2] = ends if signs[world] > 0 else ends[::-1]
    middle = widest_slice(organ, axis=axes[2])
    return {
        "label": organ.name,
        "foreground": [list(centre_of(organ, axes[2], middle))],
        "background": [],
        "roi": roi,
        "reset_state": True,
        "result_extension": extension,
        "result_dtype": "uint8",
        "client_id": "segsam-demo",
    }


def _index(values: NDArray[np.int64]) -> VoxelIndex:
    i, j, k = (int(value) for value in values)
    return i, j, k
