"""Closed surfaces of segments for the 3D view, computed in a worker thread.

Slicer's own conversion blocks the GUI thread for seconds with a large organ. Here the same VTK
filters run with the same settings in a worker thread; VTK releases Python's lock meanwhile, from
version 9.4 on (Slicer 5.10). If the user chose other conversion settings, Slicer's own conversion
is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

import slicer
from SEGSAMLib.Scene.Segments import SURFACE
from SEGSAMLib.Values.Layers import Layers, SegmentLabel
from SEGSAMLib.Values.Masks import bounds

_RELEASING_VTK = (9, 4)
"""First version of VTK whose filters release Python's lock while they compute."""
_OTHER_SETTINGS = ("Decimation factor", "Joint smoothing", "Conversion method")


def releases_lock() -> bool:
    """Return True if surfaces can be computed while the user works on. An older VTK keeps Python's
    lock, so that a large organ stops Slicer for seconds.
    """
    version = vtk.vtkVersion
    return (version.GetVTKMajorVersion(), version.GetVTKMinorVersion()) >= _RELEASING_VTK


@dataclass(frozen=True, eq=False)
class ConversionSettings:
    """Conversion settings of a segmentation. `is_supported` is False if only Slicer's own
    conversion can apply them.
    """

    smoothing: float
    has_normals: bool
    is_supported: bool

    @classmethod
    def of(cls, segmentation: Any) -> ConversionSettings:
        """Read the settings of a segmentation."""

        def number(name: str) -> float:
            return float(segmentation.GetConversionParameter(name) or 0)

        return cls(
            number("Smoothing factor"),
            number("Compute surface normals") > 0,
            not any(number(name) for name in _OTHER_SETTINGS),
        )


class Surfaces:
    """Surfaces of one segmentation, and the state of the label maps that they were made from."""

    def __init__(self, node: Any) -> None:
        self._segmentation = node.GetSegmentation()
        self._modified_times: dict[str, int] = {}
        """Time of the label map that a surface was made from. VTK never gives a time twice."""

    @property
    def are_shown(self) -> bool:
        """True if the segmentation has surfaces."""
        return bool(self._segmentation.ContainsRepresentation(SURFACE))

    def update(self, layers: Layers) -> SurfaceUpdate:
        """Return the update of the segments whose label map is newer than their surface."""
        labels = {each: layers.label_of(each) for each in layers.ids}
        changed = {
            each: label
            for each, label in labels.items()
            if self._modified_times.get(each) != label.layer.modified_time
        }
        return SurfaceUpdate(self, changed, ConversionSettings.of(self._segmentation))

    def show(self, surfaces: Mapping[str, Any], labels: Mapping[str, SegmentLabel]) -> None:
        """Add surfaces to the segments that still exist."""
        for segment_id, surface in surfaces.items():
            segment = self._segmentation.GetSegment(segment_id)
            if segment is not None and self.are_shown:
                self._modified_times[segment_id] = labels[segment_id].layer.modified_time
                segment.AddRepresentation(SURFACE, surface)

    def convert(self, segment_id: str) -> Any:
        """Return the surface of a segment from Slicer's own conversion, which blocks."""
        convert = slicer.vtkSlicerSegmentationsModuleLogic.CreateRepresentationForOneSegment
        surface = convert(self._segmentation, segment_id, SURFACE)
        if surface is not None:
            surface.UnRegister(None)  # the function returns it with one reference too many
        return surface


@dataclass(frozen=True, eq=False)
class SurfaceUpdate:
    """Update of surfaces: `compute` in any thread, then `show` in the GUI thread."""

    surfaces: Surfaces
    labels: Mapping[str, SegmentLabel]
    settings: ConversionSettings

    def compute(self, check: Callable[[], None]) -> dict[str, Any]:
        """Compute the surfaces by segment id, none if Slicer's own conversion is needed. `check` is
        called between segments and may raise to stop.
        """
        surfaces = {}
        for segment_id, label in self.labels.items():
            check()
            if self.settings.is_supported:
                surfaces[segment_id] = closed_surface(label, self.settings)
        return surfaces

    def show(self, computed: Mapping[str, Any]) -> None:
        """Add the surfaces to the scene."""
        if not self.settings.is_supported:
            converted = {each: self.surfaces.convert(each) for each in self.labels}
            computed = {each: surface for each, surface in converted.items() if surface is not None}
        self.surfaces.show(computed, self.labels)


def closed_surface(label: SegmentLabel, settings: ConversionSettings) -> Any:
    """Return the surface of a segment as vtkPolyData in the segmentation's frame. Runs in any
    thread.
    """
    inside = label.layer.labels == label.value
    if not inside.any():
        return vtk.vtkPolyData()
    box = bounds(inside)
    padded = np.pad(inside[box], 1)
    image = vtk.vtkImageData()
    image.SetDimensions(*padded.shape)
    flat = np.ascontiguousarray(padded.transpose(2, 1, 0)).view(np.uint8).ravel()
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    image.SetOrigin(*(low + side.start - 1 for low, side in zip(label.layer.min_ijk, box)))
    edges = vtk.vtkDiscreteFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 1)
    edges.ComputeGradientsOff()
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    last = _transformed(_smoothed(edges, settings.smoothing), label.layer.frame)
    if settings.has_normals:
        normals = vtk.vtkPolyDataNormals()
        normals.SetInputConnection(last.GetOutputPort())
        normals.ConsistencyOn()
        normals.SplittingOff()
        last = normals
    last.Update()
    return last.GetOutput()


def _smoothed(source: Any, factor: float) -> Any:
    """Append a smoothing filter with the parameters of Slicer's own conversion
    (vtkBinaryLabelmapToClosedSurfaceConversionRule).
    """
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


def _transformed(source: Any, frame: tuple[float, ...]) -> Any:
    """Append a transform from voxels to the frame of the segmentation."""
    transform = vtk.vtkTransform()
    transform.SetMatrix(frame)
    transformer = vtk.vtkTransformPolyDataFilter()
    transformer.SetInputConnection(source.GetOutputPort())
    transformer.SetTransform(transform)
    return transformer
