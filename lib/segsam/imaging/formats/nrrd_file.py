"""NRRD with its data in the same file, or .nhdr with a data file of a plain name beside it.

    space directions: (3 mm) (3 mm) (3 mm)     one vector per voxel axis: the affine's COLUMNS
    space: left-posterior-superior             or RAS, LAS

The header is parsed by pynrrd, after `nrrd_text` has decoded its lines. A .nrrd that names a
separate data file is refused before anything is opened: a file must not make the program read
another one. A .nhdr exists for that; its data file may only be in its own folder.
See https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import nrrd
import numpy as np
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.formats.nrrd_geometry import affine_of, is_in_patient, spatial_axes
from segsam.imaging.formats.nrrd_text import header_lines, header_list, write_with_fields
from segsam.imaging.formats.raw import (
    SKIP_TO_LAST_BYTES,
    RawGrid,
    RawImage,
    check_data_size,
    declared_sizes,
    neighbour,
    numbers_of_text,
    other_unit,
    reading,
    voxel_offset,
)
from segsam.imaging.formats.stored_voxels import StoredVoxels
from segsam.imaging.geometry import swap_lps_ras, validated_affine
from segsam.imaging.voxels import shape_text, squeeze_shape
from segsam.types import Affine, Voxels

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_MILLIMETRES = frozenset({"mm", "millimeter", "millimetre", "millimeters", "", "???", "none"})
"""Units of lengths that need no note: millimetres, and none."""
_SEGMENT_FIELD = re.compile(r"Segment\d+_(ID|Name|LabelValue|Layer)")
_GZIP, _RAW, _TEXT = ("gzip", "gz"), ("raw",), ("ascii", "text", "txt")


@dataclass(frozen=True, eq=False)
class _Header:
    """Parsed header, the length of every axis, the axes that lie in space, and the affine."""

    fields: Mapping[str, Any]
    sizes: list[int]
    spatial_axes: list[int]
    affine_ras: Affine
    data_path: Path | None
    """File of the voxels; None if they follow the header."""


def read_nrrd(path: Path) -> RawImage:
    """Read voxels in their stored type. Raises VolumeError, also for data in another file."""
    with reading(path, "NRRD"), path.open("rb") as stream:
        header = _read_header(stream, path)
        spatial = header.spatial_axes
        layers = _layers(header)
        if layers > 1:
            raise VolumeError(
                f"{path.name}: expected an image, got a segmentation whose segments overlap, in "
                f"{layers} layers."
            )
        voxels = _to_volume_shape(_read_in_order(stream, header, path), len(spatial))
        return RawImage(voxels, header.affine_ras, None, _notes(header.fields, path.name))


def stored_nrrd(path: Path) -> StoredVoxels | None:
    """Read where the voxels of a file lie, from its header; None for voxels written as text.

    Raises VolumeError.
    """
    with reading(path, "NRRD"), path.open("rb") as stream:
        return _stored(stream, _read_header(stream, path), path)


@dataclass(frozen=True, eq=False)
class NrrdLayers:
    """Layers (i, j, k) of a segmentation, their affine, and the fields of the header."""

    layers: tuple[Voxels, ...]
    affine_ras: Affine
    fields: Mapping[str, Any]


def read_nrrd_layers(path: Path) -> NrrdLayers | None:
    """Read a segmentation of 3D Slicer; None for a NRRD without segments. Raises VolumeError."""
    with reading(path, "NRRD"), path.open("rb") as stream:
        header = _read_header(stream, path)
        if not is_segmentation(header.fields):
            return None
        array = _read_in_order(stream, header, path)
        shape = squeeze_shape(array.shape[: len(header.spatial_axes)], path.name)
        stacked = array.reshape((*shape, -1))
        layers = tuple(stacked[..., layer] for layer in range(stacked.shape[3]))
        return NrrdLayers(layers, header.affine_ras, header.fields)


@dataclass(frozen=True, eq=False)
class StoredLayers:
    """Voxels of a segmentation in its file, and the axis of its layers (None for one layer)."""

    voxels: StoredVoxels
    axis: int | None
    fields: Mapping[str, Any]

    @property
    def count(self) -> int:
        """Number of layers."""
        return 1 if self.axis is None else self.voxels.shape[self.axis]


def stored_nrrd_layers(path: Path) -> StoredLayers | None:
    """Read where the layers of a segmentation lie; None without segments, or for voxels as text.

    Raises VolumeError.
    """
    with reading(path, "NRRD"), path.open("rb") as stream:
        header = _read_header(stream, path)
        stored = _stored(stream, header, path) if is_segmentation(header.fields) else None
        if stored is None:
            return None
        others = [axis for axis in range(len(header.sizes)) if axis not in header.spatial_axes]
        return StoredLayers(stored, others[0] if others else None, header.fields)


def read_nrrd_segment_fields(path: Path) -> tuple[Mapping[str, Any], int] | None:
    """Read header fields and number of layers of a segmentation; None for a NRRD without segments.

    No voxel is read. Raises VolumeError.
    """
    with reading(path, "NRRD"), path.open("rb") as stream:
        header = _read_header(stream, path)
        return (header.fields, _layers(header)) if is_segmentation(header.fields) else None


def is_segmentation(fields: Mapping[str, Any]) -> bool:
    """Return True if a header describes segments, as 3D Slicer writes them."""
    return any(_SEGMENT_FIELD.fullmatch(key) for key in fields)


def _layers(header: _Header) -> int:
    """Number of layers: 1 but for a segmentation whose segments overlap."""
    others = [side for axis, side in enumerate(header.sizes) if axis not in header.spatial_axes]
    return math.prod(others) if is_segmentation(header.fields) else 1


def _read_in_order(stream: BinaryIO, header: _Header, path: Path) -> NDArray[np.generic]:
    """Voxels with the axes in space first."""
    array = _read_data(stream, header, path)
    spatial = header.spatial_axes
    others = [axis for axis in range(len(header.sizes)) if axis not in spatial]
    return array.transpose((*spatial, *others))


def read_nrrd_grid(path: Path) -> RawGrid:
    """Read shape and affine from the header; no voxel is read. Raises VolumeError."""
    with reading(path, "NRRD"), path.open("rb") as stream:
        header = _read_header(stream, path)
        shape = [header.sizes[axis] for axis in header.spatial_axes]
        ijk = squeeze_shape(shape, path.name)
        return RawGrid(ijk, header.affine_ras, _notes(header.fields, path.name))


def _read_header(stream: BinaryIO, path: Path) -> _Header:
    name = path.name
    if stream.read(4) != b"NRRD":
        raise VolumeError(f"{name} is not NRRD: the file must begin with NRRD.")
    stream.seek(0)
    fields = nrrd.read_header(header_lines(stream, name))
    data_path = _data_path(fields, path)
    sizes = declared_sizes(fields["sizes"], fields["dimension"], name)
    spatial = spatial_axes(fields, len(sizes), name)
    _check_layout(sizes, spatial, fields, name)
    affine = validated_affine(affine_of(fields, spatial, name), name)
    return _Header(fields, sizes, spatial, affine, data_path)


def _data_path(fields: Mapping[str, Any], path: Path) -> Path | None:
    """Path of the file that holds the voxels; None if they follow the header."""
    target = fields.get("data file")
    if target is None:
        return None
    if not path.name.lower().endswith(".nhdr"):
        raise VolumeError(
            f"{path.name}: expected the voxels in the same file, got a header for a separate data "
            "file; save both as one .nrrd file."
        )
    return neighbour(path, str(target).removeprefix("./"))


def _check_layout(
    sizes: list[int], spatial: list[int], header: Mapping[str, Any], name: str
) -> None:
    """Accept two or three axes in space, and one more of length 1, of length 3 for colour, or of
    any length for the layers of a segmentation.
    """
    others = [sizes[axis] for axis in range(len(sizes)) if axis not in spatial]
    if len(spatial) == 3 and len(others) == 1 and is_segmentation(header):
        return
    is_colour = others == [3] and _dtype(header, name) == np.uint8
    if len(spatial) not in (2, 3) or (any(side != 1 for side in others) and not is_colour):
        raise VolumeError(
            f"{name}: the image is {len(sizes)}D ({shape_text(sizes)}) with "
            f"{len(spatial)} axes in space; expected one 3D volume (t = 1). Extract one first."
        )


def _to_volume_shape(array: NDArray[np.generic], spatial: int) -> Voxels:
    if array.ndim > spatial and array.shape[spatial:] == (3,):
        return array if spatial == 3 else array[:, :, None, :]
    return array.reshape(squeeze_shape(array.shape, "NRRD"))


def _notes(header: Mapping[str, Any], name: str) -> tuple[str, ...]:
    units = [*header_list(header.get("space units", ())), *header_list(header.get("units", ()))]
    other = next((unit for unit in units if unit.lower() not in _MILLIMETRES), None)
    notes = () if other is None else (other_unit(name, other),)
    if is_in_patient(header):
        return notes
    return (
        *notes,
        f"{name} contains no complete patient orientation; its axes were read as left, posterior, "
        "superior (LPS), as ITK does.",
    )


def _dtype(header: Mapping[str, Any], name: str) -> np.dtype[Any]:
    type_name = str(header["type"]).lower()
    code = next((code for code, names in _TYPES.items() if type_name in names), None)
    if code is None:
        raise VolumeError(f"{name}: voxels must be numbers; the header says {type_name!r}.")
    endian = str(header.get("endian", "")).lower()
    is_in_order = code in ("i1", "u1") or str(header["encoding"]).lower() in _TEXT
    if endian not in ("little", "big") and (endian or not is_in_order):
        raise VolumeError(
            f"{name}: expected the byte order (endian) little or big, got {endian or 'none'}."
        )
    return np.dtype((">" if endian == "big" else "<") + code)


def _read_data(stream: BinaryIO, header: _Header, path: Path) -> NDArray[np.generic]:
    stored = _stored(stream, header, path)
    if stored is not None:
        return stored.unpacked().reshape(header.sizes, order="F")
    if header.data_path is None:
        return _numbers(stream, header, path)
    with header.data_path.open("rb") as data_stream:
        return _numbers(data_stream, header, header.data_path)


def _numbers(stream: BinaryIO, header: _Header, path: Path) -> NDArray[np.generic]:
    """Voxels that are written as text."""
    count, available = math.prod(header.sizes), path.stat().st_size - stream.tell()
    # At least one digit and one separator per number.
    check_data_size(2 * count - 1, available, path.name, compressed=False)
    dtype = _dtype(header.fields, path.name)
    return numbers_of_text(stream.read(), dtype, count, path.name).reshape(header.sizes, order="F")


def _stored(stream: BinaryIO, header: _Header, path: Path) -> StoredVoxels | None:
    """Where the voxels of an open header lie; None for voxels that are written as text."""
    encoding = _encoding(header.fields, path.name)
    if encoding in _TEXT:
        return None
    if header.data_path is None:
        return _stored_in(stream, header, path, is_gzip=encoding in _GZIP)
    with header.data_path.open("rb") as data_stream:
        return _stored_in(data_stream, header, header.data_path, is_gzip=encoding in _GZIP)


def _stored_in(stream: BinaryIO, header: _Header, path: Path, *, is_gzip: bool) -> StoredVoxels:
    fields, dtype = header.fields, _dtype(header.fields, path.name)
    skip = int(fields.get("byte skip", 0))
    declared = math.prod(header.sizes) * dtype.itemsize
    offset = voxel_offset(stream, declared, path, compressed=is_gzip, skip=skip)
    return StoredVoxels(path, dtype, tuple(header.sizes), offset, is_compressed=is_gzip)


def _encoding(fields: Mapping[str, Any], name: str) -> str:
    """How the voxels are written, after checking that they follow directly."""
    encoding = str(fields["encoding"]).lower()
    if encoding not in _GZIP + _RAW + _TEXT:
        raise VolumeError(f"{name}: expected the encoding gzip, raw or ascii, got {encoding!r}.")
    is_last = int(fields.get("byte skip", 0)) == SKIP_TO_LAST_BYTES and encoding in _RAW
    if int(fields.get("line skip", 0)) or not (is_last or int(fields.get("byte skip", 0)) == 0):
        raise VolumeError(
            f"{name}: expected the voxels directly after the header, got a byte or line skip."
        )
    return encoding


def write_nrrd(
    path: Path,
    voxels: Voxels,
    affine_ras: Affine,
    *,
    fields: Mapping[str, str] | None = None,
    compress: bool = True,
) -> None:
    """Write NRRD, packed by gzip unless `compress` is False, in LPS as 3D Slicer and ITK do, with
    additional header `fields`.

    Directions are the affine's columns with 17 digits, so they are read back exactly.
    """
    affine_lps = swap_lps_ras(affine_ras)
    directions = affine_lps[:3, :3].T
    kinds = ["domain", "domain", "domain"]
    if voxels.ndim == 4:
        voxels = np.moveaxis(voxels, 3, 0)
        directions = np.vstack([np.full(3, np.nan), directions])
        kinds = ["RGB-color", *kinds]
    header: dict[str, Any] = {
        "space": "left-posterior-superior",
        "space directions": directions,
        "space origin": affine_lps[:3, 3],
        "kinds": kinds,
    }
    write_with_fields(path, voxels, header, fields or {}, compress=compress)
