"""Slice views of the application, and the slices of a volume that they show."""

from __future__ import annotations

from functools import partial
from typing import Any, Iterator

import vtk

import slicer
from SEGSAMLib.Scene import Frames
from SEGSAMLib.Scene.Pointer import View

_MIN_DEPTH_MM = 1.0


def slice_views() -> list[View]:
    """Return the slice views of the current layout, none without Slicer's main window."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return []
    views = [manager.sliceWidget(name).sliceView() for name in manager.sliceViewNames()]
    return [
        View(view.interactor(), view.mrmlSliceNode(), view.scheduleRender, partial(_point, view))
        for view in views
    ]


def _point(view: Any, cursor: Any) -> None:
    """Set the shape of the mouse in a view, None for the view's own."""
    if cursor is None:
        view.unsetViewCursor()
    else:
        view.setViewCursor(cursor)


def world_ras_at(slice_node: Any, point_xy: tuple[int, int]) -> tuple[float, float, float]:
    """Return the position in the world of a pixel of a slice view."""
    x, y, z, _ = slice_node.GetXYToRAS().MultiplyPoint((*point_xy, 0.0, 1.0))
    return x, y, z


def roi_from_drag(slice_node: Any, first_xy: tuple[int, int], last_xy: tuple[int, int]) -> Any:
    """Make a region of interest (not in the scene) over a rectangle that was dragged in a slice
    view. Its depth is the shorter side of the rectangle, and its axes are those of the view.
    """
    matrix = slice_node.GetSliceToRAS()
    inverse = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(matrix, inverse)
    corners = [
        inverse.MultiplyPoint((*world_ras_at(slice_node, xy), 1.0)) for xy in (first_xy, last_xy)
    ]
    width, height = (abs(corners[0][axis] - corners[1][axis]) for axis in (0, 1))
    middle = [(corners[0][axis] + corners[1][axis]) / 2 for axis in range(3)]
    placed = vtk.vtkMatrix4x4()
    placed.DeepCopy(matrix)
    for row, value in enumerate(matrix.MultiplyPoint((*middle, 1.0))[:3]):
        placed.SetElement(row, 3, value)
    roi = slicer.vtkMRMLMarkupsROINode()
    roi.SetSize(width, height, max(min(width, height), _MIN_DEPTH_MM))
    roi.GetObjectToNodeMatrix().DeepCopy(placed)
    return roi


def show_slice(volume: Any, axis: int, index: int) -> None:
    """Move the slice views across an axis of a volume to its slice `index`."""
    centre = Frames.grid_of(volume).slice_centre_ras(axis, index)
    point = Frames.to_world(centre, volume)[0]
    for node, _ in _views_across(volume, axis):
        node.JumpSliceByOffsetting(*(float(value) for value in point))


def shown_slice(volume: Any, axis: int) -> int | None:
    """Return the slice of an axis of a volume that a view shows, None if no view does."""
    return next((index for _, index in _views_across(volume, axis)), None)


def axis_and_slice(slice_node: Any, volume: Any) -> tuple[int, int]:
    """Return the axis and the slice of a volume that a view shows."""
    grid = Frames.grid_of(volume)
    origin, tip = (Frames.to_node(point, volume)[0] for point in _plane(slice_node))
    axis = grid.axis_along(tip - origin)
    return axis, grid.slice_at(axis, origin)


def _views_across(volume: Any, axis: int) -> Iterator[tuple[Any, int]]:
    """Yield the slice nodes of views across an axis, and the slice that each shows."""
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        across, index = axis_and_slice(node, volume)
        if across == axis:
            yield node, index


def _plane(slice_node: Any) -> tuple[list[float], list[float]]:
    """Return the centre of a view, and a point 1 mm in front of it, in the world."""
    matrix = slice_node.GetSliceToRAS()
    origin = [matrix.GetElement(row, 3) for row in range(3)]
    return origin, [value + matrix.GetElement(row, 2) for row, value in enumerate(origin)]
