"""Slice views and a 3D view of Slicer's own libraries, drawn without a screen, with a mouse."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from trame_slicer.views import SliceView, ThreeDView
from trame_slicer.views.render_scheduler import NoScheduleRendering
from vtk.util.numpy_support import vtk_to_numpy

import slicer

DRAW_MS = 16
ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class Views:
    """The slice views of a layout by the names that they have in Slicer; also its layout manager.

    They draw when `pixels` or `save` asks, and not before.
    """

    def __init__(self, scene: Any, application: Any, size_px: tuple[int, int] = (400, 400)) -> None:
        self._scene, self._application = scene, application
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        self._slices = {}
        for name, orientation in ORIENTATIONS.items():
            view = SliceView(
                scene, application, name, scheduled_render_strategy=NoScheduleRendering()
            )
            view.render_window().SetOffScreenRendering(True)
            view.set_orientation(orientation)
            resize(view, size_px)
            self._slices[name] = view
        self._widgets = {name: SliceWidget(view) for name, view in self._slices.items()}

    def __getitem__(self, name: str) -> Any:
        return self._slices[name]

    def show(self, volume: Any) -> None:
        """A volume in all views, whole."""
        for view in self._slices.values():
            view.set_background_volume_id(volume.GetID())
            view.fit_view_to_content()

    def space(self, size_px: tuple[int, int]) -> Any:
        """A 3D view; what it shows is drawn by the processor."""
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(self._application)
        view = ThreeDView(
            self._scene, self._application, "1", scheduled_render_strategy=NoScheduleRendering()
        )
        view.render_window().SetOffScreenRendering(True)
        resize(view, size_px)
        return view

    def sliceViewNames(self) -> list[str]:
        return list(self._slices)

    def sliceWidget(self, name: str) -> SliceWidget:
        return self._widgets[name]


class SliceWidget:
    """`qMRMLSliceWidget` and its view at once, as far as the module asks."""

    def __init__(self, view: Any) -> None:
        self._view = view
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DRAW_MS)
        self._timer.timeout.connect(view.render_window().Render)

    def sliceView(self) -> SliceWidget:
        return self

    def interactor(self) -> Any:
        return self._view.interactor()

    def scheduleRender(self) -> None:
        """Schedule one rendering for several calls, as `ctkVTKAbstractView` does."""
        if not self._timer.isActive():
            self._timer.start()

    def mrmlSliceNode(self) -> Any:
        return self._view.get_view_node()


def resize(view: Any, size_px: tuple[int, int]) -> None:
    view.render_window().SetSize(*size_px)
    view.interactor().UpdateSize(*size_px)
    if isinstance(view, SliceView):
        view._logic.ResizeSliceNode(*size_px)


def drag(view: Any, path_xy: Iterable[tuple[int, int]]) -> None:
    """Press the left button at the first pixel, move along the path, release it at the last."""
    path = list(path_xy)
    interactor = view.interactor()
    for at, event in (
        (path[0], "LeftButtonPressEvent"),
        *((each, "MouseMoveEvent") for each in path[1:]),
        (path[-1], "LeftButtonReleaseEvent"),
    ):
        interactor.SetEventInformation(*at, 0, 0, "\0", 0, None)
        interactor.InvokeEvent(event)
        QApplication.processEvents()  # each is an event of its own


def pixel_of(view: Any, world_ras: Iterable[float]) -> tuple[int, int]:
    """Pixel of a slice view that shows a point of the world."""
    inverse = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(view.get_view_node().GetXYToRAS(), inverse)
    x, y, *_ = inverse.MultiplyPoint((*world_ras, 1.0))
    return round(x), round(y)


def pixels(view: Any) -> np.ndarray:
    """(height, width, 3) uint8, the top row first."""
    view.render_window().Render()
    reader = vtk.vtkWindowToImageFilter()
    reader.SetInput(view.render_window())
    reader.ReadFrontBufferOff()
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1]


def save(view: Any, path: Path) -> None:
    """Save a view as PNG."""
    from PySide6.QtGui import QImage

    values = np.ascontiguousarray(pixels(view))
    height, width, _ = values.shape
    QImage(values.data, width, height, 3 * width, QImage.Format.Format_RGB888).save(str(path))
