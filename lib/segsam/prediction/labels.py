"""Label volumes from the logits of single slices, in memory only for the region of the object.

    slice logits --add--> LabelBuilder --region--> Region (probabilities of a box of voxels)
                                                     |
       three directions --fuse_axes--> Region        |        several objects --merge_objects-->
                                                     v                         labels (i, j, k)
                                                 Region.mask()

A voxel belongs to the object if its logit is above 0. Nothing is smoothed, closed or filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from segsam.errors import OutputError
from segsam.imaging.slices import SliceView
from segsam.imaging.voxels import zeros
from segsam.prompting.prompts import Box
from segsam.types import LabelArray, VoxelIndex

FLOOR_LOGIT = -8.0
"""Logits up to this value (a probability of 0.0003) count as probability 0 and need no memory."""

_LARGEST_LABEL = 65_535
_ABOVE_HALF = np.nextafter(np.float32(0.5), np.float32(1))


@dataclass(frozen=True, eq=False)
class Region:
    """Probabilities of one object in a box of voxels; outside the box they are 0.

    `values` is float32 (di, dj, dk); its first voxel is `start_ijk` of a volume of `shape_ijk`.
    """

    values: NDArray[np.float32]
    start_ijk: VoxelIndex
    shape_ijk: VoxelIndex

    @classmethod
    def empty(cls, shape_ijk: VoxelIndex) -> Region:
        """Return an empty region of a volume of this shape."""
        return cls(np.zeros((0, 0, 0), np.float32), (0, 0, 0), shape_ijk)

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Region:
        """Return the region of a mask (i, j, k) with probability 1, cut to its bounds."""
        i, j, k = mask.shape
        box = _bounds(mask)
        if box is None:
            return cls.empty((i, j, k))
        start_i, start_j, start_k = (span.start for span in box)
        return cls(mask[box].astype(np.float32), (start_i, start_j, start_k), (i, j, k))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Position of the region in the volume's array."""
        return _shifted([slice(0, side) for side in self.values.shape], self.start_ijk)

    @property
    def is_empty(self) -> bool:
        """True if no voxel belongs to the object."""
        return self.voxels == 0

    @property
    def voxels(self) -> int:
        """Number of voxels of the object."""
        return int(np.count_nonzero(self.values > 0.5))

    def bounds(self) -> tuple[slice, slice, slice] | None:
        """Return the smallest box of the volume that holds the object; None if it is empty."""
        found = _bounds(self.values > 0.5)
        return None if found is None else _shifted(found, self.start_ijk)

    @property
    def bounding_box(self) -> Box | None:
        """Tight box of the object in voxel indices, inclusive; None if it is empty."""
        bounds = self.bounds()
        if bounds is None:
            return None
        i, j, k = bounds
        return Box((i.start, j.start, k.start), (i.stop - 1, j.stop - 1, k.stop - 1))

    def section(self, axis: int, offset: int) -> Region:
        """Return the slice of the region that is `offset` slices from its start along an axis."""
        i, j, k = (start + offset * (a == axis) for a, start in enumerate(self.start_ijk))
        return Region(self.values.take([offset], axis), (i, j, k), self.shape_ijk)

    def within(self, box: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
        """Return the object's mask (di, dj, dk) in a box of the volume inside the region."""
        return self.values[_shifted(box, [-start for start in self.start_ijk])] > 0.5

    def mask(self) -> NDArray[np.bool_]:
        """Return the object's mask in the whole volume, (i, j, k)."""
        whole = _zeros_around(self.box, self.shape_ijk, np.bool_)
        whole[self.box] = self.values > 0.5
        return whole

    def packed(self) -> Region:
        """Return the region with the object's voxels alone, in little memory."""
        return _PackedRegion(self)


class _PackedRegion(Region):
    """Region that holds the probabilities of the object's voxels, and one bit for each voxel of the
    box around them. `values` are unpacked each time that they are read; others than the object's
    are 0.
    """

    _sides: tuple[int, ...]
    _inside: NDArray[np.uint8]
    _certain: NDArray[np.float32]

    def __init__(self, region: Region) -> None:
        """Pack a region."""
        i, j, k = region.bounds() or (slice(0, 0), slice(0, 0), slice(0, 0))
        values = region.values[_shifted((i, j, k), [-start for start in region.start_ijk])]
        inside = values > 0.5
        vars(self).update(  # the fields are frozen
            start_ijk=(i.start, j.start, k.start),
            shape_ijk=region.shape_ijk,
            _sides=values.shape,
            _inside=np.packbits(inside),
            _certain=values[inside],
        )

    @property
    def values(self) -> NDArray[np.float32]:
        """Probabilities (di, dj, dk), unpacked now."""
        values = zeros(self._sides, np.float32)
        bits = np.unpackbits(self._inside, count=values.size)
        values[bits.reshape(self._sides).view(np.bool_)] = self._certain
        return values

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Position of the region in the volume's array."""
        return _shifted([slice(0, side) for side in self._sides], self.start_ijk)

    @property
    def voxels(self) -> int:
        """Number of voxels of the object."""
        return self._certain.size


class LabelBuilder:
    """Collector of the slices across one axis; a slice that is added again replaces the first.

    Voxels outside of the box `within` are left out.
    """

    def __init__(self, view: SliceView, within: tuple[slice, slice, slice] | None = None) -> None:
        self._view = view
        sides = within or [slice(0, side) for side in view.shape_ijk]
        self._span = sides[view.axis]
        self._rows, self._columns = (sides[axis] for axis in range(3) if axis != view.axis)
        self._pieces: dict[int, tuple[tuple[int, int], NDArray[np.float32]]] = {}

    def add(self, index: int, logits: ArrayLike) -> None:
        """Add logits (y, x) of slice `index`, as an array from `SliceView.logits_to_plane`."""
        if not self._span.start <= index < self._span.stop:
            return
        plane = self._view.place(np.asarray(logits, dtype=np.float32))[self._rows, self._columns]
        rows, columns = _bounds(plane > FLOOR_LOGIT) or (slice(0, 0), slice(0, 0))
        values = probabilities_of(plane[rows, columns])
        start = self._rows.start + rows.start, self._columns.start + columns.start
        self._pieces[index] = (start, values)

    def region(self) -> Region:
        """Return the probabilities of all slices added."""
        filled = {index: piece for index, piece in self._pieces.items() if piece[1].size}
        shape = self._view.shape_ijk
        if not filled:
            return Region.empty(shape)
        starts = np.array([start for start, _ in filled.values()])
        stops = starts + np.array([values.shape for _, values in filled.values()])
        low, high = starts.min(axis=0), stops.max(axis=0)
        first, last = min(filled), max(filled)
        height, width = (high - low).tolist()
        stack = zeros((last - first + 1, height, width), np.float32)
        for index, (start, values) in filled.items():
            row, column = start - low
            height, width = values.shape
            stack[index - first, row : row + height, column : column + width] = values
        start_ijk = [int(low[0]), int(low[1])]
        start_ijk.insert(self._view.axis, first)
        i, j, k = start_ijk
        return Region(np.moveaxis(stack, 0, self._view.axis), (i, j, k), shape)


def _zeros_around(box: Sequence[slice], shape_ijk: VoxelIndex, dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros (i, j, k) in the memory order in which a box lies on the fewest pages.

    One slice across k, in the usual order, would have a voxel on each page of the volume.
    """
    order = sorted(range(3), key=lambda a: (box[a].stop - box[a].start) / shape_ijk[a])
    return zeros(tuple(shape_ijk[axis] for axis in order), dtype).transpose(np.argsort(order))


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sigmoid of logits, above 0.5 exactly where the logit is above 0.

    Single precision rounds the sigmoid of a tiny positive logit to 0.5; the voxel would be lost.
    """
    values = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    above = np.where(logits > 0, np.maximum(values, _ABOVE_HALF), np.minimum(values, 0.5))
    floored: NDArray[np.float32] = np.where(logits > FLOOR_LOGIT, above, 0).astype(np.float32)
    return floored


def fuse_axes(regions: Sequence[Region]) -> Region:
    """Return the mean of the axes' probabilities; outside its region an axis counts as 0."""
    whole = _union(regions)
    if whole is None:
        return Region.empty(regions[0].shape_ijk)
    total = np.zeros([span.stop - span.start for span in whole], dtype=np.float32)
    for region in regions:
        total[_within(region, whole)] += region.values
    total /= len(regions)
    i, j, k = (span.start for span in whole)
    return Region(total, (i, j, k), regions[0].shape_ijk)


def overlap_note(subject: str, voxels: int, kept: int) -> str:
    """Return the note about an object of `voxels`, of which a label volume holds only `kept`."""
    return (
        f"{subject} overlaps others: {voxels - kept} of its {voxels} voxels are labelled as those, "
        "which are more probable there; a label volume holds one value per voxel."
    )


def merge_objects(
    objects: Iterable[tuple[Region | NDArray[np.bool_], int]],
    *,
    shape_ijk: VoxelIndex | None = None,
) -> LabelArray:
    """Return one label volume of several objects, each a region or a mask (i, j, k) and its value.

    Where objects overlap, the higher probability wins; if they are equal, the later object. The
    type is uint8 for values up to 255 and uint16 up to 65535. `shape_ijk` is only needed without
    objects.

    Raises:
        OutputError: a value outside 1 ... 65535, or objects of different shapes.
    """
    pairs = [
        (found if isinstance(found, Region) else Region.of_mask(found), int(value))
        for found, value in objects
    ]
    shapes = {region.shape_ijk for region, _ in pairs} | ({shape_ijk} if shape_ijk else set())
    if len(shapes) != 1:
        raise OutputError(f"Expected objects of one volume, got the shapes {sorted(shapes)}.")
    labels: LabelArray = zeros(shapes.pop(), _label_type([value for _, value in pairs]))
    for place, (region, value) in enumerate(pairs):
        values, labelled = region.values, labels[region.box]
        wins = values > 0.5
        others = set(np.unique(labelled[wins]).tolist())
        for other in (other for other, its_value in pairs[:place] if its_value in others):
            mine, its = _common(region, other)
            wins[mine] &= values[mine] >= other.values[its]
        labelled[wins] = value  # a view: writing to it changes `labels`
    return labels


def _label_type(values: Sequence[int]) -> type[np.uint8] | type[np.uint16]:
    """Return the smallest type that holds these label values."""
    for value in values:
        if not 1 <= value <= _LARGEST_LABEL:
            raise OutputError(f"Expected a label value of 1 to {_LARGEST_LABEL}, got {value}.")
    return np.uint8 if max(values, default=1) <= np.iinfo(np.uint8).max else np.uint16


def _bounds(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """Return the smallest box that holds every True, one slice per axis; None if there is none."""
    spans = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        if not filled.size:
            return None
        spans.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(spans)


def _union(regions: Sequence[Region]) -> tuple[slice, slice, slice] | None:
    boxes = [region.box for region in regions if region.values.size]
    if not boxes:
        return None
    i, j, k = (
        slice(min(span.start for span in spans), max(span.stop for span in spans))
        for spans in zip(*boxes, strict=True)
    )
    return i, j, k


def _common(first: Region, second: Region) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the box that two regions have in common, relative to each; it may be empty."""
    spans = [
        (max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))
        for a, b in zip(first.box, second.box, strict=True)
    ]
    boxes = [
        tuple(
            slice(low - start, high - start)
            for (low, high), start in zip(spans, starts, strict=True)
        )
        for starts in (first.start_ijk, second.start_ijk)
    ]
    return boxes[0], boxes[1]


def _within(region: Region, whole: tuple[slice, slice, slice]) -> tuple[slice, slice, slice]:
    """Return the region's box relative to a larger one; empty regions stay empty."""
    if not region.values.size:
        return slice(0, 0), slice(0, 0), slice(0, 0)
    return _shifted(region.box, [-outer.start for outer in whole])


def _shifted(box: Sequence[slice], offset_ijk: Sequence[int]) -> tuple[slice, slice, slice]:
    i, j, k = (
        slice(span.start + offset, span.stop + offset)
        for span, offset in zip(box, offset_ijk, strict=True)
    )
    return i, j, k
