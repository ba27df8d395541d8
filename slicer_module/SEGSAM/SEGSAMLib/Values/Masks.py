"""Masks of part of a volume, and what they change in a segment: only those voxels, packed.

Arrays here are (i, j, k); 3D Slicer's are (k, j, i), and `Segments` turns them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Sequence

import numpy as np

from SEGSAMLib.Values.Geometry import Voxel

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


@dataclass(frozen=True)
class PackedRegion:
    """A region that is kept for later: packed and compressed."""

    min_ijk: Voxel
    size_ijk: Voxel
    bits: bytes

    @classmethod
    def of(cls, region: Region) -> PackedRegion:
        i, j, k = region.values.shape
        return cls(region.min_ijk, (i, j, k), _packed(region.values))

    @property
    def region(self) -> Region:
        bits = _unpacked(self.bits, int(np.prod(self.size_ijk)))
        return Region(self.min_ijk, bits.reshape(self.size_ijk))


@dataclass(frozen=True, eq=False)
class VoxelChange:
    """The voxels of one segment that were changed, and what they were; enough for both ways.

    Only the bounding box of the changed voxels is kept, as packed and compressed bits. Setting
    voxels instead of flipping them makes undo right even after something else was edited since.
    """

    min_ijk: Voxel
    size_ijk: Voxel
    frame: tuple[float, ...]
    """Of whose voxels: the matrix of the segment's label map, 16 numbers."""
    changed: bytes
    """One bit per voxel of the box: whether it was changed."""
    before: bytes
    """One bit per changed voxel, in their order: whether it was in the segment."""
    count: int

    @classmethod
    def between(
        cls,
        min_ijk: Voxel,
        before: np.ndarray,
        after: np.ndarray,
        frame: tuple[float, ...] = (),
    ) -> VoxelChange | None:
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
            frame,
            _packed(inner),
            _packed(old),
            int(old.size),
        )

    @property
    def cost_bytes(self) -> int:
        return len(self.changed) + len(self.before)

    @property
    def lost(self) -> int:
        """How many of the changed voxels were in the segment, and are not any more."""
        return int(np.count_nonzero(_unpacked(self.before, self.count)))

    @property
    def where(self) -> Region:
        """The changed voxels."""
        bits = _unpacked(self.changed, int(np.prod(self.size_ijk)))
        return Region(self.min_ijk, bits.reshape(self.size_ijk))

    def undone(self, now: np.ndarray) -> np.ndarray:
        """`now`, bool (i, j, k) of the box, with the changed voxels as they were before."""
        return self._set(now, after=False)

    def redone(self, now: np.ndarray) -> np.ndarray:
        """`now` with the changed voxels as they were afterwards."""
        return self._set(now, after=True)

    def _set(self, now: np.ndarray, *, after: bool) -> np.ndarray:
        values = np.array(now, dtype=bool)
        values[self.where.values] = _unpacked(self.before, self.count) != after
        return values


def covering(regions: Sequence[Region]) -> Region:
    """An empty region that covers all of them; there must be one."""
    low = np.min([region.min_ijk for region in regions], axis=0)
    high = np.max([region.max_ijk for region in regions], axis=0)
    i, j, k = (int(side) for side in low)
    return Region((i, j, k), np.zeros(tuple(high - low + 1), dtype=bool))


def part_of(region: Region, box: Region) -> np.ndarray:
    """What `region` holds in the place of `box`, False outside of it; a new array."""
    found = np.zeros(box.values.shape, dtype=bool)
    to, of = [], []
    for axis in range(3):
        low = max(region.min_ijk[axis], box.min_ijk[axis])
        high = max(min(region.max_ijk[axis], box.max_ijk[axis]) + 1, low)
        to.append(slice(low - box.min_ijk[axis], high - box.min_ijk[axis]))
        of.append(slice(low - region.min_ijk[axis], high - region.min_ijk[axis]))
    found[tuple(to)] = region.values[tuple(of)]
    return found


def whole_shift(matrix: np.ndarray) -> Voxel | None:
    """The shift in voxels that a 4x4 from voxels to voxels stands for; None when it is more than
    that, or not whole.
    """
    shift = np.round(matrix[:3, 3])
    is_shift = np.abs(matrix[:3, :3] - np.eye(3)).max() < 1e-4
    if not is_shift or np.abs(matrix[:3, 3] - shift).max() > 1e-2:
        return None
    i, j, k = (int(value) for value in shift)
    return i, j, k


def resampled(region: Region, from_to: np.ndarray) -> Region:
    """The same place in other voxels, each taken from the nearest: `from_to` is the 4x4 matrix from
    the voxels of `region` to those wanted.
    """
    shift = whole_shift(from_to)
    if shift is not None:
        i, j, k = (low + by for low, by in zip(region.min_ijk, shift))
        return Region((i, j, k), region.values)
    low, high = np.array(region.min_ijk) - 0.5, np.array(region.max_ijk) + 0.5
    corners = np.array(np.meshgrid(*zip(low, high), indexing="ij")).reshape(3, -1)
    placed = from_to[:3, :3] @ corners + from_to[:3, 3:]
    first = np.floor(placed.min(axis=1) + 0.5).astype(int)
    last = np.ceil(placed.max(axis=1) - 0.5).astype(int)
    box = Region(tuple(int(v) for v in first), np.zeros(np.maximum(last - first + 1, 1), bool))
    wanted = np.indices(box.values.shape).reshape(3, -1) + first[:, None]
    back = np.linalg.inv(from_to)
    source = np.floor(back[:3, :3] @ wanted + back[:3, 3:] + 0.5).astype(int)
    source -= np.array(region.min_ijk)[:, None]
    inside = ((source >= 0) & (source < np.array(region.values.shape)[:, None])).all(axis=0)
    flat = box.values.reshape(-1)
    flat[inside] = region.values[tuple(source[:, inside])]
    return box


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
