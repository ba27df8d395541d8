"""MetaImage: .mha with its data, or .mhd with a data file of a plain name in the same folder.

    TransformMatrix = row per voxel axis: its unit direction in LPS
    ElementSpacing  = mm per voxel axis          Offset = LPS of voxel (0, 0, 0)

Header and data are read here and not by ITK. A header can then name only a file in its own folder,
truncated data are noticed, and directions are not rounded.
See https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.raw import (
    RawGrid,
    RawImage,
    check_data_size,
    declared_sizes,
    header_text,
    neighbour,
    numbers_of_text,
    other_unit,
    reading,
    voxel_offset,
)
from segsam.imaging.formats.stored_voxels import StoredVoxels
from segsam.imaging.geometry import compose_affine, spacing_of, swap_lps_ras, validated_affine
from segsam.imaging.voxels import planes_in_order, squeeze_shape
from segsam.types import Affine, Voxels

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_HEADER_LIMIT = 65_536
_FREE = frozenset({"Comment", "Name"})
"""Fields of free text, which may come several times."""
_LEVEL = 4


def read_metaimage(path: Path) -> RawImage:
    """Read voxels in their stored type. Raises VolumeError, also for data in another folder."""
    with reading(path, "MetaImage"):
        opened = _open(path)
        header = opened.header
        stored = opened.stored
        values = _numbers(opened) if stored is None else stored.unpacked()
        voxels = values.reshape(opened.shape, order="F")
        if voxels.ndim > len(opened.ijk):
            voxels = np.moveaxis(voxels, 0, 3)
        return RawImage(voxels, opened.affine_ras, _modality(header), _notes(header, path.name))


def read_metaimage_grid(path: Path) -> RawGrid:
    """Read shape and affine from the header; no voxel is read. Raises VolumeError."""
    with reading(path, "MetaImage"):
        opened = _open(path)
        _ = opened.stored  # raises for voxels that cannot be read
        return RawGrid(opened.ijk, opened.affine_ras, _notes(opened.header, path.name))


def stored_metaimage(path: Path) -> StoredVoxels | None:
    """Read where the voxels of a file lie, from its header; None for voxels written as text.

    Raises VolumeError.
    """
    with reading(path, "MetaImage"):
        return _open(path).stored


@dataclass(frozen=True, eq=False)
class _Opened:
    """Header of a file, and where its voxels are."""

    header: Mapping[str, str]
    ijk: tuple[int, int, int]
    affine_ras: Affine
    data_path: Path
    begin: int
    """Place in `data_path` after the header."""

    @property
    def channels(self) -> int:
        """Number of numbers in a voxel."""
        return int(self.header.get("ElementNumberOfChannels", "1"))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides in the order of the file, the fastest first."""
        return self.ijk if self.channels == 1 else (self.channels, *self.ijk)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers in the file. Raises VolumeError for one that is no image's."""
        header, kind = self.header, self.header["ElementType"]
        is_colour = (self.channels, kind) == (3, "MET_UCHAR")
        if kind not in _TYPES or (self.channels != 1 and not is_colour):
            raise VolumeError(
                f"{self.data_path.name}: voxels must be single numbers or 8-bit colour; "
                f"these are {self.channels} x {kind}."
            )
        orders = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
        big = {_is_true(header, key) for key in orders if key in header}
        if len(big) > 1:
            raise VolumeError(
                f"{self.data_path.name}: expected one byte order, got two ({' and '.join(orders)})."
            )
        return np.dtype((">" if True in big else "<") + _TYPES[kind])

    @property
    def stored(self) -> StoredVoxels | None:
        """Place of the voxels; None for voxels that are written as text. Raises VolumeError."""
        header, dtype, path = self.header, self.dtype, self.data_path
        if not _is_true(header, "BinaryData") and "BinaryData" in header:
            return None
        is_packed, skip = _is_true(header, "CompressedData"), int(header.get("HeaderSize", "0"))
        with path.open("rb") as stream:
            stream.seek(self.begin)
            declared = math.prod(self.shape) * dtype.itemsize
            offset = voxel_offset(stream, declared, path, compressed=is_packed, skip=skip)
        return StoredVoxels(path, dtype, self.shape, offset, is_compressed=is_packed)


def _open(path: Path) -> _Opened:
    with path.open("rb") as stream:
        header = _read_header(stream, path.name)
        begin = stream.tell()
    sizes = declared_sizes(header["DimSize"].split(), header.get("NDims", "0"), path.name)
    ijk = squeeze_shape(sizes, path.name)
    affine = validated_affine(_affine_ras(header, len(sizes), path.name), path.name)
    data_path = _data_path(header, path)
    if data_path is None:
        return _Opened(header, ijk, affine, path, begin)
    return _Opened(header, ijk, affine, data_path, 0)


def _numbers(opened: _Opened) -> NDArray[np.generic]:
    """Voxels that are written as text."""
    path, count = opened.data_path, math.prod(opened.shape)
    # At least one digit and one separator per number.
    check_data_size(2 * count - 1, path.stat().st_size - opened.begin, path.name, compressed=False)
    with path.open("rb") as stream:
        stream.seek(opened.begin)
        return numbers_of_text(stream.read(), opened.dtype, count, path.name)


def data_file_of(path: Path) -> Path | None:
    """Return the file with the voxels of a header; None if they are in the same file.

    Raises VolumeError, also for data in another folder.
    """
    with reading(path, "MetaImage"), path.open("rb") as stream:
        return _data_path(_read_header(stream, path.name), path)


def _read_header(stream: BinaryIO, name: str) -> dict[str, str]:
    """Read the `key = value` lines up to ElementDataFile, which is always the last."""
    header: dict[str, str] = {}
    read = 0
    while "ElementDataFile" not in header:
        line = stream.readline(_HEADER_LIMIT - read)
        read += len(line)
        key, equals, value = header_text(line).partition("=")
        if not equals:
            raise VolumeError(
                f"{name} is not MetaImage: expected lines of the form key = value up to "
                "ElementDataFile."
            )
        field, text = key.strip(), value.strip()
        if header.get(field, text) != text and field not in _FREE:
            raise VolumeError(f"{name}: expected each field once, got two {field!r:.80}.")
        header[field] = text
    if "DimSize" not in header or "ElementType" not in header:
        raise VolumeError(f"{name} is not a MetaImage with DimSize and ElementType.")
    return header


def _data_path(header: Mapping[str, str], path: Path) -> Path | None:
    """Path of the file that holds the voxels; None if they follow the header."""
    name = header["ElementDataFile"]
    return None if name == "LOCAL" else neighbour(path, name)


def _is_true(header: Mapping[str, str], key: str) -> bool:
    """Return True for words that begin as ITK's do, T, t or 1; a missing one is False."""
    return header.get(key, "False")[:1] in ("T", "t", "1")


def _given(header: Mapping[str, str], keys: Sequence[str], name: str) -> str | None:
    """Return what one of these fields of one meaning says. Raises VolumeError if others differ."""
    texts = [header[key] for key in keys if key in header]
    if any(text.split() != texts[0].split() for text in texts):
        raise VolumeError(
            f"{name}: expected one of the fields {', '.join(keys)}, or the same in each, got "
            f"{' and '.join(repr(text) for text in texts):.80}."
        )
    return texts[0] if texts else None


def _affine_ras(header: Mapping[str, str], dimension: int, name: str) -> Affine:
    def numbers(*keys: str, default: NDArray[Any]) -> NDArray[np.float64]:
        text = _given(header, keys, name)
        return np.asarray(default if text is None else text.split(), dtype=np.float64)

    matrix = numbers(
        "TransformMatrix", "Rotation", "Orientation", default=np.eye(dimension)
    ).reshape(dimension, dimension)
    size = numbers("ElementSize", default=np.ones(dimension))  # smaller if there are gaps
    spacing = numbers("ElementSpacing", default=size)
    offset = numbers("Offset", "Position", "Origin", default=np.zeros(dimension))
    used = min(dimension, 3)
    directions, spacing_mm, origin_lps = np.eye(3), np.ones(3), np.zeros(3)
    directions[:used, :used] = matrix[:used, :used].T
    spacing_mm[:used] = spacing[:used]
    origin_lps[:used] = offset[:used]
    return swap_lps_ras(compose_affine(directions, spacing_mm, origin_lps))


def _modality(header: Mapping[str, str]) -> str | None:
    """MET_MOD_CT becomes CT; None for words that do not name a modality."""
    word = header.get("Modality", "").removeprefix("MET_MOD_")
    return word if word in ("CT", "MR", "US") else None


def _notes(header: Mapping[str, str], name: str) -> tuple[str, ...]:
    slope = float(header.get("ElementToIntensityFunctionSlope", "1"))
    offset = float(header.get("ElementToIntensityFunctionOffset", "0"))
    unit = header.get("DistanceUnits", "mm").strip('"')
    notes = () if unit.lower() in {"mm", "", "?"} else (other_unit(name, unit),)
    if (slope, offset) == (1, 0):
        return notes
    return (
        *notes,
        f"{name} gives a slope of {slope:g} and an offset of {offset:g} for its values; as in ITK, "
        "the values were read as they are stored.",
    )


def write_metaimage(path: Path, voxels: Voxels, affine_ras: Affine) -> None:
    """Write a compressed .mha in LPS, with 17 digits per number so that it is read back exactly.

    Raises OutputError for a data type that MetaImage does not have.
    """
    kinds = {code: name for name, code in reversed(_TYPES.items())}
    kind = kinds.get(voxels.dtype.str[1:])
    if kind is None:
        raise OutputError(f"MetaImage cannot hold {voxels.dtype} voxels; write .nrrd instead.")
    if voxels.ndim == 4:
        voxels = np.moveaxis(voxels, 3, 0)
    coder = zlib.compressobj(_LEVEL)
    packed = [*map(coder.compress, planes_in_order(voxels)), coder.flush()]
    lines = _header_lines(affine_ras, voxels.shape[-3:])
    lines += [f"ElementNumberOfChannels = {3 if voxels.ndim == 4 else 1}"]
    lines += [f"CompressedDataSize = {sum(map(len, packed))}", f"ElementType = {kind}"]
    text = "\n".join([*lines, "ElementDataFile = LOCAL", ""])
    with path.open("wb") as stream:
        stream.write(text.encode("ascii"))
        stream.writelines(packed)


def _header_lines(affine_ras: Affine, ijk: tuple[int, ...]) -> list[str]:
    affine_lps = swap_lps_ras(affine_ras)
    spacing = np.asarray(spacing_of(affine_lps))
    directions = (affine_lps[:3, :3] / spacing).T

    def text(values: NDArray[np.float64]) -> str:
        return " ".join(f"{value:.17g}" for value in values.ravel())

    return [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"TransformMatrix = {text(directions)}",
        f"Offset = {text(affine_lps[:3, 3])}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {text(spacing)}",
        f"DimSize = {' '.join(map(str, ijk))}",
    ]
