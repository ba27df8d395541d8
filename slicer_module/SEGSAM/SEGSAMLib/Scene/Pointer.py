"""Mouse in the slice views while a prompt tool is chosen: click, drag, stroke. VTK only.

A tool receives the events before all other observers, and keeps them from the others, until no tool
is chosen. Drags with Shift, Ctrl or Alt are left to the view, which pans and zooms by them. This
file does not know prompts: its callback gets the slice node and the path of the
mouse in pixels of the view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Sequence

import vtk

PRESS, MOVE, RELEASE = "LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent"
DOUBLE_CLICK = "LeftButtonDoubleClickEvent"
"""Comes in place of the second press of two quick clicks."""
_PRIORITY = 100.0
_COLOUR = (1.0, 0.77, 0.2)

PathXY = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class View:
    """Slice view: its VTK interactor, its `vtkMRMLSliceNode`, a function that schedules one
    rendering for several calls, and one that sets the shape of the mouse (None: the view's own).
    """

    interactor: Any
    slice_node: Any
    draw: Callable[[], Any]
    set_cursor: Callable[[Any], Any] = lambda cursor: None


class Pointer:
    """Observer of the mouse in the views that `views` lists when a tool is chosen.

    `on_path(tool, slice_node, path_xy)` is called when the button is released. `rectangles` names
    the tools that draw a rectangle while the mouse is dragged; the others draw its path, which
    those of `closed` close.
    """

    def __init__(
        self,
        views: Callable[[], Sequence[View]],
        on_path: Callable[[str, Any, PathXY], None],
        rectangles: Sequence[str] = ("box", "box3d"),
        closed: Sequence[str] = ("lasso",),
    ) -> None:
        self._views = views
        self._on_path = on_path
        self._rectangles = tuple(rectangles)
        self._closed = tuple(closed)
        self._cursor: Any = None
        self._shows_cursor = False
        """True while the views have the cursor of a tool. What another module set stays."""
        self._tags: list[tuple[View, int]] = []
        self._path: list[tuple[int, int]] = []
        self._outline = _Outline()
        self.tool = ""

    def choose(
        self, tool: str, *, colour: tuple[float, float, float] = _COLOUR, cursor: Any = None
    ) -> None:
        """Observe the mouse for a tool, which draws in this colour; an empty name ends this."""
        self.tool, self._cursor = tool, cursor
        self._outline.set_colour(colour)
        self.attach()

    def attach(self) -> None:
        """Observe the views that there are now."""
        self._remove_observers()
        views = self._views()
        for view in views if self.tool or self._shows_cursor else ():
            view.set_cursor(self._cursor if self.tool else None)
        self._shows_cursor = bool(self.tool)
        for view in views if self.tool else ():
            for event in (PRESS, DOUBLE_CLICK, MOVE, RELEASE):
                tag = view.interactor.AddObserver(event, self._callback(view, event), _PRIORITY)
                self._tags.append((view, tag))

    def _remove_observers(self) -> None:
        for view, tag in self._tags:
            view.interactor.RemoveObserver(tag)
        self._tags.clear()
        self._path.clear()
        self._outline.remove()

    def _callback(self, view: View, event: str) -> Callable[[Any, str], None]:
        def on_event(interactor: Any, _: str) -> None:
            at = interactor.GetEventPosition()
            if event in (PRESS, DOUBLE_CLICK):
                if _has_key(interactor):
                    return
                self._path = [at]
                self._outline.begin(view)
            elif not self._path:
                return  # without a press of the tool: the mouse moves, or the view is panned
            elif event == MOVE:
                self._path.append(at)
                self._outline.show(self._outline_xy())
            else:
                self._end(view, at)
            self._abort_event(view)

        return on_event

    def _end(self, view: View, at: tuple[int, int]) -> None:
        path, self._path = (*self._path, at), []
        self._outline.remove()
        self._on_path(self.tool, view.slice_node, path)

    def _outline_xy(self) -> Sequence[tuple[int, int]]:
        if self.tool in self._closed:
            return (*self._path, self._path[0])
        if self.tool not in self._rectangles:
            return self._path
        (x0, y0), (x1, y1) = self._path[0], self._path[-1]
        return ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))

    def _abort_event(self, view: View) -> None:
        """Keep the current event from the observers with a lower priority."""
        for each, tag in self._tags:
            command = view.interactor.GetCommand(tag) if each is view else None
            if command is not None:
                command.SetAbortFlag(1)


def _has_key(interactor: Any) -> bool:
    """Return True if a key is held by which the view's own drags are chosen."""
    keys = interactor.GetShiftKey(), interactor.GetControlKey(), interactor.GetAltKey()
    return any(keys)


class _Outline:
    """Line that is drawn while the mouse button is down."""

    def __init__(self) -> None:
        self._data = vtk.vtkPolyData()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._data)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetLineWidth(2)
        self.set_colour(_COLOUR)
        self._view: View | None = None
        self._renderer: Any = None

    def set_colour(self, colour: tuple[float, float, float]) -> None:
        self._actor.GetProperty().SetColor(*colour)

    def begin(self, view: View) -> None:
        self.remove()
        window = view.interactor.GetRenderWindow()
        if window is not None:
            self._view, self._renderer = view, window.GetRenderers().GetFirstRenderer()

    def show(self, path_xy: Sequence[tuple[int, int]]) -> None:
        if self._view is None:
            return
        points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
        lines.InsertNextCell(len(path_xy))
        for x, y in path_xy:
            lines.InsertCellPoint(points.InsertNextPoint(x, y, 0))
        self._data.SetPoints(points)
        self._data.SetLines(lines)
        if not self._renderer.HasViewProp(self._actor):
            self._renderer.AddViewProp(self._actor)
        self._view.draw()

    def remove(self) -> None:
        if self._view is not None and self._renderer.HasViewProp(self._actor):
            self._renderer.RemoveViewProp(self._actor)
            self._view.draw()
        self._view = self._renderer = None
