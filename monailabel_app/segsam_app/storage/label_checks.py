"""Checks of a label file before it is saved: format, grid, voxel values.

The header is checked first. A label of another shape, or one whose header declares more voxels than
the server reads, is refused before any voxel is unpacked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.geometry import spacing_of
from segsam.imaging.readers import read_grid, read_image
from segsam.types import Voxels

LABEL_ENDINGS = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd")
"""Formats that MONAI Label's clients send, longest ending first."""

_AXES_TOLERANCE_MM = 1e-3
"""Largest difference between the axes (columns of the affine) of label and image."""
_CORNER_TOLERANCE_MM, _CORNER_TOLERANCE_VOXELS = 1e-3, 0.01
"""Largest distance between corners of label and image; the larger of the two counts."""


def ending_of(name: str, endings: Collection[str]) -> str | None:
    """Return the longest of `endings` that `name` ends in (in any case), None for none of them."""
    lowered = name.lower()
    return next((end for end in sorted(endings, key=len)[::-1] if lowered.endswith(end)), None)


@dataclass(frozen=True)
class CheckedLabel:
    """Label that may be saved: the ending of its format, and the values it holds except 0."""

    ending: str
    values: tuple[int, ...]


def check_label(path: Path, image: RawGrid) -> CheckedLabel:
    """Check that a file is a 3D map of whole numbers from 0 on the grid of `image`.

    Raises VolumeError, and VolumeTooLargeError if the header declares too many voxels.
    """
    ending = ending_of(path.name, LABEL_ENDINGS)
    if ending is None:
        raise VolumeError(
            f"a label must be a file that ends in {', '.join(LABEL_ENDINGS)}; this name ends in "
            f"{path.suffix or 'nothing'!r:.20}"
        )
    _check_grid(read_grid(path), image)
    return CheckedLabel(ending, _values(read_image(path).voxels))


def _check_grid(label: RawGrid, image: RawGrid) -> None:
    if label.shape_ijk != image.shape_ijk:
        raise VolumeError(
            f"the label has {_size(label)} voxels and its image {_size(image)}; send the label on "
            "the grid of the image"
        )
    difference = label.affine_ras - image.affine_ras
    axes_mm = float(np.abs(difference[:3, :3]).max())
    corners_ijk = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape_ijk) - 1)
    homogeneous = np.column_stack([corners_ijk, np.ones(len(corners_ijk))])
    corners_mm = float(np.abs(homogeneous @ difference[:3].T).max())
    voxel_mm = min(spacing_of(image.affine_ras))
    allowed_mm = max(_CORNER_TOLERANCE_MM, _CORNER_TOLERANCE_VOXELS * voxel_mm)
    if axes_mm > _AXES_TOLERANCE_MM or corners_mm > allowed_mm:
        raise VolumeError(
            f"the label does not lie on its image: corners are up to {corners_mm:.4g} mm apart "
            f"(at most {allowed_mm:.4g} is accepted), steps between voxels {axes_mm:.4g} mm (at "
            f"most {_AXES_TOLERANCE_MM:g})"
        )


def _values(voxels: Voxels) -> tuple[int, ...]:
    if voxels.ndim != 3 or voxels.dtype.kind not in "iub":
        what = "colour" if voxels.ndim != 3 else str(voxels.dtype)
        raise VolumeError(
            f"a label must hold whole numbers from 0, one per voxel; this one is {what}"
        )
    lowest = int(voxels.min())
    if lowest < 0:
        raise VolumeError(f"a label must hold whole numbers from 0; this one holds {lowest}")
    return tuple(int(value) for value in np.unique(voxels) if value)


def _size(grid: RawGrid) -> str:
    return "x".join(map(str, grid.shape_ijk))
