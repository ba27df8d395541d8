"""What is looked at before a file is kept: a label that lies on its image, an image that can be
segmented.

The header comes first. A label of another shape, or one whose header declares more than the server
reads, is refused before any of its voxels are unpacked.
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
from segsam.imaging.volume import Volume
from segsam.types import Voxels

LABEL_ENDINGS = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd")
"""The formats that MONAI Label's clients send, longest first."""

_STEP_MM, _CORNER_MM, _CORNER_VOXELS = 1e-3, 1e-3, 0.01


def ending_of(name: str, endings: Collection[str]) -> str | None:
    """The one of `endings` that `name` ends in, the longest first; None for another."""
    lowered = name.lower()
    return next((end for end in sorted(endings, key=len)[::-1] if lowered.endswith(end)), None)


@dataclass(frozen=True)
class CheckedLabel:
    """A label that may be kept: the ending of its format and the values it holds beside 0."""

    ending: str
    values: tuple[int, ...]


def check_label(path: Path, image: RawGrid) -> CheckedLabel:
    """A readable 3D map of whole numbers from 0 on the grid of `image`.

    Raises VolumeError saying what was wanted and what came, VolumeTooLargeError for what the header
    declares.
    """
    ending = ending_of(path.name, LABEL_ENDINGS)
    if ending is None:
        raise VolumeError(
            f"a label is sent as {', '.join(LABEL_ENDINGS)}; this file's name ends in "
            f"{path.suffix or 'nothing'!r:.20}"
        )
    _check_grid(read_grid(path), image)
    return CheckedLabel(ending, _values(read_image(path).voxels))


def check_image(path: Path) -> RawGrid:
    """The grid of an image that can be segmented. Raises VolumeError for any other."""
    volume = Volume.load(path)
    return RawGrid(volume.shape_ijk, volume.affine_ras)


def _check_grid(label: RawGrid, image: RawGrid) -> None:
    if label.shape_ijk != image.shape_ijk:
        raise VolumeError(
            f"the label has {_listed(label)} voxels and its image {_listed(image)}; send it on the "
            "image's grid"
        )
    steps = float(np.abs(label.affine_ras[:3, :3] - image.affine_ras[:3, :3]).max())
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape_ijk) - 1)
    there = np.column_stack([corners, np.ones(len(corners))])
    apart = float(np.abs(there @ (label.affine_ras - image.affine_ras)[:3].T).max())
    allowed = max(_CORNER_MM, _CORNER_VOXELS * min(spacing_of(image.affine_ras)))
    if steps > _STEP_MM or apart > allowed:
        raise VolumeError(
            f"the label lies elsewhere than its image: corners are up to {apart:.4g} mm apart "
            f"(at most {allowed:.4g} is accepted), steps between voxels {steps:.4g} mm (at most "
            f"{_STEP_MM:g})"
        )


def _values(voxels: Voxels) -> tuple[int, ...]:
    if voxels.ndim != 3 or voxels.dtype.kind not in "iub":
        what = "colour" if voxels.ndim != 3 else str(voxels.dtype)
        raise VolumeError(f"a label holds whole numbers from 0, one per voxel; this one is {what}")
    lowest = int(voxels.min())
    if lowest < 0:
        raise VolumeError(f"a label holds whole numbers from 0; this one holds {lowest}")
    return tuple(int(value) for value in np.unique(voxels) if value)


def _listed(grid: RawGrid) -> str:
    return "x".join(map(str, grid.shape_ijk))
