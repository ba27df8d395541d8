"""Label maps of a segmentation as arrays, and changes of them. numpy only.

`Segments` reads the label maps of the scene and writes them back. In between only copies are
changed, in any thread, so that a large object does not block the GUI.

Segments may share a label map (Slicer calls it a layer), each with its own label value. A layer
cannot hold a voxel that belongs to two segments. When a segment gets such a voxel, it is moved to a
new layer of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

import numpy as np

from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import Voxel
from SEGSAMLib.Values.Masks import (
    Region,
    Slices,
    VoxelChange,
    bounding_region,
    overlap,
    part_of,
    resampled,
)

_WIDER = {np.uint8: np.int16, np.int16: np.int32}
"""Data type of a label map -> the next larger one."""


@dataclass(eq=False)
class Layer:
    """Label map with its place in the volume and in the segmentation.

    `labels` (i, j, k) begins at the voxel `min_ijk`. It is the scene's own memory until `write`
    replaces it by a copy.
    `to_layer` is the 4x4 matrix from the volume's voxels to the layer's voxels. `frame` is the 4x4
    matrix from the layer's voxels to the segmentation, as 16 numbers. `image` is the vtk image in
    the scene, None for a new layer, and `modified_time` its time when it was read.
    """

    labels: np.ndarray
    min_ijk: Voxel
    to_layer: np.ndarray
    frame: tuple[float, ...]
    image: Any = None
    modified_time: int = 0
    written: list[Region] = field(default_factory=list)
    """Boxes that were written to, without their values."""
    was_replaced: bool = False
    """True if size or data type differ from those of `image`."""

    @property
    def is_changed(self) -> bool:
        """True if anything was written."""
        return bool(self.written)

    def index_of(self, box: Region) -> Slices:
        """Return the index of a box in `labels`; the box must lie inside."""
        i, j, k = (
            slice(low - first, low - first + side)
            for low, first, side in zip(box.min_ijk, self.min_ijk, box.values.shape)
        )
        return i, j, k

    def cut(self, box: Region, value: int | None = None) -> np.ndarray:
        """Return bool (i, j, k) of a box: voxels with a label value, or with any label."""
        found = np.zeros(box.values.shape, dtype=bool)
        in_box, in_labels = overlap(Region(self.min_ijk, self.labels), box)
        labels = self.labels[in_labels]
        found[in_box] = labels != 0 if value is None else labels == value
        return found

    def write(self, box: Region, added: np.ndarray, removed: np.ndarray, value: int) -> None:
        """Set a label value in the voxels `added` of a box, and 0 in the voxels `removed`."""
        self._copy_for(box, value)
        labels = self.labels[self.index_of(box)]
        np.copyto(labels, labels.dtype.type(value), where=added)
        np.copyto(labels, labels.dtype.type(0), where=removed)
        self.written.append(Region(box.min_ijk, np.broadcast_to(False, box.values.shape)))

    def _copy_for(self, box: Region, value: int) -> None:
        """Replace `labels` by a copy that covers a box and whose data type holds a value."""
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
            return  # `labels` is a copy already, no longer the memory of the scene
        labels = np.zeros(shape[::-1], dtype).transpose(2, 1, 0)
        grown = Layer(labels, (low[0], low[1], low[2]), self.to_layer, self.frame)
        if old.size:
            labels[grown.index_of(Region(self.min_ijk, old))] = old
        self.labels, self.min_ijk = grown.labels, grown.min_ijk
        self.was_replaced = self.was_replaced or not fits


@dataclass(eq=False)
class SegmentLabel:
    """Layer of a segment, and the segment's label value in it."""

    layer: Layer
    value: int


class Layers:
    """Layers of one segmentation, seen from a volume. All regions that are passed or returned are
    in voxels of the volume, whatever voxel grid the label maps have.
    """

    def __init__(self, by_segment: Mapping[str, SegmentLabel], to_node: np.ndarray) -> None:
        """`by_segment` is in the order of the segments. `to_node` is the 4x4 matrix from the
        volume's voxels to the segmentation.
        """
        self.to_node = to_node
        self._by_segment = dict(by_segment)
        self.moved: list[str] = []
        """Segments that are now in another layer than in the scene."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all segments."""
        return tuple(self._by_segment)

    @property
    def all(self) -> tuple[Layer, ...]:
        """Every layer once."""
        return tuple({id(at.layer): at.layer for at in self._by_segment.values()}.values())

    @property
    def voxels(self) -> int:
        """Number of voxels of all layers."""
        return sum(layer.labels.size for layer in self.all)

    def label_of(self, segment_id: str) -> SegmentLabel:
        """Return layer and value of a segment. Raises `NodeError` if the segment was removed."""
        found = self._by_segment.get(segment_id)
        if found is None:
            raise NodeError(_("The segment was removed."))
        return found

    def read(self, segment_id: str, box: Region) -> np.ndarray:
        """Return the voxels of a segment in a box, bool (i, j, k)."""
        at = self.label_of(segment_id)
        everywhere = Region(box.min_ijk, np.broadcast_to(True, box.values.shape))
        box_in_layer = resampled(everywhere, at.layer.to_layer)
        found = Region(box_in_layer.min_ijk, at.layer.cut(box_in_layer, at.value))
        return part_of(resampled(found, np.linalg.inv(at.layer.to_layer)), box)

    def whole(self, segment_id: str) -> Region | None:
        """Return a whole segment in its bounding box, None if it is empty."""
        at = self.label_of(segment_id)
        found = Region(at.layer.min_ijk, at.layer.labels == at.value).trimmed()
        return None if found is None else resampled(found, np.linalg.inv(at.layer.to_layer))

    def write(self, segment_id: str, add: Region, remove: Region | None) -> VoxelChange | None:
        """Add the voxels `add` to a segment and remove the voxels `remove`; return the change, None
        if there is none. Other segments are not changed: an added voxel may belong to several.
        """
        at = self.label_of(segment_id)
        added = resampled(add, at.layer.to_layer)
        removed = None if remove is None else resampled(remove, at.layer.to_layer)
        box = bounding_region([added] if removed is None else [added, removed])
        before = at.layer.cut(box, at.value)
        after = before if removed is None else before & ~part_of(removed, box)
        after = after | part_of(added, box)
        change = VoxelChange.between(box.min_ijk, before, after, at.layer.frame)
        if change is not None:
            i, j, k = (
                slice(low - first, low - first + side)
                for low, first, side in zip(change.min_ijk, box.min_ijk, change.size_ijk)
            )
            self._set(segment_id, Region(change.min_ijk, before[i, j, k]), after[i, j, k])
        return change

    def erase(self, segment_id: str, remove: Region) -> VoxelChange | None:
        """Remove voxels from a segment; return the change, None if there is none."""
        if not self.label_of(segment_id).layer.labels.size:
            return None
        return self.write(segment_id, Region(remove.min_ijk, np.zeros((1, 1, 1), bool)), remove)

    def match(self, changes: Mapping[str, VoxelChange]) -> bool:
        """Return True if changes refer to these voxel grids, so that they can be undone."""
        return all(
            np.allclose(change.frame, self.label_of(segment_id).layer.frame, atol=1e-6)
            for segment_id, change in changes.items()
            if segment_id in self._by_segment
        )

    def undo(self, changes: Mapping[str, VoxelChange]) -> None:
        """Set changed voxels to their values before the changes, the last change first."""
        self._replay(dict(reversed(list(changes.items()))), after=False)

    def redo(self, changes: Mapping[str, VoxelChange]) -> None:
        """Set changed voxels to their values after the changes."""
        self._replay(changes, after=True)

    def _replay(self, changes: Mapping[str, VoxelChange], *, after: bool) -> None:
        for segment_id, change in changes.items():
            if segment_id not in self._by_segment:
                continue  # the segment was removed since
            at = self.label_of(segment_id)
            where = change.where
            now = at.layer.cut(where, at.value)
            then = change.redone(now) if after else change.undone(now)
            self._set(segment_id, Region(where.min_ijk, now), then)

    def _set(self, segment_id: str, now: Region, then: np.ndarray) -> None:
        """Set the voxels of a segment from `now` to `then`, if need be in a layer of its own."""
        at = self.label_of(segment_id)
        added, removed = then & ~now.values, now.values & ~then
        if (at.layer.cut(now) & added).any():  # another segment has some of them in this layer
            at = self._move_to_own_layer(segment_id, at)
        at.layer.write(now, added, removed, at.value)
        if at.layer.image is None and segment_id not in self.moved:
            self.moved.append(segment_id)

    def _move_to_own_layer(self, segment_id: str, at: SegmentLabel) -> SegmentLabel:
        """Move a segment to a new layer, because another segment has voxels that it gets."""
        old = at.layer
        inside = old.labels == at.value
        layer = Layer(inside.astype(np.uint8), old.min_ijk, old.to_layer, old.frame)
        layer.was_replaced = True
        whole = Region(old.min_ijk, inside)
        old.write(whole, np.broadcast_to(False, inside.shape), inside, at.value)
        self._by_segment[segment_id] = SegmentLabel(layer, 1)
        return self._by_segment[segment_id]
