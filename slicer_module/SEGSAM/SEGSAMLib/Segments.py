"""The voxels of one segmentation's segments: read and written in place, only where they change.

`slicer.util` and the segmentations' logic copy a segment's whole label map for every change, and
compute its closed surface anew, which takes seconds. Here the label map's own memory is changed, so
that a click costs what it changes; surfaces stay as they were until `refresh_surfaces`.

Segments may share one label map ("layer") with a value each. A voxel that is to be in two segments
of a layer first gets one of them a layer of its own.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping

import numpy as np
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

import slicer

from .Errors import NodeError
from .Frames import as_array
from .Geometry import VolumeGrid
from .Masks import Change, Region, bounds, covering, part_of, resampled

LABELMAP = "Binary labelmap"
SURFACE = "Closed surface"


class Segments:
    """Of a segmentation node, in the voxels of a volume: all regions that come in or go out are the
    volume's, whatever voxels the label maps have.
    """

    def __init__(self, node: Any, grid: VolumeGrid, volume_to_node: np.ndarray) -> None:
        """`volume_to_node` is the 4x4 from the volume's RAS to the segmentation's."""
        self.node = node
        self._segmentation = node.GetSegmentation()
        self._grid = grid
        self._to_node = volume_to_node @ grid.matrix
        if self._segmentation.GetSourceRepresentationName() != LABELMAP:
            self._segmentation.CreateRepresentation(LABELMAP)
            self._segmentation.SetSourceRepresentationName(LABELMAP)

    @property
    def ids(self) -> tuple[str, ...]:
        """All segments, in their order."""
        return tuple(self._segmentation.GetSegmentIDs())

    def read(self, segment_id: str, box: Region) -> np.ndarray:
        """Bool (i, j, k): what of a segment lies in the place of `box`."""
        image = self._image(segment_id)
        if image is None or _is_empty(image):
            return np.zeros(box.values.shape, dtype=bool)
        everywhere = Region(box.min_ijk, np.ones(box.values.shape, dtype=bool))
        to_layer = self._to_layer(image)
        place = resampled(everywhere, to_layer)
        own = Region(place.min_ijk, self._read(segment_id, image, place))
        return part_of(resampled(own, np.linalg.inv(to_layer)), box)

    def all_of(self, segment_id: str) -> Region | None:
        """A whole segment in its bounding box, None when it is empty."""
        image = self._image(segment_id)
        if image is None or _is_empty(image):
            return None
        labels = _array(image) == self._label(segment_id)
        if not labels.any():
            return None
        box = bounds(labels)
        extent = image.GetExtent()
        low = tuple(extent[2 * axis] + box[axis].start for axis in range(3))
        return resampled(
            Region((low[0], low[1], low[2]), labels[box]), np.linalg.inv(self._to_layer(image))
        )

    def put(self, segment_id: str, add: Region, remove: Region | None) -> Change | None:
        """Add voxels to a segment and take others away; nothing else is written. Voxels that are in
        another segment are in both afterwards. Returns what changed, None for nothing.
        """
        image = self._image(segment_id) or self._new_image(segment_id)
        to_layer = self._to_layer(image)
        more = resampled(add, to_layer)
        less = None if remove is None else resampled(remove, to_layer)
        box = covering([more] if less is None else [more, less])
        before = self._read(segment_id, image, box)
        after = before if less is None else before & ~part_of(less, box)
        after = after | part_of(more, box)
        change = Change.between(box.min_ijk, before, after, _frame(image))
        if change is not None:
            self._apply(segment_id, change, after=True)
        return change

    def take(self, segment_id: str, remove: Region) -> Change | None:
        """Take voxels away from a segment."""
        nothing = Region(remove.min_ijk, np.zeros((1, 1, 1), dtype=bool))
        image = self._image(segment_id)
        if image is None or _is_empty(image):
            return None
        return self.put(segment_id, nothing, remove)

    def undo(self, changes: Mapping[str, Change]) -> None:
        """Set changed voxels as they were. Raises `NodeError` when a label map is another one."""
        for segment_id, change in changes.items():
            self._apply(segment_id, change, after=False)

    def redo(self, changes: Mapping[str, Change]) -> None:
        for segment_id, change in changes.items():
            self._apply(segment_id, change, after=True)

    def has_surfaces(self) -> bool:
        """Whether the segmentation is shown in 3D."""
        return bool(self._segmentation.ContainsRepresentation(SURFACE))

    def refresh_surfaces(self, segment_ids: Iterable[str]) -> None:
        """Compute the closed surfaces of segments anew; as long as it takes Slicer."""
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        for segment_id in segment_ids:
            segment = self._segmentation.GetSegment(segment_id)
            if segment is None:
                continue
            surface = logic.CreateRepresentationForOneSegment(
                self._segmentation, segment_id, SURFACE
            )
            if surface is not None:
                surface.UnRegister(None)  # its maker handed it over with one reference too many
                segment.AddRepresentation(SURFACE, surface)

    def _apply(self, segment_id: str, change: Change, *, after: bool) -> None:
        if self._segmentation.GetSegment(segment_id) is None:
            return  # removed since
        image = self._image(segment_id) or self._new_image(segment_id)
        if not np.allclose(change.frame, _frame(image), atol=1e-6):
            raise NodeError(
                "The segmentation has other voxels than when this was done, so it cannot be undone."
            )
        box = change.where
        now = self._read(segment_id, image, box)
        then = change.redone(now) if after else change.undone(now)
        image = self._alone_where(segment_id, image, box, then & ~now)
        self._write(segment_id, image, box, now, then)

    def _alone_where(self, segment_id: str, image: Any, box: Region, more: np.ndarray) -> Any:
        """The segment's image, one of its own when another segment of its layer has voxels that
        are about to be added.
        """
        if not more.any():
            return image
        labels = _cut(image, box)
        if not (labels[more] != 0).any():
            return image
        self._segmentation.SeparateSegmentLabelmap(segment_id)
        return self._image(segment_id)

    def _write(
        self, segment_id: str, image: Any, box: Region, now: np.ndarray, then: np.ndarray
    ) -> None:
        surfaces = self._surfaces(image)
        label = self._label(segment_id)
        _grow(image, box, label)
        extent = image.GetExtent()
        place = tuple(
            slice(box.min_ijk[a] - extent[2 * a], box.max_ijk[a] - extent[2 * a] + 1)
            for a in range(3)
        )
        labels = _array(image)[place]
        labels[then & ~now] = label
        labels[now & ~then] = 0
        image.GetPointData().GetScalars().Modified()
        image.Modified()
        for segment, surface in surfaces:
            segment.AddRepresentation(SURFACE, surface)

    def _surfaces(self, image: Any) -> list[tuple[Any, Any]]:
        """Of the segments of a layer: changing it throws their surfaces away, and the 3D view with
        them.
        """
        found = []
        for segment_id in self.ids:
            segment = self._segmentation.GetSegment(segment_id)
            surface = segment.GetRepresentation(SURFACE)
            if surface is not None and segment.GetRepresentation(LABELMAP) is image:
                found.append((segment, surface))
        return found

    def _image(self, segment_id: str) -> Any:
        segment = self._segmentation.GetSegment(segment_id)
        if segment is None:
            raise NodeError("The segment is not there any more.")
        return segment.GetRepresentation(LABELMAP)

    def _label(self, segment_id: str) -> int:
        return int(self._segmentation.GetSegment(segment_id).GetLabelValue())

    def _new_image(self, segment_id: str) -> Any:
        """A label map of its own for a segment that has none."""
        image = slicer.vtkOrientedImageData()
        self._place_empty(image)
        segment = self._segmentation.GetSegment(segment_id)
        segment.SetLabelValue(1)
        segment.AddRepresentation(LABELMAP, image)
        return image

    def _to_layer(self, image: Any) -> np.ndarray:
        """4x4 from the volume's voxels to those of a label map. An empty one takes the volume's."""
        if _is_empty(image):
            self._place_empty(image)
        return np.linalg.inv(_matrix(image)) @ self._to_node

    def _place_empty(self, image: Any) -> None:
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(self._to_node.ravel().tolist())
        image.SetImageToWorldMatrix(matrix)

    def _read(self, segment_id: str, image: Any, box: Region) -> np.ndarray:
        return _cut(image, box) == self._label(segment_id)


def _cut(image: Any, box: Region) -> np.ndarray:
    """The label values in the place of `box`, 0 outside the image; a new array."""
    found = np.zeros(box.values.shape, dtype=np.int32)
    if _is_empty(image):
        return found
    extent = image.GetExtent()
    to, of = [], []
    for axis in range(3):
        low = max(extent[2 * axis], box.min_ijk[axis])
        high = max(min(extent[2 * axis + 1], box.max_ijk[axis]) + 1, low)
        to.append(slice(low - box.min_ijk[axis], high - box.min_ijk[axis]))
        of.append(slice(low - extent[2 * axis], high - extent[2 * axis]))
    found[tuple(to)] = _array(image)[tuple(of)]
    return found


def _grow(image: Any, box: Region, label: int) -> None:
    """Make room in a label map for the voxels of `box` and for the value `label`."""
    empty = _is_empty(image)
    extent = image.GetExtent()
    low, high = list(box.min_ijk), list(box.max_ijk)
    old = None if empty else _array(image)
    dtype = np.dtype(np.uint8) if old is None else old.dtype
    while label > np.iinfo(dtype).max:
        dtype = np.dtype({np.uint8: np.int16, np.int16: np.int32}.get(dtype.type, np.int32))
    if old is not None:
        low = [min(low[axis], extent[2 * axis]) for axis in range(3)]
        high = [max(high[axis], extent[2 * axis + 1]) for axis in range(3)]
        if dtype == old.dtype and all(
            low[axis] == extent[2 * axis] and high[axis] == extent[2 * axis + 1]
            for axis in range(3)
        ):
            return
    grown = slicer.vtkOrientedImageData()
    grown.SetExtent(low[0], high[0], low[1], high[1], low[2], high[2])
    grown.AllocateScalars(get_vtk_array_type(dtype), 1)
    values = _array(grown)
    values[:] = 0
    if old is not None:
        start = [extent[2 * axis] - low[axis] for axis in range(3)]
        place = tuple(slice(s, s + n) for s, n in zip(start, old.shape))
        values[place] = old
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    grown.SetImageToWorldMatrix(matrix)
    image.ShallowCopy(grown)


def _array(image: Any) -> np.ndarray:
    """The label map's own memory as (i, j, k)."""
    extent = image.GetExtent()
    k, j, i = (extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0))
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i).transpose(2, 1, 0)


def _is_empty(image: Any) -> bool:
    extent = image.GetExtent()
    sides = (extent[2 * axis + 1] >= extent[2 * axis] for axis in range(3))
    return not all(sides) or image.GetPointData().GetScalars() is None


def _matrix(image: Any) -> np.ndarray:
    """(4, 4), from its voxels to the segmentation's frame."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return as_array(matrix)


def _frame(image: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in _matrix(image).ravel())
