"""The mouse in slice views while a prompt tool is chosen: a click, a drag, a stroke. VTK only.

A tool's events are taken from the view before anything else sees them, and given back when no tool
is chosen. Nothing here knows of prompts: whoever listens gets the slice node and the path in pixels
of its view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Sequence

import vtk

PRESS, MOVE, RELEASE = "LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent"
_PRIORITY = 100.0
_COLOUR = (1.0, 0.77, 0.2)

PathXY = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class View:
    """A slice view: VTK's interactor of it, its `vtkMRMLSliceNode`, and what draws it soon: several
    calls before that are one.
    """

    interactor: Any
    slice_node: Any
    draw: Callable[[], Any]


class Pointer:
    """Listens in the views that `views` lists when a tool is chosen.

    `on_path(tool, slice_node, path_xy)` is called when the button is released; `rectangles` names
    the tools that draw a box while they are dragged, the others draw their path.
    """

    def __init__(
        self,
        views: Callable[[], Sequence[View]],
        on_path: Callable[[str, Any, PathXY], None],
        rectangles: Sequence[str] = ("box", "box3d"),
    ) -> None:
        self._views = views
        self._on_path = on_path
        self._rectangles = tuple(rectangles)
        self._tags: list[tuple[View, int]] = []
        self._path: list[tuple[int, int]] = []
        self._band = _Band()
        self.tool = ""

    def choose(self, tool: str) -> None:
        """Take the mouse for a tool; an empty name gives it back."""
        self._let_go()
        self.tool = tool
        for view in self._views() if tool else ():
            for event in (PRESS, MOVE, RELEASE):
                tag = view.interactor.AddObserver(event, self._listener(view, event), _PRIORITY)
                self._tags.append((view, tag))

    def _let_go(self) -> None:
        for view, tag in self._tags:
            view.interactor.RemoveObserver(tag)
        self._tags.clear()
        self._path.clear()
        self._band.remove()

    def _listener(self, view: View, event: str) -> Callable[[Any, str], None]:
        def heard(interactor: Any, _: str) -> None:
            at = interactor.GetEventPosition()
            if event == PRESS:
                self._path = [at]
                self._band.begin(view)
            elif not self._path:
                return  # the mouse merely moves, or was pressed in another view
            elif event == MOVE:
                self._path.append(at)
                self._band.show(self._outline())
            else:
                self._end(view, at)
            self._keep_from_others(view)

        return heard

    def _end(self, view: View, at: tuple[int, int]) -> None:
        path, self._path = (*self._path, at), []
        self._band.remove()
        self._on_path(self.tool, view.slice_node, path)

    def _outline(self) -> Sequence[tuple[int, int]]:
        if self.tool not in self._rectangles:
            return self._path
        (x0, y0), (x1, y1) = self._path[0], self._path[-1]
        return ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))

    def _keep_from_others(self, view: View) -> None:
        for each, tag in self._tags:
            command = view.interactor.GetCommand(tag) if each is view else None
            if command is not None:
                command.SetAbortFlag(1)


class _Band:
    """The yellow line that is drawn while the mouse is down."""

    def __init__(self) -> None:
        self._data = vtk.vtkPolyData()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._data)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetColor(*_COLOUR)
        self._actor.GetProperty().SetLineWidth(2)
        self._view: View | None = None
        self._renderer: Any = None

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
