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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.raw import RawImage, declared_sizes, reading, voxel_offset
from segsam.imaging.formats.stored_voxels import StoredVoxels
from segsam.imaging.geometry import compose_affine, spacing_of, swap_lps_ras, validated_affine
from segsam.imaging.voxels import squeeze_shape
from segsam.types import Affine, Voxels

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_HEADER_LIMIT = 65_536


def read_metaimage(path: Path) -> RawImage:
    """Read voxels in their stored type. Raises VolumeError, also for data in another folder."""
    with reading(path, "MetaImage"):
        header, stored, affine = _read_stored(path)
        voxels = stored.unpacked().reshape(stored.shape, order="F")
        if voxels.ndim > 3:
            voxels = np.moveaxis(voxels, 0, 3)
        return RawImage(voxels, affine, _modality(header))


def stored_metaimage(path: Path) -> StoredVoxels:
    """Read where the voxels of a file lie, and their type, from its header. Raises VolumeError."""
    with reading(path, "MetaImage"):
        return _read_stored(path)[1]


def _read_stored(path: Path) -> tuple[Mapping[str, str], StoredVoxels, Affine]:
    """Header, place of the voxels, and affine."""
    with path.open("rb") as stream:
        header = _read_header(stream, path.name)
        sizes = declared_sizes(header["DimSize"].split(), header.get("NDims", "0"), path.name)
        ijk = squeeze_shape(sizes, path.name)
        affine = validated_affine(_affine_ras(header, len(sizes)), path.name)
        data_path = _data_path(header, path)
        if data_path is None:
            return header, _stored(stream, header, ijk, path), affine
    with data_path.open("rb") as stream:
        return header, _stored(stream, header, ijk, data_path), affine


def _read_header(stream: BinaryIO, name: str) -> dict[str, str]:
    """Read the `key = value` lines up to ElementDataFile, which is always the last."""
    header: dict[str, str] = {}
    read = 0
    while "ElementDataFile" not in header:
        line = stream.readline(_HEADER_LIMIT - read)
        read += len(line)
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals:
            raise VolumeError(
                f"{name} is not MetaImage: expected lines of the form key = value up to "
                "ElementDataFile."
            )
        header[key.strip()] = value.strip()
    if "DimSize" not in header or "ElementType" not in header:
        raise VolumeError(f"{name} is not a MetaImage with DimSize and ElementType.")
    return header


def _data_path(header: Mapping[str, str], path: Path) -> Path | None:
    """Path of the file that holds the voxels; None if they follow the header.

    A header must not make the program read other files, so only a plain name is accepted, and no
    link out of the folder.
    """
    name = header["ElementDataFile"]
    if name == "LOCAL":
        return None
    is_plain = name and not set(name) & set("/\\:%\0") and name not in (".", "..", "LIST")
    data_path = path.parent / name if is_plain else None
    if data_path is None or data_path.resolve().parent != path.parent.resolve():
        raise VolumeError(
            f"{path.name}: expected the voxels in the same file or in a plain file name in the "
            f"same folder, got {name!r}."
        )
    if not data_path.is_file():
        raise VolumeError(f"{path.name}: its voxel file {name!r} is not in the same folder.")
    return data_path


def _is_true(header: Mapping[str, str], key: str) -> bool:
    return header.get(key, "False").lower() in ("true", "1", "yes")


def _stored(
    stream: BinaryIO, header: Mapping[str, str], ijk: tuple[int, int, int], path: Path
) -> StoredVoxels:
    kind, channels = header["ElementType"], int(header.get("ElementNumberOfChannels", "1"))
    if kind not in _TYPES or (channels != 1 and (channels, kind) != (3, "MET_UCHAR")):
        raise VolumeError(
            f"{path.name}: voxels must be single numbers or 8-bit colour; "
            f"these are {channels} x {kind}."
        )
    is_msb = _is_true(header, "BinaryDataByteOrderMSB") or _is_true(header, "ElementByteOrderMSB")
    dtype = np.dtype((">" if is_msb else "<") + _TYPES[kind])
    is_packed = _is_true(header, "CompressedData")
    declared = math.prod(ijk) * channels * dtype.itemsize
    skip = int(header.get("HeaderSize", "0"))
    offset = voxel_offset(stream, declared, path, compressed=is_packed, skip=skip)
    shape = ijk if channels == 1 else (channels, *ijk)
    return StoredVoxels(path, dtype, shape, offset, is_compressed=is_packed)


def _affine_ras(header: Mapping[str, str], dimension: int) -> Affine:
    def numbers(*keys: str, default: NDArray[Any]) -> NDArray[np.float64]:
        text = next((header[key] for key in keys if key in header), None)
        return np.asarray(default if text is None else text.split(), dtype=np.float64)

    matrix = numbers(
        "TransformMatrix", "Rotation", "Orientation", default=np.eye(dimension)
    ).reshape(dimension, dimension)
    spacing = numbers("ElementSpacing", "ElementSize", default=np.ones(dimension))
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


def write_metaimage(path: Path, voxels: Voxels, affine_ras: Affine) -> None:
    """Write a compressed .mha in LPS, with 17 digits per number so that it is read back exactly.

    Raises OutputError for a data type that MetaImage does not have.
    """
    kinds = {code: name for name, code in _TYPES.items()}
    kind = kinds.get(voxels.dtype.str[1:])
    if kind is None:
        raise OutputError(f"MetaImage cannot hold {voxels.dtype} voxels; write .nrrd instead.")
    if voxels.ndim == 4:
        voxels = np.moveaxis(voxels, 3, 0)
    data = zlib.compress(voxels.tobytes(order="F"), 4)
    lines = _header_lines(affine_ras, voxels.shape[-3:])
    lines += [f"ElementNumberOfChannels = {3 if voxels.ndim == 4 else 1}"]
    lines += [f"CompressedDataSize = {len(data)}", f"ElementType = {kind}"]
    text = "\n".join([*lines, "ElementDataFile = LOCAL", ""])
    with path.open("wb") as stream:
        stream.write(text.encode("ascii"))
        stream.write(data)


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
