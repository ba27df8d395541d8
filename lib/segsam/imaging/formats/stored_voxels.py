"""Voxels as they lie in a file, read block by block, and unpacked no further than is plausible.

A few megabytes of deflate can stand for gigabytes of voxels (1032 : 1). Scans shrink to a third,
masks and empty borders to a hundredth. So voxels that are not 0 may have `SMALL_BYTES`, and beyond
that `MOST_RATIO` times the size of their file. Zeros cost no memory, because their pages are never
written, but time: an image may have `EMPTY_BYTES` of them more, in slices of a plausible size.

    file      [header] [deflate ...]
    blocks              |1 MB|1 MB|1 MB|...     each in the file's type
    unpacked            |0000|xxxx|0000|...     only what is not 0 takes memory
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from segsam.errors import VolumeError, VolumeTooLargeError
from segsam.imaging.voxels import zeros

SMALL_BYTES = 2**25
"""Bytes that any file may unpack to."""
MOST_RATIO = 100
"""Largest plausible ratio between unpacked and stored bytes."""

EMPTY_BYTES = 2**29
"""Bytes of zeros that an image may hold beyond what is plausible otherwise, such as one organ in a
CT of the whole body."""

_BLOCK_BYTES = 2**20
_PAGE_BYTES = 2**16
"""Piece of a block that is left out if it is 0; a multiple of the pages of any system."""
_READ_BYTES = 2**18


@dataclass(frozen=True, eq=False)
class StoredVoxels:
    """Place and type of the voxels in a file.

    `offset` is where their data begin in the file; `skipped` is the number of bytes before the
    first voxel, counted from there and after unpacking.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """Sides in the order of the file, the fastest first."""
    offset: int
    skipped: int = 0
    is_compressed: bool = True
    slope: float = 1.0
    intercept: float = 0.0
    if_short: str | None = None
    """Sentence for a file that holds fewer voxels; None for one with both numbers of bytes."""

    @property
    def count(self) -> int:
        """Number of stored numbers."""
        return math.prod(self.shape)

    @property
    def is_scaled(self) -> bool:
        """True if values are not the stored numbers."""
        return (self.slope, self.intercept) != (1, 0)

    @property
    def value_type(self) -> np.dtype[Any]:
        """Type of the values, in the byte order of this computer."""
        kind, size = self.dtype.kind, self.dtype.itemsize
        if self.is_scaled:  # single precision holds 24 bits of a number
            is_wide = size > 4 or (size == 4 and kind != "f")
            return np.dtype(np.float64 if is_wide else np.float32)
        if kind == "f" and size < 4:
            return np.dtype(np.float32)
        return np.dtype(np.float64) if kind == "f" and size > 8 else self.dtype.newbyteorder("=")

    def blocks(self, numbers: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield the stored numbers in order, some at a time; a block is overwritten by the next.

        `numbers` is how many there are in a block (default: a megabyte of them). Raises
        VolumeError if the file holds fewer.
        """
        buffer = np.empty(numbers or max(1, _BLOCK_BYTES // self.dtype.itemsize), self.dtype)
        left = self.count
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            inflater = _Inflater(stream) if self.is_compressed else None
            source = inflater or stream
            _skip(source, self.skipped)
            while left:
                block = buffer[:left]
                filled = _fill(source, block.view(np.uint8).data)
                if filled < block.nbytes:
                    raise VolumeError(self._shortage(self.count - left, filled))
                left -= block.size
                yield block
            if inflater is not None:
                _read_to_end(inflater)  # there, zlib compares the checksum

    def values(self, numbers: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield the values as `blocks` yields the stored numbers."""
        for block in self.blocks(numbers):
            if not self.is_scaled:
                yield block.astype(self.value_type, copy=False)
                continue
            precision = self.value_type.type
            with np.errstate(over="ignore"):
                scaled = block.astype(precision)
                scaled *= precision(self.slope)
                scaled += precision(self.intercept)
            yield scaled

    def unpacked(self) -> NDArray[Any]:
        """Return the values as one flat array; parts that are 0 take no memory.

        Raises VolumeError if the file holds fewer.
        """
        data = zeros(self.count, self.value_type)
        first = 0
        for values in self.values():
            for begin, end in _filled_parts(values):
                data[first + begin : first + end] = values[begin:end]
            first += values.size
        return data

    def _shortage(self, blocks: int, more: int) -> str:
        if self.if_short is not None:
            return self.if_short
        found = blocks * self.dtype.itemsize + more
        return (
            f"{self.path.name}: the header declares {self.count * self.dtype.itemsize} bytes of "
            f"voxels, but only {found} could be unpacked; the file is incomplete or its header is "
            "wrong."
        )


def check_plausible(stored: StoredVoxels, *, may_be_empty: bool = True) -> None:
    """Refuse compressed voxels that take more memory than a scan in a file of this size.

    The voxels are counted block by block, and nothing is kept. Zeros count beyond `EMPTY_BYTES`,
    without `may_be_empty` all of them. Raises VolumeTooLargeError, or VolumeError if the file is
    too short.
    """
    size = stored.path.stat().st_size
    allowed = plausible_bytes(size)
    declared = stored.count * stored.value_type.itemsize
    if not stored.is_compressed or declared <= allowed:
        return
    plane = math.prod(sorted(stored.shape)[-2:]) * stored.value_type.itemsize
    if not may_be_empty or plane > allowed or declared > allowed + EMPTY_BYTES:
        raise implausible(stored.path, declared, size)
    taken = 0
    for values in stored.values():
        taken += sum(end - begin for begin, end in _filled_parts(values)) * values.itemsize
        if taken > allowed:
            raise implausible(stored.path, declared, size)


def plausible_bytes(file_bytes: int) -> int:
    """Return the bytes that a file of this size may unpack to."""
    return SMALL_BYTES + MOST_RATIO * file_bytes


def implausible(path: Path, declared: int, file_bytes: int) -> VolumeTooLargeError:
    """Return the error for a file that unpacks to more than is plausible."""
    return VolumeTooLargeError(
        f"{path.name}: expected an image that unpacks to at most {plausible_bytes(file_bytes)} "
        f"bytes, {MOST_RATIO} times its file of {file_bytes} bytes and 32 MB, and a volume to 512 "
        f"MB of zeros more, got {declared} bytes that are hardly a scan. If it is one, save it "
        "without compression."
    )


def _filled_parts(values: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield first and last index of the parts of a block that are not 0 throughout."""
    length = max(1, _PAGE_BYTES // values.itemsize)
    for begin in range(0, values.size, length):
        part = values[begin : begin + length]
        if part.any():
            yield begin, begin + part.size


def _skip(source: BinaryIO | _Inflater, count: int) -> int:
    """Read past up to `count` bytes, and return how many there were."""
    waste, left = memoryview(bytearray(min(count, _BLOCK_BYTES))), count
    while left and (read := _fill(source, waste[: min(left, _BLOCK_BYTES)])):
        left -= read
    return count - left


def _read_to_end(source: _Inflater) -> None:
    """Read what follows the voxels, up to `SMALL_BYTES`; damaged data may unpack to more bytes.

    Raises zlib.error for a wrong checksum, and for more bytes that never reach one.
    """
    if 0 < _skip(source, SMALL_BYTES) < SMALL_BYTES and not source.is_complete:
        raise zlib.error("the data have no end")


def _fill(source: BinaryIO | _Inflater, buffer: memoryview) -> int:
    """Fill a buffer, and return how many bytes there were."""
    filled = 0
    while filled < len(buffer):
        piece = source.read(len(buffer) - filled)
        if not piece:
            break
        buffer[filled : filled + len(piece)] = piece
        filled += len(piece)
    return filled


class _Inflater:
    """Unpacks gzip (of one or several members) or zlib, as much as is asked for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._left = b""

    @property
    def is_complete(self) -> bool:
        """True if the packed data have reached their end, and their checksum was right."""
        return self._decoder.eof

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; none at the end. Raises zlib.error for damaged data."""
        while True:
            if self._decoder.eof and not self._begin_member():
                return b""
            packed = self._left or self._stream.read(_READ_BYTES)
            piece = self._decoder.decompress(packed, count)  # it may still hold some without more
            self._left = self._decoder.unused_data or self._decoder.unconsumed_tail
            if piece or not packed:
                return piece

    def _begin_member(self) -> bool:
        """Begin the next member of a gzip file; zeros after the last one are padding."""
        rest = (self._left or self._stream.read(_READ_BYTES)).lstrip(b"\0")
        if not rest.startswith(b"\x1f\x8b"[: len(rest)]) or not rest:
            return False
        self._left, self._decoder = rest, zlib.decompressobj(zlib.MAX_WBITS | 32)
        return True
