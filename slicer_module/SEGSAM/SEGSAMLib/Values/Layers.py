"""The label maps of a segmentation as arrays, and what a change makes of them. numpy only.

`Segments` looks at the scene's label maps and writes what has become of them. In between, in
whatever thread, only copies are changed: what costs time for a large object costs the GUI none.

Segments may share one label map ("layer") with a value each. A voxel that is to be in two segments
of a layer first gets one of them a layer of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

import numpy as np

from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Values.Geometry import Voxel
from SEGSAMLib.Values.Masks import Region, Slices, VoxelChange, bounds, covering, part_of, resampled

_WIDER = {np.uint8: np.int16, np.int16: np.int32}


@dataclass(eq=False)
class Layer:
    """One label map: `labels` (i, j, k) is the scene's own memory until it is changed, and begins
    at `min_ijk`. `to_layer` is the 4x4 from the volume's voxels to its own, `frame` the 4x4 of its
    voxels in the segmentation as 16 numbers. `owner` is whose it is, None for a new one, and
    `stamp` tells whether that was changed since.
    """

    labels: np.ndarray
    min_ijk: Voxel
    to_layer: np.ndarray
    frame: tuple[float, ...]
    owner: Any = None
    stamp: int = 0
    written: list[Region] = field(default_factory=list)
    """The boxes that were written to, without their values."""
    was_replaced: bool = False
    """Its size or type is another one than the owner's."""

    @property
    def is_changed(self) -> bool:
        return bool(self.written)

    def place_of(self, box: Region) -> Slices:
        """Where a box inside it lies in `labels`."""
        i, j, k = (
            slice(low - first, low - first + side)
            for low, first, side in zip(box.min_ijk, self.min_ijk, box.values.shape)
        )
        return i, j, k

    def cut(self, box: Region, value: int | None = None) -> np.ndarray:
        """Bool (i, j, k) of the place of `box`: what has a value, or any; nothing outside."""
        found = np.zeros(box.values.shape, dtype=bool)
        to, of = [], []
        for axis, side in enumerate(self.labels.shape):
            first = self.min_ijk[axis]
            low = max(first, box.min_ijk[axis])
            high = max(min(first + side, box.min_ijk[axis] + box.values.shape[axis]), low)
            to.append(slice(low - box.min_ijk[axis], high - box.min_ijk[axis]))
            of.append(slice(low - first, high - first))
        labels = self.labels[tuple(of)]
        found[tuple(to)] = labels != 0 if value is None else labels == value
        return found

    def write(self, box: Region, more: np.ndarray, less: np.ndarray, value: int) -> None:
        """Give the voxels `more` of a box a value, and take it from `less`."""
        self._make_room(box, value)
        labels = self.labels[self.place_of(box)]
        np.copyto(labels, labels.dtype.type(value), where=more)
        np.copyto(labels, labels.dtype.type(0), where=less)
        self.written.append(Region(box.min_ijk, np.broadcast_to(False, box.values.shape)))

    def _make_room(self, box: Region, value: int) -> None:
        """A copy of its own that has the voxels of a box and holds a value."""
        old = self.labels
        dtype = old.dtype
        while value > np.iinfo(dtype).max:
            dtype = np.dtype(_WIDER.get(dtype.type, np.int32))
        low, high = list(box.min_ijk), list(box.max_ijk)
        if old.size:
            low = [min(a, b) for a, b in zip(low, self.min_ijk)]
            high = [max(b, a + n - 1) for a, b, n in zip(self.min_ijk, high, old.shape)]
        shape = tuple(b - a + 1 for a, b in zip(low, high))
        fits = shape == old.shape and dtype == old.dtype
        if fits and self.is_changed:
            return
        labels = np.zeros(shape[::-1], dtype).transpose(2, 1, 0)
        grown = Layer(labels, (low[0], low[1], low[2]), self.to_layer, self.frame)
        if old.size:
            labels[grown.place_of(Region(self.min_ijk, old))] = old
        self.labels, self.min_ijk = grown.labels, grown.min_ijk
        self.was_replaced = self.was_replaced or not fits


@dataclass(eq=False)
class Place:
    """Where a segment is: its layer, and its value there."""

    layer: Layer
    value: int


class Layers:
    """Of one segmentation, in the voxels of a volume: all regions that come in or go out are the
    volume's, whatever voxels the label maps have.
    """

    def __init__(self, places: Mapping[str, Place], to_node: np.ndarray) -> None:
        """By segment, in their order; `to_node` is the 4x4 from the volume's voxels to the
        segmentation's frame.
        """
        self.to_node = to_node
        self._places = dict(places)
        self.moved: list[str] = []
        """Segments that are in another layer now than the scene has them in."""

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._places)

    @property
    def all(self) -> tuple[Layer, ...]:
        """Every layer once."""
        return tuple({id(at.layer): at.layer for at in self._places.values()}.values())

    @property
    def voxels(self) -> int:
        """How many there are in all layers."""
        return sum(layer.labels.size for layer in self.all)

    def place(self, segment_id: str) -> Place:
        """Raises `NodeError` for a segment that is gone."""
        found = self._places.get(segment_id)
        if found is None:
            raise NodeError("The segment is not there any more.")
        return found

    def read(self, segment_id: str, box: Region) -> np.ndarray:
        """Bool (i, j, k): what of a segment lies in the place of `box`."""
        at = self.place(segment_id)
        everywhere = Region(box.min_ijk, np.broadcast_to(True, box.values.shape))
        place = resampled(everywhere, at.layer.to_layer)
        own = Region(place.min_ijk, at.layer.cut(place, at.value))
        return part_of(resampled(own, np.linalg.inv(at.layer.to_layer)), box)

    def all_of(self, segment_id: str) -> Region | None:
        """A whole segment in its bounding box, None when it is empty."""
        at = self.place(segment_id)
        inside = at.layer.labels == at.value
        if not inside.any():
            return None
        box = bounds(inside)
        i, j, k = (low + side.start for low, side in zip(at.layer.min_ijk, box))
        return resampled(Region((i, j, k), inside[box]), np.linalg.inv(at.layer.to_layer))

    def put(self, segment_id: str, add: Region, remove: Region | None) -> VoxelChange | None:
        """Add voxels to a segment and take others away; nothing else is written. Voxels that are in
        another segment are in both afterwards. Returns what changed, None for nothing.
        """
        at = self.place(segment_id)
        more = resampled(add, at.layer.to_layer)
        less = None if remove is None else resampled(remove, at.layer.to_layer)
        box = covering([more] if less is None else [more, less])
        before = at.layer.cut(box, at.value)
        after = before if less is None else before & ~part_of(less, box)
        after = after | part_of(more, box)
        change = VoxelChange.between(box.min_ijk, before, after, at.layer.frame)
        if change is not None:
            i, j, k = (
                slice(low - first, low - first + side)
                for low, first, side in zip(change.min_ijk, box.min_ijk, change.size_ijk)
            )
            self._set(segment_id, Region(change.min_ijk, before[i, j, k]), after[i, j, k])
        return change

    def take(self, segment_id: str, remove: Region) -> VoxelChange | None:
        """Take voxels away from a segment."""
        if not self.place(segment_id).layer.labels.size:
            return None
        return self.put(segment_id, Region(remove.min_ijk, np.zeros((1, 1, 1), bool)), remove)

    def fit(self, changes: Mapping[str, VoxelChange]) -> bool:
        """Whether changes are of these voxels: they can be undone and redone."""
        return all(
            np.allclose(change.frame, self.place(segment_id).layer.frame, atol=1e-6)
            for segment_id, change in changes.items()
            if segment_id in self._places
        )

    def undo(self, changes: Mapping[str, VoxelChange]) -> None:
        """Set changed voxels that fit as they were, the last ones first."""
        self._again(dict(reversed(list(changes.items()))), after=False)

    def redo(self, changes: Mapping[str, VoxelChange]) -> None:
        """Set changed voxels that fit as they became."""
        self._again(changes, after=True)

    def _again(self, changes: Mapping[str, VoxelChange], *, after: bool) -> None:
        for segment_id, change in changes.items():
            if segment_id not in self._places:
                continue  # removed since
            at = self.place(segment_id)
            where = change.where
            now = at.layer.cut(where, at.value)
            then = change.redone(now) if after else change.undone(now)
            self._set(segment_id, Region(where.min_ijk, now), then)

    def _set(self, segment_id: str, now: Region, then: np.ndarray) -> None:
        at = self.place(segment_id)
        more, less = then & ~now.values, now.values & ~then
        if (at.layer.cut(now) & more).any():
            at = self._alone(segment_id, at)
        at.layer.write(now, more, less, at.value)
        if at.layer.owner is None and segment_id not in self.moved:
            self.moved.append(segment_id)

    def _alone(self, segment_id: str, at: Place) -> Place:
        """The segment in a layer of its own: another one of its layer has voxels that it gets."""
        old = at.layer
        inside = old.labels == at.value
        layer = Layer(inside.astype(np.uint8), old.min_ijk, old.to_layer, old.frame)
        layer.was_replaced = True
        whole = Region(old.min_ijk, inside)
        old.write(whole, np.broadcast_to(False, inside.shape), inside, at.value)
        self._places[segment_id] = Place(layer, 1)
        return self._places[segment_id]
