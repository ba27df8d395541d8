"""The voxels of a segmentation's segments: looked at, and written in place only where they change.

`slicer.util` and the segmentations' logic copy a segment's whole label map for every change, and
compute its closed surface anew, which takes seconds. Here the label map's own memory is changed, so
that a click costs what it changes; surfaces stay as they were until they are shown anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

import slicer
from SEGSAMLib.Errors import StaleError
from SEGSAMLib.Scene.Frames import as_array
from SEGSAMLib.Values.Geometry import VolumeGrid
from SEGSAMLib.Values.Layers import Layer, Layers, Place

LABELMAP = "Binary labelmap"
SURFACE = "Closed surface"


class Segments:
    """Of a segmentation node, seen from a volume."""

    def __init__(self, node: Any, grid: VolumeGrid, volume_to_node: np.ndarray) -> None:
        """`volume_to_node` is the 4x4 from the volume's RAS to the segmentation's."""
        self.node = node
        self._segmentation = node.GetSegmentation()
        self._to_node = volume_to_node @ grid.matrix
        if self._segmentation.GetSourceRepresentationName() != LABELMAP:
            self._segmentation.CreateRepresentation(LABELMAP)
            self._segmentation.SetSourceRepresentationName(LABELMAP)

    def look(self) -> Layers:
        """The label maps as they are: the scene's own memory, nothing is copied."""
        layers: dict[int, Layer] = {}
        places: dict[str, Place] = {}
        for segment_id in self._segmentation.GetSegmentIDs():
            segment = self._segmentation.GetSegment(segment_id)
            image = segment.GetRepresentation(LABELMAP)
            if image is None:
                places[segment_id] = Place(self._layer(None), 1)
                continue
            if id(image) not in layers:
                layers[id(image)] = self._layer(image)
            places[segment_id] = Place(layers[id(image)], int(segment.GetLabelValue()))
        return Layers(places, self._to_node)

    def commit(self, layers: Layers) -> None:
        """Write what became of them. Raises `StaleError`, with nothing written, when something else
        has changed them since they were looked at.
        """
        is_as_it_was = (
            set(self._segmentation.GetSegmentIDs()) == set(layers.ids)
            and np.allclose(layers.to_node, self._to_node)
            and all(each.owner is None or _stamp(each.owner) == each.stamp for each in layers.all)
        )
        if not is_as_it_was:
            raise StaleError("The segmentation was changed meanwhile.")
        for layer in layers.all:
            if layer.is_changed:
                self._write(layer)
        for segment_id in layers.moved:
            place = layers.place(segment_id)
            segment = self._segmentation.GetSegment(segment_id)
            surface = segment.GetRepresentation(SURFACE)
            segment.SetLabelValue(place.value)
            segment.AddRepresentation(LABELMAP, place.layer.owner)
            if surface is not None:
                segment.AddRepresentation(SURFACE, surface)

    def _write(self, layer: Layer) -> None:
        surfaces = self._surfaces(layer.owner)
        if layer.owner is None:
            layer.owner = slicer.vtkOrientedImageData()
        image = layer.owner
        if layer.was_replaced:
            _set_frame(image, layer.frame)
            i, j, k = (low + side - 1 for low, side in zip(layer.min_ijk, layer.labels.shape))
            image.SetExtent(layer.min_ijk[0], i, layer.min_ijk[1], j, layer.min_ijk[2], k)
            image.AllocateScalars(get_vtk_array_type(layer.labels.dtype), 1)
            _array(image)[:] = layer.labels
        else:
            labels = _array(image)
            for box in layer.written:
                place = layer.place_of(box)
                labels[place] = layer.labels[place]
        image.GetPointData().GetScalars().Modified()
        image.Modified()
        for segment, surface in surfaces:
            segment.AddRepresentation(SURFACE, surface)

    def _surfaces(self, image: Any) -> list[tuple[Any, Any]]:
        """Of the segments of a layer: changing it throws their surfaces away, and the 3D view with
        them.
        """
        found = []
        for segment_id in self._segmentation.GetSegmentIDs():
            segment = self._segmentation.GetSegment(segment_id)
            surface = segment.GetRepresentation(SURFACE)
            if surface is not None and segment.GetRepresentation(LABELMAP) is image:
                found.append((segment, surface))
        return found

    def _layer(self, image: Any) -> Layer:
        """An empty one takes the volume's voxels."""
        if image is None or _is_empty(image):
            nothing = np.zeros((0, 0, 0), np.uint8)
            frame = tuple(float(value) for value in self._to_node.ravel())
            stamp = 0 if image is None else _stamp(image)
            return Layer(nothing, (0, 0, 0), np.eye(4), frame, image, stamp)
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
            _stamp(image),
        )


def _array(image: Any) -> np.ndarray:
    """The label map's own memory as (i, j, k)."""
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


def _stamp(image: Any) -> int:
    """Another number whenever voxels or frame were changed."""
    scalars = image.GetPointData().GetScalars()
    return max(int(image.GetMTime()), 0 if scalars is None else int(scalars.GetMTime()))
