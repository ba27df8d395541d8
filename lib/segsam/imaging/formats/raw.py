"""What every reader hands over, and the three guards they share.

Failures of the libraries underneath become one sentence, declared sizes are compared with what the
file can hold, and compressed data are inflated no further than the header declares.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from nrrd import NRRDError
from numpy.typing import NDArray
from PIL import Image
from pydicom.errors import BytesLengthException, InvalidDicomError

from segsam.errors import VolumeError, VolumeTooLargeError
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
_DEFLATE_LIMIT = 1040
"""Deflate cannot shrink data by more than 1032 : 1 (zlib's technical notes)."""
_READ_PIECE, _INFLATE_PIECE = 2**20, 2**24


@dataclass(frozen=True, eq=False)
class RawImage:
    """Voxels in the file's order, (i, j, k) or (i, j, k, 3), and where the file puts them."""

    voxels: Voxels
    affine_ras: Affine
    modality: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RawGrid:
    """Where a file says that its voxels lie: what `RawImage` knows without reading them."""

    shape_ijk: tuple[int, int, int]
    affine_ras: Affine


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a reading library raises into a VolumeError that names the file, not its path.

    Raises VolumeTooLargeError when memory runs out or Pillow suspects a decompression bomb.
    """
    try:
        with warnings.catch_warnings():
            # The libraries warn of every odd value; those that matter are checked one by one.
            warnings.simplefilter("ignore")
            yield
    except (MemoryError, Image.DecompressionBombError) as error:
        raise VolumeTooLargeError(
            f"{path.name} is too large to be read into memory as {kind}."
        ) from error
    except _READ_FAILURES as error:
        reason = _short_reason(error, path)
        raise VolumeError(
            f"{path.name} could not be read as {kind}; it may be damaged or of another format "
            f"({reason})."
        ) from error


def _short_reason(error: BaseException, path: Path) -> str:
    """One line of a library's message, without the folder; of ITK's several the one that counts."""
    said = str(error).replace(str(path), path.name).replace(str(path.parent), "").splitlines()
    lines = [line.strip() for line in said if line.strip()]
    telling = next((line for line in lines if "ERROR" in line), lines[0] if lines else "")
    return telling.rpartition("): ")[2].rstrip(".:") or type(error).__name__


def check_data_size(declared: int, held: int, name: str, *, compressed: bool) -> None:
    """Refuse data of `declared` bytes when the `held` bytes of the file cannot contain them.

    Raises VolumeError with both numbers.
    """
    if declared > (held * _DEFLATE_LIMIT if compressed else held):
        squeezed = " compressed" if compressed else ""
        raise VolumeError(
            f"{name}: the header declares {declared} bytes of voxels, but only {max(held, 0)}"
            f"{squeezed} bytes follow it; the file is truncated or its header is wrong."
        )


def inflate(stream: BinaryIO, declared: int, name: str) -> NDArray[np.uint8]:
    """The next `declared` bytes of gzip or zlib data, and never more. Raises VolumeError if fewer.

    Also raises `zlib.error` for data that are neither.
    """
    data = np.empty(declared, dtype=np.uint8)
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    filled = 0
    while filled < declared and not decoder.eof:
        compressed = decoder.unconsumed_tail or stream.read(_READ_PIECE)
        if not compressed:
            break
        piece = decoder.decompress(compressed, min(declared - filled, _INFLATE_PIECE))
        data[filled : filled + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        filled += len(piece)
    if filled < declared:
        raise VolumeError(
            f"{name}: the header declares {declared} bytes of voxels, but only {filled} could be "
            "unpacked; the file is truncated or its header is wrong."
        )
    return data
