"""Closed surfaces of segments for the 3D view, computed in a worker's thread.

Slicer's own conversion keeps the GUI's thread for seconds with a large organ. The same filters with
the same settings are run here by VTK itself, whose `Update` lets other threads go on. Where other
settings were chosen than these filters have, Slicer's conversion is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

import slicer
from SEGSAMLib.Scene.Segments import SURFACE
from SEGSAMLib.Values.Layers import Layers, Place
from SEGSAMLib.Values.Masks import bounds

_NOT_OURS = ("Decimation factor", "Joint smoothing", "Conversion method")


@dataclass(frozen=True, eq=False)
class Settings:
    """How surfaces are made, as the segmentation says. `is_ours` is false for what is left to
    Slicer's own conversion.
    """

    smoothing: float
    has_normals: bool
    is_ours: bool

    @classmethod
    def of(cls, segmentation: Any) -> Settings:
        def number(name: str) -> float:
            return float(segmentation.GetConversionParameter(name) or 0)

        return cls(
            number("Smoothing factor"),
            number("Compute surface normals") > 0,
            not any(number(name) for name in _NOT_OURS),
        )


class Surfaces:
    """Those of one segmentation, and of which voxels they are."""

    def __init__(self, node: Any) -> None:
        self._segmentation = node.GetSegmentation()
        self._stamps: dict[str, tuple[int, int]] = {}

    @property
    def are_shown(self) -> bool:
        """Whether the segmentation has surfaces."""
        return bool(self._segmentation.ContainsRepresentation(SURFACE))

    def drawing(self, layers: Layers) -> Drawing:
        """Of the segments whose label map was changed since their surface was made."""
        places = {
            segment_id: layers.place(segment_id)
            for segment_id in layers.ids
            if self._stamps.get(segment_id) != _stamp(layers.place(segment_id))
        }
        return Drawing(self, places, Settings.of(self._segmentation))

    def show(self, made: Mapping[str, Any], places: Mapping[str, Place]) -> None:
        """Put surfaces into the scene, of segments that are still there."""
        for segment_id, surface in made.items():
            segment = self._segmentation.GetSegment(segment_id)
            if segment is not None and self.are_shown:
                self._stamps[segment_id] = _stamp(places[segment_id])
                segment.AddRepresentation(SURFACE, surface)

    def converted(self, segment_id: str) -> Any:
        """By Slicer's own conversion, as long as it takes."""
        convert = slicer.vtkSlicerSegmentationsModuleLogic.CreateRepresentationForOneSegment
        surface = convert(self._segmentation, segment_id, SURFACE)
        if surface is not None:
            surface.UnRegister(None)  # its maker handed it over with one reference too many
        return surface


@dataclass(frozen=True, eq=False)
class Drawing:
    """Surfaces that are to be made: `compute` in whatever thread, then `show` in the GUI's."""

    surfaces: Surfaces
    places: Mapping[str, Place]
    settings: Settings

    def compute(self, check: Callable[[], None]) -> dict[str, Any]:
        """Those that are not left to Slicer; `check` is called in between, to stop by raising."""
        made = {}
        for segment_id, at in self.places.items():
            check()
            if self.settings.is_ours:
                made[segment_id] = closed_surface(at, self.settings)
        return made

    def show(self, made: Mapping[str, Any]) -> None:
        """In the scene."""
        if not self.settings.is_ours:
            converted = {each: self.surfaces.converted(each) for each in self.places}
            made = {each: surface for each, surface in converted.items() if surface is not None}
        self.surfaces.show(made, self.places)


def _stamp(at: Place) -> tuple[int, int]:
    return id(at.layer.owner), at.layer.stamp


def closed_surface(at: Place, settings: Settings) -> Any:
    """The surface of a segment as vtkPolyData in the segmentation's frame; in any thread."""
    inside = at.layer.labels == at.value
    if not inside.any():
        return vtk.vtkPolyData()
    box = bounds(inside)
    padded = np.pad(inside[box], 1)
    image = vtk.vtkImageData()
    image.SetDimensions(*padded.shape)
    flat = np.ascontiguousarray(padded.transpose(2, 1, 0)).view(np.uint8).ravel()
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    image.SetOrigin(*(low + side.start - 1 for low, side in zip(at.layer.min_ijk, box)))
    edges = vtk.vtkDiscreteFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 1)
    edges.ComputeGradientsOff()
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    last = _moved(_smooth(edges, settings.smoothing), at.layer.frame)
    if settings.has_normals:
        normals = vtk.vtkPolyDataNormals()
        normals.SetInputConnection(last.GetOutputPort())
        normals.ConsistencyOn()
        normals.SplittingOff()
        last = normals
    last.Update()
    return last.GetOutput()


def _smooth(source: Any, factor: float) -> Any:
    """With the numbers of Slicer's conversion rule."""
    if factor <= 0:
        return source
    smoother = vtk.vtkWindowedSincPolyDataFilter()
    smoother.SetInputConnection(source.GetOutputPort())
    smoother.SetNumberOfIterations(int(20 + factor * 40))
    smoother.SetPassBand(10.0 ** (-4.0 * factor))
    smoother.SetFeatureAngle(90.0)
    smoother.BoundarySmoothingOff()
    smoother.FeatureEdgeSmoothingOff()
    smoother.NonManifoldSmoothingOn()
    smoother.NormalizeCoordinatesOn()
    return smoother


def _moved(source: Any, frame: tuple[float, ...]) -> Any:
    matrix = vtk.vtkTransform()
    matrix.SetMatrix(frame)
    mover = vtk.vtkTransformPolyDataFilter()
    mover.SetInputConnection(source.GetOutputPort())
    mover.SetTransform(matrix)
    return mover
