"""Reader of labels: whole numbers on the voxels of their image, with the names in their file.

Any format of `readers` can hold labels. A segmentation of 3D Slicer or of DICOM is read by its
segments; it may have several layers, and it names its values, as an extension of NIfTI's header
may. Labels are placed by geometry (`label_geometry`). A picture has no geometry, so its pixels lie
on those of its image in their order; of a palette, its indices are the labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.errors import LabelError
from segsam.imaging.formats.dicom_segmentation import (
    is_dicom_segmentation,
    read_dicom_segmentation,
    read_dicom_segments,
)
from segsam.imaging.formats.metaimage import stored_metaimage
from segsam.imaging.formats.nifti import read_nifti_names, stored_nifti
from segsam.imaging.formats.nrrd_file import stored_nrrd
from segsam.imaging.formats.picture_file import read_picture_labels
from segsam.imaging.formats.raw import RawGrid, reading
from segsam.imaging.formats.seg_nrrd import (
    Segmentation,
    StoredSegment,
    read_segment_values,
    read_segmentation,
    read_segments,
)
from segsam.imaging.formats.stored_voxels import StoredVoxels
from segsam.imaging.image_files import Format, kind_of
from segsam.imaging.label_geometry import Grid, Placement, place_label
from segsam.imaging.readers import read_grid, read_image
from segsam.imaging.voxels import check_finite, to_volume_voxels
from segsam.types import Affine, LabelArray, Voxels

_MAX_VALUE = 2**32 - 1
_MOST_VALUES = 2**16
"""Most values of a label file; an image that was sent as a label has more."""
_ROUNDING = 1e-4
"""Largest difference from a whole number that scaled integers and single precision leave."""
_DIMENSIONS = 3
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

    def map_of(self, value: int) -> LabelArray:
        """Return the map that holds a value; the first one if none does."""
        return next((each for each in self.maps if (each == value).any()), self.maps[0])

    def as_one_map(self) -> LabelArray:
        """Return the one label map. Raises LabelError if segments overlap."""
        if len(self.maps) > 1:
            shared = np.count_nonzero(np.sum([each != 0 for each in self.maps], axis=0) > 1)
            raise LabelError(
                f"expected one value per voxel, got segments that overlap in {shared} voxels"
            )
        return self.maps[0]


def read_labels(path: Path, image: Grid) -> Labels:
    """Read a label file onto the voxels of `image`, or of its geometry.

    Whole numbers may be stored as floating point numbers, or scaled, also with what rounding left.

    Raises:
        LabelError: a label that lies elsewhere, or whose voxels are not whole numbers from 0.
        VolumeError: a file that cannot be read.
    """
    if _has_short_header(path):  # a label that lies elsewhere is refused before it is read
        placement_of(path, image)
    stored = _read_stored(path, image.affine_ras)
    placement = stored.placement(image)
    placed = tuple(placement.place(_whole_numbers(each, path)) for each in stored.maps)
    return Labels(placed, stored.names)


def read_label_values(path: Path, image: Grid) -> tuple[int, ...]:
    """Read which values other than 0 a label holds, in ascending order.

    The file is read block by block, so that a label takes no memory. Raises the errors of
    `read_labels`.
    """
    stored = _stored(path)
    segments = read_segment_values(path) if _is_nrrd(path) else None
    if stored is None or (segments is None and len(stored.shape) > _DIMENSIONS):
        return read_labels(path, image).values
    placement_of(path, image)
    if segments is not None:
        return tuple(sorted(segments))
    found: set[int] = set()
    largest = 0.0
    with reading(path, "a label"):
        for block in stored.values():
            if block.dtype.kind == "f":
                largest = max(largest, float(np.abs(block).max()))
                block = _without_rounding(block)
            ends = {int(block.min()), int(block.max())}
            found.update(ends if len(ends) == 1 else map(int, np.unique(block).tolist()))
            if len(found) > _MOST_VALUES:
                raise LabelError(f"{_EXPECTED}; this one holds more than {_MOST_VALUES} of them")
    wrong = [
        value for value in (min(found, default=0), max(found, default=0)) if _is_no_value(value)
    ]
    if wrong:
        raise LabelError(f"{_EXPECTED}; this one holds {wrong[0]:g}")
    _check_not_tiny(largest, max(found, default=0))
    return tuple(sorted(found - {0}))


def placement_of(path: Path, image: Grid) -> Placement:
    """Find how the label in a file lies on `image`, from its header if the format allows it.

    Raises:
        LabelError: a label that lies elsewhere.
        VolumeError: a file that cannot be read.
    """
    if not _has_short_header(path):
        return _read_stored(path, image.affine_ras).placement(image)
    is_cropped = _is_nrrd(path) and bool(read_segments(path))
    return place_label(read_grid(path), image, may_be_cropped=is_cropped)


def _has_short_header(path: Path) -> bool:
    """Return True for a format whose geometry is read without its voxels."""
    return _is_nrrd(path) or _format_of(path) in {"NIfTI", "MetaImage"}


def label_planes(path: Path) -> Iterator[NDArray[np.integer[Any]]] | None:
    """Return the planes (i, j) of a label in the order of its file, one in memory at a time.

    None for formats that are read as a whole, and for segmentations by their segments. Raises
    VolumeError while they are read.
    """
    stored = _stored(path)
    if (
        stored is None
        or len(stored.shape) != _DIMENSIONS
        or (_is_nrrd(path) and read_segments(path))
    ):
        return None
    return _planes(stored, path)


def _planes(stored: StoredVoxels, path: Path) -> Iterator[NDArray[np.integer[Any]]]:
    i, j = stored.shape[:2]
    is_float = stored.value_type.kind == "f"
    with reading(path, "a label"):
        for block in stored.values(i * j):
            # Values were found to be whole but for rounding, and at most `_MAX_VALUE`.
            whole = np.rint(block) if is_float else block
            numbers = whole.astype(np.uint32 if is_float else stored.value_type)
            yield numbers.reshape((i, j), order="F")


def _stored(path: Path) -> StoredVoxels | None:
    """Where the voxels of a label lie; None for a format that is read as a whole."""
    if _is_nrrd(path):
        return stored_nrrd(path)
    if _format_of(path) == "MetaImage":
        return stored_metaimage(path)
    return stored_nifti(path) if _format_of(path) == "NIfTI" else None


def _without_rounding(block: NDArray[Any]) -> NDArray[Any]:
    """Return floating point numbers as the whole ones from 0 that they are but for rounding.

    Raises LabelError.
    """
    whole: NDArray[Any] = np.rint(block)
    is_right = (whole >= 0) & (whole <= _MAX_VALUE) & (np.abs(block - whole) <= _ROUNDING)
    if not is_right.all():
        raise LabelError(f"{_EXPECTED}; this one holds {block[~is_right][0]!s}")
    return whole


def _check_not_tiny(largest: float, highest: int) -> None:
    """Refuse numbers that are other than 0 and all round to it: a map of diffusion in m²/s."""
    if largest and not highest:
        raise LabelError(f"{_EXPECTED}; this one holds numbers other than 0 up to {largest:g} only")


def has_rounding(path: Path) -> bool:
    """Return True for a label that holds floating point numbers beside whole ones.

    Another program that cuts their fractions off would make 0 of 0.9999999. Raises VolumeError.
    """
    stored = _stored(path)
    if stored is None or stored.value_type.kind != "f":
        return False
    with reading(path, "a label"):
        return any(bool((np.rint(block) != block).any()) for block in stored.values())


def _is_no_value(value: int) -> bool:
    return not 0 <= value <= _MAX_VALUE


@dataclass(frozen=True, eq=False)
class _StoredLabels:
    """Label maps as their file holds them, where they lie, and the names of their values."""

    maps: tuple[Voxels, ...]
    affine_ras: Affine | None
    """None for a picture, which lies on its image."""
    names: Mapping[int, str]
    may_be_cropped: bool = False

    def placement(self, image: Grid) -> Placement:
        """Find how the maps lie on `image`. Raises LabelError if they lie elsewhere."""
        i, j, k = (*self.maps[0].shape[:3], 1, 1)[:3]
        affine = image.affine_ras if self.affine_ras is None else self.affine_ras
        return place_label(RawGrid((i, j, k), affine), image, may_be_cropped=self.may_be_cropped)


def _read_stored(path: Path, image_ras: Affine) -> _StoredLabels:
    if _format_of(path) == "picture":
        return _StoredLabels((read_picture_labels(path).voxels,), None, {})
    segmentation = _segmentation(path, image_ras)
    if segmentation is not None:
        names = {segment.value: segment.name for segment in segmentation.segments}
        return _StoredLabels(segmentation.maps, segmentation.affine_ras, names, True)
    raw = read_image(path)
    return _StoredLabels((raw.voxels,), raw.affine_ras, read_label_names(path))


def _segmentation(path: Path, image_ras: Affine) -> Segmentation | None:
    if _is_nrrd(path):
        return read_segmentation(path)
    return read_dicom_segmentation(path, image_ras) if _is_dicom(path) else None


def read_label_names(path: Path) -> dict[int, str]:
    """Read the names that a label file gives its values, from its header. Raises VolumeError."""
    return {segment.value: segment.name for segment in read_named_values(path)}


def read_named_values(path: Path) -> tuple[StoredSegment, ...]:
    """Read the values that a label file names, from its header. Raises VolumeError."""
    if _format_of(path) == "NIfTI":
        table = read_nifti_names(path).items()
        named = (StoredSegment.named(text, "", 0, value, value) for value, text in table)
        return tuple(segment for segment in named if segment.name)
    if _is_nrrd(path):
        return read_segments(path)
    return read_dicom_segments(path) if _is_dicom(path) else ()


def _is_dicom(path: Path) -> bool:
    """Return True for a DICOM segmentation, by its content."""
    return _format_of(path) in {"DICOM", None} and is_dicom_segmentation(path)


def _format_of(path: Path) -> Format | None:
    """Format by the ending of the name; None for an unknown one."""
    kind = kind_of(path.name)
    return None if kind is None else kind.format


def _is_nrrd(path: Path) -> bool:
    return path.name.lower().endswith(".nrrd")


def _whole_numbers(stored: Voxels, path: Path) -> LabelArray:
    """The voxels in the smallest unsigned type that holds them."""
    voxels = to_volume_voxels(stored, path.name)
    check_finite(voxels, path.name)
    if voxels.ndim != 3:
        raise LabelError(f"{_EXPECTED}, one per voxel; this one is colour")
    if voxels.dtype.kind == "f":
        largest = float(np.abs(voxels).max())
        voxels = _without_rounding(voxels)
        _check_not_tiny(largest, int(voxels.max()))
    lowest, highest = voxels.min().item(), voxels.max().item()
    if lowest < 0 or highest > _MAX_VALUE:
        raise LabelError(f"{_EXPECTED}; this one holds {lowest if lowest < 0 else highest:g}")
    whole: LabelArray = voxels.astype(np.min_scalar_type(int(highest)), copy=False)
    return whole
