"""Logits of single slices to labels of a volume, in memory for the region that holds something.

    slice logits --add--> LabelBuilder --region--> Region (probabilities of a box of voxels)
                                                     |
       three directions --fuse_axes--> Region        |        several objects --merge_objects-->
                                                     v                         labels (i, j, k)
                                                 Region.mask()

A voxel belongs to the object where its logit is above 0. Nothing is smoothed, closed or filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from segsam.errors import OutputError
from segsam.imaging.slices import SliceView
from segsam.types import LabelArray, VoxelIndex

FLOOR_LOGIT = -8.0
"""Logits up to here (a probability of 0.0003) count as 0 and are not kept."""

LARGEST_LABEL = 65_535
_HALF = np.nextafter(np.float32(0.5), np.float32(1))


@dataclass(frozen=True, eq=False)
class Region:
    """Probabilities of one object in a box of a volume; outside the box they are 0.

    `values` is float32 (di, dj, dk) and begins at voxel `start_ijk` of a volume of `shape_ijk`.
    """

    values: NDArray[np.float32]
    start_ijk: VoxelIndex
    shape_ijk: VoxelIndex

    @classmethod
    def empty(cls, shape_ijk: VoxelIndex) -> Region:
        """Nothing found in a volume of this shape."""
        return cls(np.zeros((0, 0, 0), np.float32), (0, 0, 0), shape_ijk)

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Region:
        """A whole mask (i, j, k), cut down to what it holds; its probabilities are 1."""
        i, j, k = mask.shape
        box = _bounds(mask)
        if box is None:
            return cls.empty((i, j, k))
        start_i, start_j, start_k = (span.start for span in box)
        return cls(mask[box].astype(np.float32), (start_i, start_j, start_k), (i, j, k))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the region lies in the volume's array."""
        i, j, k = (
            slice(start, start + side)
            for start, side in zip(self.start_ijk, self.values.shape, strict=True)
        )
        return i, j, k

    @property
    def is_empty(self) -> bool:
        """No voxel belongs to the object."""
        return not bool((self.values > 0.5).any())

    @property
    def voxels(self) -> int:
        """How many voxels belong to the object."""
        return int(np.count_nonzero(self.values > 0.5))

    def bounds(self) -> tuple[slice, slice, slice] | None:
        """The smallest box of the volume that holds the object; None when there is none."""
        found = _bounds(self.values > 0.5)
        if found is None:
            return None
        i, j, k = (
            slice(start + span.start, start + span.stop)
            for start, span in zip(self.start_ijk, found, strict=True)
        )
        return i, j, k

    def within(self, box: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
        """The object inside a box of the volume that lies in the region, (di, dj, dk)."""
        i, j, k = (
            slice(span.start - start, span.stop - start)
            for start, span in zip(self.start_ijk, box, strict=True)
        )
        return self.values[i, j, k] > 0.5

    def mask(self) -> NDArray[np.bool_]:
        """The object in the whole volume, (i, j, k)."""
        whole = np.zeros(self.shape_ijk, dtype=np.bool_)
        whole[self.box] = self.values > 0.5
        return whole


class LabelBuilder:
    """Collects the slices of one direction; what is added twice counts the last time."""

    def __init__(self, view: SliceView) -> None:
        self._view = view
        self._pieces: dict[int, tuple[tuple[int, int], NDArray[np.float32]]] = {}

    @property
    def slices(self) -> tuple[int, ...]:
        """The indices added so far, in order."""
        return tuple(sorted(self._pieces))

    def add(self, index: int, logits: ArrayLike) -> None:
        """Logits (y, x) of slice `index`, as `SliceView.logits_to_plane` gives them (NumPy)."""
        plane = self._view.place(np.asarray(logits, dtype=np.float32))
        rows, columns = _bounds(plane > FLOOR_LOGIT) or (slice(0, 0), slice(0, 0))
        kept = probabilities_of(plane[rows, columns])
        self._pieces[index] = ((rows.start, columns.start), kept)

    def region(self) -> Region:
        """The probabilities of all slices added."""
        filled = {index: piece for index, piece in self._pieces.items() if piece[1].size}
        shape = self._view.shape_ijk
        if not filled:
            return Region.empty(shape)
        corner = np.array([start for start, _ in filled.values()])
        far = corner + np.array([values.shape for _, values in filled.values()])
        low, high = corner.min(axis=0), far.max(axis=0)
        first, last = min(filled), max(filled)
        stack = np.zeros((last - first + 1, *(high - low)), dtype=np.float32)
        for index, (start, values) in filled.items():
            row, column = start - low
            stack[index - first, row : row + values.shape[0], column : column + values.shape[1]] = (
                values
            )
        begins = [int(low[0]), int(low[1])]
        begins.insert(self._view.axis, first)
        i, j, k = begins
        return Region(np.moveaxis(stack, 0, self._view.axis), (i, j, k), shape)


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sigmoid; above 0.5 exactly where the logit is above 0, also when rounding says no."""
    values = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    above = np.where(logits > 0, np.maximum(values, _HALF), np.minimum(values, 0.5))
    kept: NDArray[np.float32] = np.where(logits > FLOOR_LOGIT, above, 0).astype(np.float32)
    return kept


def fuse_axes(regions: Sequence[Region]) -> Region:
    """The mean of the directions' probabilities, voxel by voxel; where one is silent it says 0."""
    whole = _union(regions)
    if whole is None:
        return Region.empty(regions[0].shape_ijk)
    total = np.zeros([span.stop - span.start for span in whole], dtype=np.float32)
    for region in regions:
        total[_within(region, whole)] += region.values
    total /= len(regions)
    i, j, k = (span.start for span in whole)
    return Region(total, (i, j, k), regions[0].shape_ijk)


def merge_objects(
    objects: Iterable[tuple[Region | NDArray[np.bool_], int]],
    *,
    shape_ijk: VoxelIndex | None = None,
) -> LabelArray:
    """One label volume of several objects, each a region or a mask (i, j, k) and its value.

    Where objects overlap the higher probability wins, and the later object when they are equal. The
    type is uint8 up to the value 255 and uint16 up to 65535. `shape_ijk` is needed only when there
    are no objects. Raises OutputError for a value outside 1 ... 65535 or shapes that differ.
    """
    pairs = [
        (found if isinstance(found, Region) else Region.of_mask(found), int(value))
        for found, value in objects
    ]
    shapes = {region.shape_ijk for region, _ in pairs} | ({shape_ijk} if shape_ijk else set())
    if len(shapes) != 1:
        raise OutputError(f"Objects of one volume are wanted; their shapes are {sorted(shapes)}.")
    labels: LabelArray = np.zeros(shapes.pop(), dtype=label_type(value for _, value in pairs))
    whole = _union([region for region, _ in pairs])
    if whole is None:
        return labels
    best = np.zeros([span.stop - span.start for span in whole], dtype=np.float32)
    for region, value in pairs:
        held = best[_within(region, whole)]
        wins = (region.values > 0.5) & (region.values >= held)
        labels[region.box][wins] = value
        held[wins] = region.values[wins]
    return labels


def label_type(values: Iterable[int]) -> type[np.uint8] | type[np.uint16]:
    """The smallest type that holds these label values. Raises OutputError outside 1 ... 65535."""
    listed = list(values)
    for value in listed:
        if not 1 <= value <= LARGEST_LABEL:
            raise OutputError(f"A label value is 1 to {LARGEST_LABEL}; got {value}.")
    return np.uint8 if max(listed, default=1) <= np.iinfo(np.uint8).max else np.uint16


def keep_components_touching(
    mask: NDArray[np.bool_], seeds_ijk: Iterable[Sequence[int]]
) -> NDArray[np.bool_]:
    """The connected parts of a mask (i, j, k) in which a seed voxel lies; the others are dropped.

    Voxels that share a face, an edge or a corner are connected (26 neighbours). A seed outside the
    mask keeps nothing, so the result can be empty.
    """
    kept = np.zeros_like(mask, dtype=np.bool_)
    box = _bounds(mask)
    if box is None:
        return kept
    parts, _ = ndimage.label(mask[box], structure=np.ones((3, 3, 3), dtype=np.bool_))
    begin = np.array([span.start for span in box])
    inside = [
        tuple(np.asarray(seed) - begin)
        for seed in seeds_ijk
        if all(span.start <= index < span.stop for index, span in zip(seed, box, strict=True))
    ]
    touched = {int(parts[seed]) for seed in inside} - {0}
    kept[box] = np.isin(parts, list(touched))
    return kept


def _bounds(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box that holds every True, one slice per axis; None when there is none."""
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


def _within(region: Region, whole: tuple[slice, slice, slice]) -> tuple[slice, slice, slice]:
    """The region's box counted from the corner of a larger one; empty regions stay empty."""
    if not region.values.size:
        return slice(0, 0), slice(0, 0), slice(0, 0)
    i, j, k = (
        slice(span.start - outer.start, span.stop - outer.start)
        for span, outer in zip(region.box, whole, strict=True)
    )
    return i, j, k
