"""Masks of part of a volume, and what they change in a segment: only those voxels, packed.

Arrays here are (i, j, k); 3D Slicer's are (k, j, i), and `Segments` turns them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from .Geometry import Voxel

Slices = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Region:
    """A mask inside a bounding box: `values` is bool (i, j, k), its first voxel at `min_ijk`."""

    min_ijk: Voxel
    values: np.ndarray

    @property
    def max_ijk(self) -> Voxel:
        i, j, k = (low + side - 1 for low, side in zip(self.min_ijk, self.values.shape))
        return i, j, k

    @property
    def slices(self) -> Slices:
        """Where it lies in an array of the whole volume."""
        i, j, k = (slice(low, low + n) for low, n in zip(self.min_ijk, self.values.shape))
        return i, j, k

    @property
    def is_empty(self) -> bool:
        return not self.values.any()

    def within(self, axis: int, first: int, last: int) -> Region:
        """The part on the slices `first` to `last` of an axis."""
        low = max(first - self.min_ijk[axis], 0)
        high = max(last - self.min_ijk[axis] + 1, low)
        part: list[slice] = [slice(None)] * 3
        part[axis] = slice(low, high)
        start = list(self.min_ijk)
        start[axis] += low
        return Region((start[0], start[1], start[2]), self.values[tuple(part)])


@dataclass(frozen=True, eq=False)
class Change:
    """The voxels of one segment that were changed, and what they were; enough for both ways.

    Only the bounding box of the changed voxels is kept, as packed and compressed bits. Setting
    voxels instead of flipping them makes undo right even after something else was edited since.
    """

    min_ijk: Voxel
    size_ijk: Voxel
    changed: bytes
    """One bit per voxel of the box: whether it was changed."""
    before: bytes
    """One bit per changed voxel, in their order: whether it was in the segment."""
    count: int

    @classmethod
    def between(cls, min_ijk: Voxel, before: np.ndarray, after: np.ndarray) -> Change | None:
        """Of bool arrays (i, j, k) that begin at `min_ijk`; None when they are equal."""
        different = before != after
        if not different.any():
            return None
        box = bounds(different)
        inner = different[box]
        start = tuple(low + side.start for low, side in zip(min_ijk, box))
        old = before[box][inner]
        return cls(
            (start[0], start[1], start[2]),
            (inner.shape[0], inner.shape[1], inner.shape[2]),
            _packed(inner),
            _packed(old),
            int(old.size),
        )

    @property
    def slices(self) -> Slices:
        """Where it lies in an array of the whole volume."""
        i, j, k = (slice(low, low + n) for low, n in zip(self.min_ijk, self.size_ijk))
        return i, j, k

    @property
    def cost_bytes(self) -> int:
        return len(self.changed) + len(self.before)

    def undone(self, now: np.ndarray) -> np.ndarray:
        """`now`, bool (i, j, k) of the box, with the changed voxels as they were before."""
        return self._set(now, after=False)

    def redone(self, now: np.ndarray) -> np.ndarray:
        """`now` with the changed voxels as they were afterwards."""
        return self._set(now, after=True)

    def _set(self, now: np.ndarray, *, after: bool) -> np.ndarray:
        where = _unpacked(self.changed, int(np.prod(self.size_ijk))).reshape(self.size_ijk)
        values = np.array(now, dtype=bool)
        values[where] = _unpacked(self.before, self.count) != after
        return values


def bounds(mask: np.ndarray) -> Slices:
    """The box of the voxels of a mask that is not empty."""
    sides = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        sides.append(slice(int(hits[0]), int(hits[-1]) + 1))
    return sides[0], sides[1], sides[2]


def unpacked_bits(packed: bytes, shape_ijk: Voxel) -> np.ndarray:
    """Bool (i, j, k) of bits, first bit highest, k fastest. Raises `ValueError` for another
    number of bytes.
    """
    count = int(np.prod(shape_ijk, dtype=np.int64))
    if len(packed) != (count + 7) // 8:
        raise ValueError(f"{len(packed)} bytes of bits for {count} voxels")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=count)
    return bits.view(bool).reshape(shape_ijk)


def _packed(bits: np.ndarray) -> bytes:
    return zlib.compress(np.packbits(bits).tobytes(), 1)


def _unpacked(packed: bytes, count: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(zlib.decompress(packed), np.uint8), count=count).view(bool)
