"""MetaImage: .mha with its data, or .mhd with a data file of a plain name in the same folder.

    TransformMatrix = row per voxel axis: its unit direction in LPS
    ElementSpacing  = mm per voxel axis          Offset = LPS of voxel (0, 0, 0)

Header and data are read here rather than by ITK, so that a header can name no file but its
neighbour, short data are noticed and no direction is rounded.
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
from segsam.imaging.formats.raw import RawImage, check_data_size, inflate, reading
from segsam.imaging.geometry import affine_of, checked_affine, spacing_of, swap_lps_ras
from segsam.imaging.voxels import check_declared_shape, squeezed_shape
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
_WRITE_PIECE = 2**24


def read_metaimage(path: Path) -> RawImage:
    """Voxels in their stored type. Raises VolumeError, also for data in another folder."""
    with reading(path, "MetaImage"), path.open("rb") as stream:
        header = _read_header(stream, path.name)
        sides = [int(text) for text in header["DimSize"].split()]
        if len(sides) != int(header.get("NDims", "0")) or len(sides) < 2:
            raise VolumeError(
                f"{path.name}: an image of 2 or 3 dimensions is wanted; the header says NDims "
                f"{header.get('NDims')} with DimSize {header['DimSize']}."
            )
        check_declared_shape(sides, path.name)
        ijk = squeezed_shape(sides, path.name)
        affine = checked_affine(_affine_ras(header, len(sides)), path.name)
        data_path = _data_path(header, path)
        if data_path is None:
            array = _read_data(stream, header, ijk, path)
        else:
            with data_path.open("rb") as data_stream:
                array = _read_data(data_stream, header, ijk, data_path)
        return RawImage(array, affine, _modality(header))


def _read_header(stream: BinaryIO, name: str) -> dict[str, str]:
    """The `key = value` lines up to ElementDataFile, which is always the last."""
    header: dict[str, str] = {}
    read = 0
    while "ElementDataFile" not in header:
        line = stream.readline(_HEADER_LIMIT - read)
        read += len(line)
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals:
            raise VolumeError(
                f"{name} is not MetaImage: lines of the form key = value up to ElementDataFile are "
                "wanted."
            )
        header[key.strip()] = value.strip()
    if "DimSize" not in header or "ElementType" not in header:
        raise VolumeError(f"{name} is not a MetaImage with DimSize and ElementType.")
    return header


def _data_path(header: Mapping[str, str], path: Path) -> Path | None:
    """The neighbour that holds the voxels; None when they follow the header."""
    named = header["ElementDataFile"]
    if named == "LOCAL":
        return None
    is_plain = named and not set(named) & set("/\\:%\0") and named not in (".", "..", "LIST")
    neighbour = path.parent / named if is_plain else None
    if neighbour is None or neighbour.resolve().parent != path.parent.resolve():
        raise VolumeError(
            f"{path.name} keeps its voxels in {named!r}, which is not followed; only a plain file "
            "name in the same folder is."
        )
    if not neighbour.is_file():
        raise VolumeError(f"{path.name} keeps its voxels in {named!r}, which is not beside it.")
    return neighbour


def _is_true(header: Mapping[str, str], key: str) -> bool:
    return header.get(key, "False").lower() in ("true", "1", "yes")


def _read_data(
    stream: BinaryIO, header: Mapping[str, str], ijk: tuple[int, int, int], path: Path
) -> NDArray[np.generic]:
    kind, channels = header["ElementType"], int(header.get("ElementNumberOfChannels", "1"))
    if kind not in _TYPES or (channels != 1 and (channels, kind) != (3, "MET_UCHAR")):
        raise VolumeError(
            f"{path.name}: voxels must be single numbers or 8-bit colour; "
            f"these are {channels} x {kind}."
        )
    is_msb = _is_true(header, "BinaryDataByteOrderMSB") or _is_true(header, "ElementByteOrderMSB")
    dtype = np.dtype((">" if is_msb else "<") + _TYPES[kind])
    declared = math.prod(ijk) * channels * dtype.itemsize
    compressed = _is_true(header, "CompressedData")
    held = path.stat().st_size - stream.tell()
    check_data_size(declared, held, path.name, compressed=compressed)
    if compressed:
        data = inflate(stream, declared, path.name)
    else:
        # -1: the voxels are the last bytes of the file.
        skip = int(header.get("HeaderSize", "0"))
        stream.seek(held - declared if skip == -1 else max(skip, 0), 1)
        data = np.fromfile(stream, dtype=np.uint8, count=declared)
    values = data.view(dtype)
    if channels == 3:
        return np.moveaxis(values.reshape((3, *ijk), order="F"), 0, 3)
    return values.reshape(ijk, order="F")


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
    directions, spacing_mm, origin = np.eye(3), np.ones(3), np.zeros(3)
    directions[:used, :used] = matrix[:used, :used].T
    spacing_mm[:used] = spacing[:used]
    origin[:used] = offset[:used]
    return swap_lps_ras(affine_of(directions, spacing_mm, origin))


def _modality(header: Mapping[str, str]) -> str | None:
    """MET_MOD_CT -> CT; other words do not name one."""
    word = header.get("Modality", "").removeprefix("MET_MOD_")
    return word if word in ("CT", "MR", "US") else None


def write_metaimage(path: Path, voxels: Voxels, affine_ras: Affine) -> None:
    """Compressed .mha in LPS, every number with 17 digits so that it comes back exactly."""
    kinds = {code: name for name, code in _TYPES.items()}
    kind = kinds.get(voxels.dtype.str[1:])
    if kind is None:
        raise OutputError(f"MetaImage cannot hold {voxels.dtype} voxels; write .nrrd instead.")
    if voxels.ndim == 4:
        voxels = np.moveaxis(voxels, 3, 0)
    data = zlib.compress(voxels.tobytes(order="F"), 4)
    lines = _header_lines(affine_ras, voxels.shape[-3:], kind)
    lines += [f"ElementNumberOfChannels = {3 if voxels.ndim == 4 else 1}"]
    lines += [f"CompressedDataSize = {len(data)}", f"ElementType = {kind}"]
    text = "\n".join([*lines, "ElementDataFile = LOCAL", ""])
    with path.open("wb") as stream:
        stream.write(text.encode("ascii"))
        stream.write(data)


def _header_lines(affine_ras: Affine, ijk: tuple[int, ...], kind: str) -> list[str]:
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
