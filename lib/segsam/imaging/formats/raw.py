"""Results of the format readers, and the checks that all readers share.

Exceptions of the reading libraries become one sentence. Declared sizes are compared with what the
file can hold. Compressed data are inflated no further than the header declares.
"""

from __future__ import annotations

import errno
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from nrrd import NRRDError
from numpy.typing import NDArray
from PIL import Image
from pydicom.errors import BytesLengthException, InvalidDicomError

from segsam.errors import VolumeError, VolumeTooLargeError
from segsam.imaging.voxels import check_declared_shape
from segsam.system.reasons import reason_of
from segsam.types import Affine, Voxels

_READ_FAILURES = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    SyntaxError,  # Pillow, for a broken PNG
    NotImplementedError,
    struct.error,
    zlib.error,
    ImageFileError,
    HeaderDataError,
    WrapStructError,
    NRRDError,
    InvalidDicomError,
    BytesLengthException,
)
_NO_HANDLE = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors of a process, or a system, with too many open files."""
_DEFLATE_LIMIT = 1040
"""Deflate cannot shrink data by more than 1032 : 1 (zlib's technical notes)."""
SKIP_TO_LAST_BYTES = -1
"""Value of NRRD's `byte skip` and MetaImage's `HeaderSize`: the voxels are the last bytes."""


@dataclass(frozen=True, eq=False)
class RawImage:
    """Image as its file holds it: voxels (i, j, k) or (i, j, k, 3), affine, modality and notes."""

    voxels: Voxels
    affine_ras: Affine
    modality: str | None = None
    notes: tuple[str, ...] = ()
    is_shown_inverted: bool = False
    slice_axis: int | None = None
    """Voxel axis across the planes in which the scanner took the image, if the file tells them."""


@dataclass(frozen=True, eq=False)
class RawGrid:
    """Geometry of an image as its header declares it, with notes for the user."""

    shape_ijk: tuple[int, int, int]
    affine_ras: Affine
    notes: tuple[str, ...] = ()


def matching_ending(path: Path, endings: Iterable[str]) -> str | None:
    """Return the first of these lower-case endings that the file name has, in any case."""
    return next((ending for ending in endings if path.name.lower().endswith(ending)), None)


@contextmanager
def reading(path: Path, kind: str, sentence: str | None = None) -> Iterator[None]:
    """Turn every exception of a reading library into a VolumeError with the file's name.

    A library's own words are for programmers, and sometimes wrong ("truncated"); they are
    the cause of the error only. `sentence` is the error's text instead of a general one. Raises
    VolumeTooLargeError if memory runs out or Pillow suspects a decompression bomb.
    """
    check_not_empty(path)
    try:
        with warnings.catch_warnings():
            # The libraries warn about every unusual value. Relevant ones are checked explicitly.
            warnings.simplefilter("ignore")
            yield
    except (MemoryError, Image.DecompressionBombError) as error:
        raise VolumeTooLargeError(
            f"{path.name} is too large to be read into memory as {kind}."
        ) from error
    except _READ_FAILURES as error:
        if isinstance(error, OSError) and error.errno in _NO_HANDLE:
            raise  # says nothing about the file
        if isinstance(error, OSError) and error.errno is not None:
            raise VolumeError(unreadable(path, error)) from error
        raise VolumeError(
            sentence
            or f"{path.name} could not be read as {kind}: expected a complete file of this format, "
            "got one that is incomplete, damaged or of another format."
        ) from error


def check_not_empty(path: Path) -> None:
    """Refuse a file of no bytes, which is no damaged one. Raises VolumeError."""
    try:
        is_empty = path.is_file() and path.stat().st_size == 0
    except OSError:  # whoever opens it finds that, too
        return
    if is_empty:
        raise VolumeError(f"{path.name} is empty: expected an image or labels, got 0 bytes.")


def header_text(line: bytes) -> str:
    """Return the text of a header's line: UTF-8, or Latin-1 if it is not, so that none is lost."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def other_unit(name: str, unit: str) -> str:
    """Return the note for a header whose lengths are not in millimetres, as ITK reads them."""
    return f"{name} gives its lengths in {unit!r:.40}; the numbers were read as millimetres."


def unreadable(path: Path, error: OSError) -> str:
    """Return the sentence for a file that the operating system does not give."""
    return f"{path.name} could not be read; {reason_of(error)}."


def neighbour(path: Path, name: str) -> Path:
    """Return the file of this plain name beside `path`, which holds the voxels of its header.

    A header must not make the program read other files, so no other name is accepted, and no link
    out of the folder. Raises VolumeError.
    """
    is_plain = name and not set(name) & set("/\\:%\0") and name not in {".", "..", "LIST"}
    found = path.parent / name if is_plain else None
    if found is None or found.resolve().parent != path.parent.resolve():
        raise VolumeError(
            f"{path.name}: expected the voxels in the same file or in a plain file name in the "
            f"same folder, got {name!r:.80}."
        )
    if not found.is_file():
        raise VolumeError(f"{path.name}: its voxel file {name!r:.80} is not in the same folder.")
    return found


def numbers_of_text(text: bytes, dtype: np.dtype[Any], count: int, name: str) -> NDArray[Any]:
    """Return `count` numbers that are written as text, apart by spaces, in a native type.

    Raises VolumeError for another number of them, and for those that the type does not hold.
    """
    words = text.split()
    if len(words) != count:
        raise VolumeError(f"{name}: expected {count} voxels as text, got {len(words)}.")
    try:
        if dtype.kind == "f":
            return np.array(words, dtype=dtype.newbyteorder("="))
        whole = [int(word) for word in words]
    except ValueError as error:
        raise VolumeError(
            f"{name}: expected {dtype.newbyteorder('=')} numbers as text, got others."
        ) from error
    limits = np.iinfo(dtype)
    if min(whole) < limits.min or max(whole) > limits.max:
        raise VolumeError(
            f"{name}: expected numbers from {limits.min} to {limits.max}, got {min(whole)} to "
            f"{max(whole)}."
        )
    return np.array(whole, dtype=dtype.newbyteorder("="))


def declared_sizes(sizes: Iterable[str | int], dimension: str | int, name: str) -> list[int]:
    """Return the side lengths that a header declares, after checking their number and size.

    Raises VolumeError or VolumeTooLargeError.
    """
    sides = [int(side) for side in sizes]
    if len(sides) != int(dimension) or len(sides) < 2:
        raise VolumeError(
            f"{name}: expected an image of 2 or 3 dimensions; the header declares {dimension} "
            f"dimensions with the sizes {sides}."
        )
    check_declared_shape(sides, name)
    return sides


def check_data_size(declared: int, available: int, name: str, *, compressed: bool) -> None:
    """Refuse data of `declared` bytes if `available` bytes of the file cannot contain them.

    Raises VolumeError with both numbers.
    """
    if declared > (available * _DEFLATE_LIMIT if compressed else available):
        adjective = " compressed" if compressed else ""
        raise VolumeError(
            f"{name}: the header declares {declared} bytes of voxels, but only "
            f"{max(available, 0)}{adjective} bytes follow it; the file is incomplete or its header "
            "is wrong."
        )


def voxel_offset(
    stream: BinaryIO, declared: int, path: Path, *, compressed: bool, skip: int = 0
) -> int:
    """Return where in the open file `path` its `declared` bytes of voxels begin.

    `skip` is the number of bytes before uncompressed voxels, or `SKIP_TO_LAST_BYTES`. Raises
    VolumeError if the file cannot hold that many bytes.
    """
    begin = stream.tell()
    available = path.stat().st_size - begin
    check_data_size(declared, available, path.name, compressed=compressed)
    if compressed:
        return begin
    offset = begin + (available - declared if skip == SKIP_TO_LAST_BYTES else max(skip, 0))
    check_data_size(declared, begin + available - offset, path.name, compressed=False)
    return offset
