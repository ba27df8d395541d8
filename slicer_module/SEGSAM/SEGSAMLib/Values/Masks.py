"""Masks of part of a volume, and changes of a segment as packed bits.

Arrays here are (i, j, k). 3D Slicer's arrays are (k, j, i); `Segments` transposes them.
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
    """Mask in a bounding box: `values` is bool (i, j, k), its first voxel lies at `min_ijk`."""

    min_ijk: Voxel
    values: np.ndarray

    @property
    def max_ijk(self) -> Voxel:
        """The last voxel of the box."""
        i, j, k = (low + side - 1 for low, side in zip(self.min_ijk, self.values.shape))
        return i, j, k

    @property
    def slices(self) -> Slices:
        """Index of the box in an array of the whole volume."""
        i, j, k = (slice(low, low + n) for low, n in zip(self.min_ijk, self.values.shape))
        return i, j, k

    @property
    def is_empty(self) -> bool:
        """True if no voxel of the mask is set."""
        return not self.values.any()

    def within(self, axis: int, first: int, last: int) -> Region:
        """Return the part on the slices `first` to `last` of an axis."""
        low = max(first - self.min_ijk[axis], 0)
        high = max(last - self.min_ijk[axis] + 1, low)
        part: list[slice] = [slice(None)] * 3
        part[axis] = slice(low, high)
        start = list(self.min_ijk)
        start[axis] += low
        return Region((start[0], start[1], start[2]), self.values[tuple(part)])

    def inside(self, shape_ijk: Voxel) -> Region | None:
        """Return the part inside a volume of this shape, None if no voxel of it is set."""
        part = self
        for axis, side in enumerate(shape_ijk):
            part = part.within(axis, 0, side - 1)
        return None if part.is_empty else part

    def trimmed(self) -> Region | None:
        """Return the same voxels in the smallest box, None if no voxel is set."""
        if self.is_empty:
            return None
        box = bounds(self.values)
        i, j, k = (low + side.start for low, side in zip(self.min_ijk, box))
        return Region((i, j, k), self.values[box])


@dataclass(frozen=True)
class PackedRegion:
    """Region as packed and compressed bits, to be stored."""

    min_ijk: Voxel
    size_ijk: Voxel
    bits: bytes

    @classmethod
    def pack(cls, region: Region) -> PackedRegion:
        """Compress a region."""
        i, j, k = region.values.shape
        return cls(region.min_ijk, (i, j, k), _packed(region.values))

    def unpack(self) -> Region:
        """Return the region."""
        bits = _unpacked(self.bits, int(np.prod(self.size_ijk)))
        return Region(self.min_ijk, bits.reshape(self.size_ijk))


@dataclass(frozen=True, eq=False)
class VoxelChange:
    """Changed voxels of one segment with their previous values, for undo and redo.

    Only the bounding box of the changed voxels is stored, as packed and compressed bits. Undo sets
    voxels instead of flipping them, so it is right even if other voxels were edited since.
    """

    min_ijk: Voxel
    size_ijk: Voxel
    frame: tuple[float, ...]
    """Matrix of the label map that the indices refer to, 16 numbers row by row."""
    changed: bytes
    """One bit per voxel of the box, set if the voxel was changed."""
    before: bytes
    """One bit per changed voxel, in their order, set if the voxel was in the segment before."""
    count: int

    @classmethod
    def between(
        cls,
        min_ijk: Voxel,
        before: np.ndarray,
        after: np.ndarray,
        frame: tuple[float, ...] = (),
    ) -> VoxelChange | None:
        """Compare two bool arrays (i, j, k) that begin at `min_ijk`; None if they are equal."""
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
        """Memory of the packed bits, in bytes."""
        return len(self.changed) + len(self.before)

    @property
    def lost(self) -> int:
        """Number of voxels that the segment lost."""
        return int(np.count_nonzero(_unpacked(self.before, self.count)))

    @property
    def where(self) -> Region:
        """The changed voxels as a region."""
        bits = _unpacked(self.changed, int(np.prod(self.size_ijk)))
        return Region(self.min_ijk, bits.reshape(self.size_ijk))

    def undone(self, now: np.ndarray) -> np.ndarray:
        """Return `now`, the segment's voxels in the box, with the change undone; bool (i, j, k)."""
        return self._set(now, after=False)

    def redone(self, now: np.ndarray) -> np.ndarray:
        """Return `now` with the change applied again."""
        return self._set(now, after=True)

    def _set(self, now: np.ndarray, *, after: bool) -> np.ndarray:
        values = np.array(now, dtype=bool)
        values[self.where.values] = _unpacked(self.before, self.count) != after
        return values


def bounding_region(regions: Sequence[Region]) -> Region:
    """Return an empty region that covers all regions of a list of at least one."""
    low = np.min([region.min_ijk for region in regions], axis=0)
    high = np.max([region.max_ijk for region in regions], axis=0)
    i, j, k = (int(side) for side in low)
    return Region((i, j, k), np.zeros(tuple(high - low + 1), dtype=bool))


def part_of(region: Region, box: Region) -> np.ndarray:
    """Return the voxels of `region` in the box of `box`, False elsewhere, as a new array."""
    found = np.zeros(box.values.shape, dtype=bool)
    in_box, in_region = overlap(region, box)
    found[in_box] = region.values[in_region]
    return found


def overlap(region: Region, box: Region) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the index of the common voxels in `box.values`, and their index in `region.values`."""
    in_box, in_region = [], []
    for axis in range(3):
        low = max(region.min_ijk[axis], box.min_ijk[axis])
        high = max(min(region.max_ijk[axis], box.max_ijk[axis]) + 1, low)
        in_box.append(slice(low - box.min_ijk[axis], high - box.min_ijk[axis]))
        in_region.append(slice(low - region.min_ijk[axis], high - region.min_ijk[axis]))
    return tuple(in_box), tuple(in_region)


def whole_shift(matrix: np.ndarray) -> Voxel | None:
    """Return the shift in whole voxels that a 4x4 matrix from voxels to voxels stands for; None if
    the matrix does anything else.
    """
    shift = np.round(matrix[:3, 3])
    is_shift = np.abs(matrix[:3, :3] - np.eye(3)).max() < 1e-4
    if not is_shift or np.abs(matrix[:3, 3] - shift).max() > 1e-2:
        return None
    i, j, k = (int(value) for value in shift)
    return i, j, k


def resampled(region: Region, from_to: np.ndarray) -> Region:
    """Return a region on another voxel grid, by nearest neighbour. `from_to` is the 4x4 matrix from
    the voxels of `region` to the voxels of the other grid.
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
    target = np.indices(box.values.shape).reshape(3, -1) + first[:, None]
    back = np.linalg.inv(from_to)
    source = np.floor(back[:3, :3] @ target + back[:3, 3:] + 0.5).astype(int)
    source -= np.array(region.min_ijk)[:, None]
    inside = ((source >= 0) & (source < np.array(region.values.shape)[:, None])).all(axis=0)
    flat = box.values.reshape(-1)
    flat[inside] = region.values[tuple(source[:, inside])]
    return box


def bounds(mask: np.ndarray) -> Slices:
    """Return the bounding box of a mask that is not empty."""
    sides = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        sides.append(slice(int(hits[0]), int(hits[-1]) + 1))
    return sides[0], sides[1], sides[2]


def unpacked_bits(packed: bytes, shape_ijk: Voxel) -> np.ndarray:
    """Return packed bits as bool (i, j, k): most significant bit first, k fastest. Raises
    `ValueError` if the number of bytes does not fit.
    """
    count = int(np.prod(shape_ijk, dtype=np.int64))
    if len(packed) != (count + 7) // 8:
        raise ValueError(f"Expected bits for {count} voxels, got {len(packed)} bytes")
    return _bits(packed, count).reshape(shape_ijk)


def _packed(bits: np.ndarray) -> bytes:
    return zlib.compress(np.packbits(bits).tobytes(), 1)


def _unpacked(packed: bytes, count: int) -> np.ndarray:
    return _bits(zlib.decompress(packed), count)


def _bits(packed: bytes, count: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count).view(bool)
