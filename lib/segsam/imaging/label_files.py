"""Reader of labels: whole numbers on the voxels of their image, with the names in their file.

Any format of `readers` can hold labels. A segmentation of 3D Slicer is read by its segments; it may
have several layers, and it names its values. Labels are placed by geometry (`label_geometry`). A
picture has no geometry, so its pixels lie on those of its image in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from segsam.errors import LabelError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.formats.seg_nrrd import read_segmentation, read_segments
from segsam.imaging.image_files import kind_of
from segsam.imaging.label_geometry import Grid, Placement, place_label
from segsam.imaging.readers import read_grid, read_image
from segsam.imaging.voxels import check_finite, to_volume_voxels
from segsam.types import LabelArray, Voxels

_MAX_VALUE = 2**32 - 1
_EXPECTED = "a label must hold whole numbers from 0"


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels (i, j, k) on the voxels of their image.

    `maps` is one label map, or several if segments overlap. `names` maps the values that the file
    itself names to their names; it is empty for most formats.
    """

    maps: tuple[LabelArray, ...]
    names: Mapping[int, str]

    @cached_property
    def values(self) -> tuple[int, ...]:
        """Values that occur, without 0, in ascending order."""
        found = {int(value) for each in self.maps for value in np.unique(each)}
        return tuple(sorted(found - {0}))

    def as_one_map(self) -> LabelArray:
        """Return the one label map. Raises LabelError if segments overlap."""
        if len(self.maps) > 1:
            shared = np.count_nonzero(np.sum([each != 0 for each in self.maps], axis=0) > 1)
            raise LabelError(
                f"expected one value per voxel, got segments that overlap in {shared} voxels"
            )
        return self.maps[0]


def read_labels(path: Path, image: Grid, *, integers_only: bool = False) -> Labels:
    """Read a label file onto the voxels of `image`.

    Args:
        path: file of the label.
        image: its image, or the geometry of that.
        integers_only: refuse floating point numbers, even whole ones.

    Raises:
        LabelError: a label that lies elsewhere, or whose voxels are not whole numbers from 0.
        VolumeError: a file that cannot be read.
    """
    placement = placement_of(path, image)
    segmentation = read_segmentation(path) if _is_nrrd(path) else None
    if segmentation is None:
        maps: tuple[Voxels, ...] = (read_image(path).voxels,)
        names: dict[int, str] = {}
    else:
        maps = segmentation.maps
        names = {segment.value: segment.name for segment in segmentation.segments}
    if integers_only and any(each.ndim != 3 or each.dtype.kind not in "iub" for each in maps):
        what = "colour" if maps[0].ndim != 3 else str(maps[0].dtype)
        raise LabelError(f"{_EXPECTED}, one per voxel; this one is {what}")
    return Labels(tuple(placement.place(_whole_numbers(each, path)) for each in maps), names)


def placement_of(path: Path, image: Grid) -> Placement:
    """Find how the label in a file lies on `image`, from its header if the format allows it.

    Raises:
        LabelError: a label that lies elsewhere.
        VolumeError: a file that cannot be read.
    """
    grid = read_grid(path)
    kind = kind_of(path.name)
    if kind is not None and kind.format == "picture":
        grid = RawGrid(grid.shape_ijk, image.affine_ras)
    return place_label(grid, image, may_be_cropped=_is_nrrd(path) and bool(read_segments(path)))


def read_label_names(path: Path) -> dict[int, str]:
    """Read the names that a label file gives its values, from its header. Raises VolumeError."""
    if not _is_nrrd(path):
        return {}
    return {segment.value: segment.name for segment in read_segments(path)}


def _is_nrrd(path: Path) -> bool:
    return path.name.lower().endswith(".nrrd")


def _whole_numbers(stored: Voxels, path: Path) -> LabelArray:
    """The voxels in the smallest unsigned type that holds them."""
    voxels = to_volume_voxels(stored, path.name)
    check_finite(voxels, path.name)
    if voxels.ndim != 3:
        raise LabelError(f"{_EXPECTED}, one per voxel; this one is colour")
    lowest, highest = voxels.min().item(), voxels.max().item()
    if lowest < 0 or highest > _MAX_VALUE:
        raise LabelError(f"{_EXPECTED}; this one holds {lowest if lowest < 0 else highest:g}")
    whole: LabelArray = voxels.astype(np.min_scalar_type(int(highest)), copy=False)
    if voxels.dtype.kind == "f" and not np.array_equal(whole, voxels):
        wrong = float(voxels[whole != voxels][0])
        raise LabelError(f"{_EXPECTED}; this one holds {wrong:g}")
    return whole
