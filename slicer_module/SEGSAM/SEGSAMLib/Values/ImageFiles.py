"""Volumes and labels as NRRD files for the server, written from numpy in a worker thread."""

from __future__ import annotations

import hashlib
import re
import struct
import tempfile
import zlib
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Iterator, Mapping

import numpy as np

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import VolumeGrid

_CHUNK = 1 << 20
_IN_MEMORY = 64 << 20
_HEAD = 1 << 16
_TYPES = {
    "i1": "int8",
    "u1": "uint8",
    "i2": "int16",
    "u2": "uint16",
    "i4": "int32",
    "u4": "uint32",
    "i8": "int64",
    "u8": "uint64",
    "f4": "float",
    "f8": "double",
}
Check = Callable[[], None]


@dataclass(frozen=True, eq=False)
class ImagePayload:
    """Volume to send to the server.

    `array_kji` is a view of the scene's own memory, with a fourth axis for colour. `key` changes
    whenever voxels or geometry do. `image_id` is set if the volume came from the server and was not
    changed since.
    """

    array_kji: np.ndarray
    grid: VolumeGrid
    key: str
    image_id: str = ""


@dataclass(frozen=True, eq=False)
class LabelPayload:
    """Label map to save for the image `image_id`.

    `version` is the version that the user started from: 0 for none, None if unknown. `names` maps
    voxel values to names. `overlaps` counts voxels that several segments have; here they belong to
    the last one.
    """

    array_kji: np.ndarray
    grid: VolumeGrid
    image_id: str
    version: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    overlaps: int = 0


def digest(image: ImagePayload, check: Check) -> str:
    """Return the SHA-256 of voxels and geometry. `check` is called between blocks and may raise to
    stop.
    """
    found = hashlib.sha256(_header(image.array_kji, image.grid, "raw"))
    for chunk in _raw(image.array_kji):
        check()
        found.update(chunk)
    return found.hexdigest()


def nrrd_file(array_kji: np.ndarray, grid: VolumeGrid, check: Check, *, small: bool) -> IO[bytes]:
    """Return a temporary NRRD file, open at its start, compressed if `small`. The file has no name
    on disk, so that no name of a patient can leave with it.
    """
    header = _header(array_kji, grid, "gzip" if small else "raw")
    packer = zlib.compressobj(1, zlib.DEFLATED, 31) if small else None
    with ExitStack() as undo:
        file: Any = undo.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))
        file.write(header)
        for chunk in _raw(array_kji):
            check()
            file.write(packer.compress(chunk) if packer else chunk)
        file.write(packer.flush() if packer else b"")
        file.seek(0)
        undo.pop_all()
    return file


def is_left_handed(path: str) -> bool:
    """Return True if the voxel axes of a NRRD or NIfTI file are left-handed: Slicer reverses the
    last axis of such a file when it reads it. False for other files.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - the name may be of a gzip file
        head = file.read(_HEAD)
    if head[:2] == b"\x1f\x8b":
        with suppress(zlib.error):
            head = zlib.decompressobj(31).decompress(head, _HEAD)
    if head.startswith(b"NRRD"):
        return _nrrd_determinant(head.split(b"\n\n", 1)[0].decode("ascii", "replace")) < 0
    if len(head) >= 348 and head[344:347] in (b"n+1", b"ni1"):
        order = "<" if head[:4] == struct.pack("<i", 348) else ">"
        (by_rows,) = struct.unpack(f"{order}h", head[254:256])
        if by_rows > 0:
            rows = np.array(struct.unpack(f"{order}12f", head[280:328])).reshape(3, 4)
            return float(np.linalg.det(rows[:, :3])) < 0
        (factor,) = struct.unpack(f"{order}f", head[76:80])
        return bool(factor < 0)
    return False


def _nrrd_determinant(header: str) -> float:
    """Return the determinant of the voxel axes in RAS, up to a positive factor; 1 without
    directions.
    """
    found = dict(re.findall(r"^([a-z ]+):\s*(.*?)\s*$", header, re.MULTILINE))
    vectors = re.findall(r"\(([^)]*)\)", found.get("space directions", ""))
    try:
        axes = np.array([[float(value) for value in vector.split(",")] for vector in vectors])
    except ValueError:
        return 1.0
    if axes.shape != (3, 3):
        return 1.0
    is_mirrored = found.get("space", "").lower() in ("left-anterior-superior", "las")
    return float(np.linalg.det(axes)) * (-1 if is_mirrored else 1)


def _raw(array_kji: np.ndarray) -> Iterator[memoryview]:
    flat = memoryview(np.ascontiguousarray(array_kji)).cast("B")
    for start in range(0, len(flat), _CHUNK):
        yield flat[start : start + _CHUNK]


def _header(array_kji: np.ndarray, grid: VolumeGrid, encoding: str) -> bytes:
    """Return a NRRD header. Raises `ClientError` if the format does not have the voxels' type."""
    dtype = array_kji.dtype
    name = _TYPES.get(f"{dtype.kind}{dtype.itemsize}")
    if name is None or array_kji.ndim not in (3, 4):
        sentence = _(
            "Expected a volume of numbers, got voxels of the type {type}, which cannot be sent."
        )
        raise ClientError(sentence.format(type=dtype), code="image")
    colours = [str(array_kji.shape[3])] if array_kji.ndim == 4 else []
    sizes = [*colours, *(str(side) for side in array_kji.shape[2::-1])]
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.matrix
    directions = [_vector(lps[:3, axis]) for axis in range(3)]
    swapped = dtype.byteorder == ">" or (dtype.byteorder == "=" and not _IS_LITTLE)
    lines = [
        "NRRD0004",
        f"type: {name}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(sizes)}",
        f"space directions: {' '.join([*(['none'] if colours else []), *directions])}",
        f"kinds: {' '.join([*(['vector'] if colours else []), 'domain', 'domain', 'domain'])}",
        f"endian: {'big' if swapped else 'little'}",
        f"encoding: {encoding}",
        f"space origin: {_vector(lps[:3, 3])}",
    ]
    return ("\n".join(lines) + "\n\n").encode("ascii")


_IS_LITTLE = np.dtype("<u2") == np.dtype("=u2")


def _vector(values: np.ndarray) -> str:
    return "(" + ",".join(repr(float(value) + 0.0) for value in values) + ")"
