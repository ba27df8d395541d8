"""Slice views and a 3D view of Slicer's own libraries, drawn without a screen, with a mouse."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from PySide6.QtCore import QObject, QTimer, Signal
from trame_slicer.views import SliceView, ThreeDView
from trame_slicer.views.render_scheduler import NoScheduleRendering
from vtk.util.numpy_support import vtk_to_numpy

import slicer

from . import loop

DRAW_MS = 16
ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class Views(QObject):
    """The slice views of a layout by the names that they have in Slicer; also its layout manager.

    They draw when `pixels` or `save` asks, and not before.
    """

    layoutChanged = Signal(int)

    def __init__(self, scene: Any, application: Any, size_px: tuple[int, int] = (400, 400)) -> None:
        super().__init__()
        self._scene, self._application, self._size_px = scene, application, size_px
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        self._slices: dict[str, Any] = {}
        self._widgets: dict[str, SliceWidget] = {}
        for name, orientation in ORIENTATIONS.items():
            self._make(name, orientation)

    def _make(self, name: str, orientation: str) -> None:
        view = SliceView(
            self._scene, self._application, name, scheduled_render_strategy=NoScheduleRendering()
        )
        view.render_window().SetOffScreenRendering(True)
        view.set_orientation(orientation)
        resize(view, self._size_px)
        self._slices[name] = view
        self._widgets[name] = SliceWidget(view)

    def change_layout(self, name: str, orientation: str = "Axial") -> Any:
        """Change to a layout with one more view, and return that view."""
        if name not in self._slices:
            self._make(name, orientation)
        self.layoutChanged.emit(1)
        return self._slices[name]

    def remove(self, name: str) -> None:
        """Take a view away, with its node."""
        self._widgets.pop(name)
        self._scene.RemoveNode(self._slices.pop(name).get_view_node())

    def close(self) -> None:
        """Take all views away: of two views with one name, the scene would hold only the node of
        the first.
        """
        for name in list(self._slices):
            self.remove(name)

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
        self.cursor: Any = None
        """The `QCursor` that was set, None for the view's own."""
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

    def setViewCursor(self, cursor: Any) -> None:
        self.cursor = cursor

    def unsetViewCursor(self) -> None:
        self.cursor = None

    def mrmlSliceNode(self) -> Any:
        return self._view.get_view_node()


def resize(view: Any, size_px: tuple[int, int]) -> None:
    view.render_window().SetSize(*size_px)
    view.interactor().UpdateSize(*size_px)
    if isinstance(view, SliceView):
        view._logic.ResizeSliceNode(*size_px)


def drag(
    view: Any, path_xy: Iterable[tuple[int, int]], *, ctrl: bool = False, shift: bool = False
) -> None:
    """Press the left button at the first pixel, move along the path, release it at the last."""
    path = list(path_xy)
    send(view, "LeftButtonPressEvent", path[0], ctrl=ctrl, shift=shift)
    for each in path[1:]:
        send(view, "MouseMoveEvent", each, ctrl=ctrl, shift=shift)
    send(view, "LeftButtonReleaseEvent", path[-1], ctrl=ctrl, shift=shift)


def double_click(view: Any, at_xy: tuple[int, int]) -> None:
    """Click twice quickly: the second press comes as another event."""
    for press in ("LeftButtonPressEvent", "LeftButtonDoubleClickEvent"):
        send(view, press, at_xy)
        send(view, "LeftButtonReleaseEvent", at_xy)


def send(
    view: Any, event: str, at_xy: tuple[int, int], *, ctrl: bool = False, shift: bool = False
) -> None:
    """Send one event of the mouse, and process what it causes."""
    interactor = view.interactor()
    interactor.SetEventInformation(*at_xy, int(ctrl), int(shift), "\0", 0, None)
    interactor.InvokeEvent(event)
    loop.process_events()  # each is an event of its own


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
