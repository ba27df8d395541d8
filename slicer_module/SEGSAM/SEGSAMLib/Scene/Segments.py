"""Label maps of a segmentation: read without a copy, and written only where they change.

`slicer.util` and the segmentations logic copy the whole label map of a segment for each change, and
compute its closed surface again, which takes seconds. Here the memory of the label map is changed
directly, so that a click costs what it changes. Surfaces are updated later (`Surfaces`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

import slicer
from SEGSAMLib.Errors import StaleError
from SEGSAMLib.Scene.Frames import as_array
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import VolumeGrid
from SEGSAMLib.Values.Layers import Layer, Layers, SegmentLabel

LABELMAP = "Binary labelmap"
SURFACE = "Closed surface"


class Segments:
    """Label maps of a segmentation node, seen from a volume."""

    def __init__(self, node: Any, grid: VolumeGrid, volume_to_node: np.ndarray) -> None:
        """`volume_to_node` is the 4x4 matrix from the volume's RAS to the segmentation's RAS."""
        self.node = node
        self._segmentation = node.GetSegmentation()
        self._to_node = volume_to_node @ grid.matrix
        if self._segmentation.GetSourceRepresentationName() != LABELMAP:
            self._segmentation.CreateRepresentation(LABELMAP)
            self._segmentation.SetSourceRepresentationName(LABELMAP)

    def layers(self) -> Layers:
        """Return the label maps. They are the scene's own memory; nothing is copied."""
        layers: dict[int, Layer] = {}
        labels: dict[str, SegmentLabel] = {}
        for segment_id in self._segmentation.GetSegmentIDs():
            segment = self._segmentation.GetSegment(segment_id)
            image = segment.GetRepresentation(LABELMAP)
            if image is None:
                labels[segment_id] = SegmentLabel(self._layer(None), 1)
                continue
            if id(image) not in layers:
                layers[id(image)] = self._layer(image)
            labels[segment_id] = SegmentLabel(layers[id(image)], int(segment.GetLabelValue()))
        return Layers(labels, self._to_node)

    def commit(self, layers: Layers) -> None:
        """Write changed label maps to the scene. Raises `StaleError`, and writes nothing, if the
        segmentation was changed since the layers were read.
        """
        is_unchanged = (
            set(self._segmentation.GetSegmentIDs()) == set(layers.ids)
            and np.allclose(layers.to_node, self._to_node)
            and all(
                each.image is None or modified_time(each.image) == each.modified_time
                for each in layers.all
            )
        )
        if not is_unchanged:
            raise StaleError(_("The segmentation was changed meanwhile."))
        for layer in layers.all:
            if layer.is_changed:
                self._write(layer)
        for segment_id in layers.moved:
            label = layers.label_of(segment_id)
            segment = self._segmentation.GetSegment(segment_id)
            surface = segment.GetRepresentation(SURFACE)
            segment.SetLabelValue(label.value)
            segment.AddRepresentation(LABELMAP, label.layer.image)
            if surface is not None:
                segment.AddRepresentation(SURFACE, surface)

    def _write(self, layer: Layer) -> None:
        surfaces = self._surfaces(layer.image)
        if layer.image is None:
            layer.image = slicer.vtkOrientedImageData()
        image = layer.image
        if layer.was_replaced:
            _set_frame(image, layer.frame)
            i, j, k = (low + side - 1 for low, side in zip(layer.min_ijk, layer.labels.shape))
            image.SetExtent(layer.min_ijk[0], i, layer.min_ijk[1], j, layer.min_ijk[2], k)
            image.AllocateScalars(get_vtk_array_type(layer.labels.dtype), 1)
            _array(image)[:] = layer.labels
        else:
            labels = _array(image)
            for box in layer.written:
                index = layer.index_of(box)
                labels[index] = layer.labels[index]
        image.GetPointData().GetScalars().Modified()
        image.Modified()
        for segment, surface in surfaces:
            segment.AddRepresentation(SURFACE, surface)

    def _surfaces(self, image: Any) -> list[tuple[Any, Any]]:
        """Return the segments of a label map with their surfaces. Slicer drops the surfaces when
        the label map changes, so they are added again afterwards to keep the 3D view.
        """
        found = []
        for segment_id in self._segmentation.GetSegmentIDs():
            segment = self._segmentation.GetSegment(segment_id)
            surface = segment.GetRepresentation(SURFACE)
            if surface is not None and segment.GetRepresentation(LABELMAP) is image:
                found.append((segment, surface))
        return found

    def _layer(self, image: Any) -> Layer:
        """Read a label map. An empty one gets the voxel grid of the volume."""
        if image is None or _is_empty(image):
            empty = np.zeros((0, 0, 0), np.uint8)
            frame = tuple(float(value) for value in self._to_node.ravel())
            time = 0 if image is None else modified_time(image)
            return Layer(empty, (0, 0, 0), np.eye(4), frame, image, time)
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        own = as_array(matrix)
        extent = image.GetExtent()
        return Layer(
            _array(image),
            (extent[0], extent[2], extent[4]),
            np.linalg.inv(own) @ self._to_node,
            tuple(float(value) for value in own.ravel()),
            image,
            modified_time(image),
        )


def _array(image: Any) -> np.ndarray:
    """Return the memory of a label map as an array (i, j, k)."""
    extent = image.GetExtent()
    k, j, i = (extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0))
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i).transpose(2, 1, 0)


def _is_empty(image: Any) -> bool:
    extent = image.GetExtent()
    sides = (extent[2 * axis + 1] >= extent[2 * axis] for axis in range(3))
    return not all(sides) or image.GetPointData().GetScalars() is None


def _set_frame(image: Any, frame: tuple[float, ...]) -> None:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(frame)
    image.SetImageToWorldMatrix(matrix)


def modified_time(image: Any) -> int:
    """Return a number that grows with each change of voxels or frame."""
    scalars = image.GetPointData().GetScalars()
    return max(int(image.GetMTime()), 0 if scalars is None else int(scalars.GetMTime()))
