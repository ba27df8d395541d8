"""Markups nodes that show prompts in the views, and are read when the user moved or deleted one.

The nodes are below the parent transform of the volume, so their own coordinates are the volume's
RAS. They are not saved: the prompts are saved with their segment, and the nodes are made again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import vtk

from SEGSAMLib.Errors import PositionError
from SEGSAMLib.Scene.Frames import as_array
from SEGSAMLib.Values.Geometry import Box, VolumeGrid, Voxel, box_in_volume
from SEGSAMLib.Values.Outlines import Lasso
from SEGSAMLib.Values.Prompts import Point, Prompt, PromptSet, Scribble

INSIDE_COLOUR = (0.2, 0.85, 0.3)
OUTSIDE_COLOUR = (0.95, 0.25, 0.2)
BOX_COLOUR = (1.0, 0.8, 0.1)
_KIND = "SEGSAM.Kind"


class PromptNodes:
    """Markups of one set of prompts: point lists `inside` and `outside`, boxes, and the lines of
    scribbles and lassos.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.inside: Any = None
        self.outside: Any = None
        self.are_shown = True
        self._boxes: list[Any] = []
        self._scribbles: list[Any] = []
        self._lassos: list[Any] = []

    @property
    def all(self) -> tuple[Any, ...]:
        """All nodes."""
        points = [node for node in (self.inside, self.outside) if node is not None]
        return (*points, *self._boxes, *self._scribbles, *self._lassos)

    def show(self, prompts: PromptSet, grid: VolumeGrid, transform_id: str) -> None:
        """Make the nodes show `prompts`. Nodes that show them already are not changed."""
        if self.inside is None or self.inside.GetScene() is None:
            self.inside = self._points("Inside", INSIDE_COLOUR)
        if self.outside is None or self.outside.GetScene() is None:
            self.outside = self._points("Outside", OUTSIDE_COLOUR)
        for node, positive in ((self.inside, True), (self.outside, False)):
            voxels = [point.ijk for point in prompts.points if point.positive is positive]
            _place_points(node, voxels, grid)
        self._match_count(self._boxes, len(prompts.boxes), self._box)
        for node, box in zip(self._boxes, prompts.boxes):
            _paint(node, BOX_COLOUR if box.positive else OUTSIDE_COLOUR)
            if _box_of(node, grid) != replace(box, positive=True):
                _place_box(node, box, grid)
        self._match_count(self._scribbles, len(prompts.scribbles), self._scribble)
        self._match_count(self._lassos, len(prompts.lassos), self._lasso)
        lines = (*zip(self._scribbles, prompts.scribbles), *zip(self._lassos, prompts.lassos))
        for node, line in lines:
            _paint(node, INSIDE_COLOUR if line.positive else OUTSIDE_COLOUR)
            _place_points(node, list(line.path_ijk), grid)
        for node in self.all:
            node.SetAndObserveTransformNodeID(transform_id or None)
            node.SetDisplayVisibility(self.are_shown)

    def set_shown(self, are_shown: bool) -> None:
        """Hide the prompts in the views, or show them again."""
        self.are_shown = are_shown
        for node in self.all:
            node.SetDisplayVisibility(are_shown)

    def read(self, prompts: PromptSet, grid: VolumeGrid) -> tuple[PromptSet, str]:
        """Return the prompts as the user left them, and a sentence about points that were dropped
        because they lie outside the volume.
        """
        found, notes = self._read_points(grid)
        points = {positive: iter(places) for positive, places in found.items()}
        nodes = {Box: iter(self._boxes), Scribble: iter(self._scribbles), Lasso: iter(self._lassos)}
        left: list[Prompt] = []
        for item in prompts.items:
            if isinstance(item, Point):
                moved = next(points[item.positive], None) if item.positive in points else item
                left += [] if moved is None else [moved]
                continue
            node = next(nodes[type(item)], None)
            if node is None or node.GetScene() is None:
                continue  # the user deleted it
            is_box = isinstance(item, Box)
            placed = _box_of(node, grid) if is_box else None
            left.append(item if placed is None else replace(placed, positive=item.positive))
        new = [point for places in points.values() for point in places]
        for each in (self._boxes, self._scribbles, self._lassos):
            each[:] = [node for node in each if node.GetScene() is not None]
        return PromptSet((*left, *new)), " ".join(notes)

    def _read_points(self, grid: VolumeGrid) -> tuple[dict[bool, list[Point]], list[str]]:
        """Return the points of each sign that has a node, and sentences about those outside."""
        found: dict[bool, list[Point]] = {}
        notes = []
        for node, positive in ((self.inside, True), (self.outside, False)):
            if node is None:
                continue
            places = found.setdefault(positive, [])
            for number in range(node.GetNumberOfControlPoints()):
                if node.GetNthControlPointPositionStatus(number) != node.PositionDefined:
                    continue  # still being placed
                try:
                    places.append(Point(grid.voxel(_position(node, number)), positive))
                except PositionError as error:
                    notes.append(str(error))
        return found, notes

    def remove(self) -> None:
        """Remove all nodes from the scene."""
        for node in self.all:
            if node.GetScene() is not None:
                self._scene.RemoveNode(node)
        self.inside = self.outside = None
        self._boxes, self._scribbles, self._lassos = [], [], []

    def _match_count(self, nodes: list[Any], count: int, make: Any) -> None:
        nodes[:] = [node for node in nodes if node.GetScene() is not None]
        while len(nodes) > count:
            self._scene.RemoveNode(nodes.pop())
        while len(nodes) < count:
            nodes.append(make())

    def _points(self, name: str, colour: tuple[float, float, float]) -> Any:
        node = self._node("vtkMRMLMarkupsFiducialNode", name, colour)
        node.SetControlPointLabelFormat("")
        return node

    def _box(self) -> Any:
        node = self._node("vtkMRMLMarkupsROINode", "Box", BOX_COLOUR)
        display = node.GetDisplayNode()
        display.SetFillVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        return node

    def _scribble(self) -> Any:
        return self._line("vtkMRMLMarkupsCurveNode", "Scribble")

    def _lasso(self) -> Any:
        node = self._line("vtkMRMLMarkupsClosedCurveNode", "Lasso")
        node.SetCurveTypeToLinear()
        display = node.GetDisplayNode()
        display.SetGlyphScale(1.0)  # corners as wide as the line, which is relative to them
        display.SetLineThickness(1.0)
        return node

    def _line(self, kind: str, name: str) -> Any:
        node = self._node(kind, name, INSIDE_COLOUR)
        node.SetLocked(True)
        node.GetDisplayNode().SetPropertiesLabelVisibility(False)
        return node

    def _node(self, kind: str, name: str, colour: tuple[float, float, float]) -> Any:
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetName(f"SEGSAM {name}")
        node.SetAttribute(_KIND, name)
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        node = self._scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        _paint(node, colour)
        return node


def _paint(node: Any, colour: tuple[float, float, float]) -> None:
    """Set the colour of a node; the same one again changes nothing."""
    display = node.GetDisplayNode()
    display.SetSelectedColor(*colour)
    display.SetColor(*colour)


def _place_points(node: Any, voxels: list[Voxel], grid: VolumeGrid) -> None:
    """Move the control points of a node to voxels, and add or remove points as needed."""
    was_modified = node.StartModify()
    for number in reversed(range(node.GetNumberOfControlPoints())):
        if node.GetNthControlPointPositionStatus(number) != node.PositionDefined:
            node.RemoveNthControlPoint(number)
    while node.GetNumberOfControlPoints() > len(voxels):
        node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
    for number, voxel in enumerate(voxels):
        position = vtk.vtkVector3d(*(float(v) for v in grid.ras(voxel)[0]))
        if number >= node.GetNumberOfControlPoints():
            node.AddControlPoint(position)
        elif _voxel_at(grid, _position(node, number)) != voxel:
            node.SetNthControlPointPosition(number, position)
    node.EndModify(was_modified)


def _voxel_at(grid: VolumeGrid, point_ras: np.ndarray) -> Voxel | None:
    try:
        return grid.voxel(point_ras)
    except PositionError:
        return None


def _position(node: Any, number: int) -> np.ndarray:
    position = np.zeros(3)
    node.GetNthControlPointPosition(number, position)
    return position


def _place_box(node: Any, box: Box, grid: VolumeGrid) -> None:
    """Place a region of interest around the voxels of a box, along the volume's axes."""
    matrix = grid.matrix
    spacing = np.array(grid.spacing_mm)
    axes = matrix[:3, :3] / spacing
    if np.linalg.det(axes) < 0:
        axes[:, 0] = -axes[:, 0]  # a region of interest must be right-handed; its box is the same
    centre = grid.ras((np.array(box.min_ijk) + np.array(box.max_ijk)) / 2.0)[0]
    size = (np.array(box.max_ijk) - np.array(box.min_ijk) + 1) * spacing
    placed = np.eye(4)
    placed[:3, :3], placed[:3, 3] = axes, centre
    whole = vtk.vtkMatrix4x4()
    whole.DeepCopy(placed.ravel().tolist())
    was_modified = node.StartModify()
    node.SetAndObserveObjectToNodeMatrix(whole)
    node.SetCenter(*centre)
    node.SetSize(*size)
    node.EndModify(was_modified)


def roi_corners(node: Any) -> np.ndarray:
    """Return the corners (8, 3) of a region of interest in the coordinates of its node."""
    placed = as_array(node.GetObjectToNodeMatrix())
    half = np.array(node.GetSize()) / 2.0
    signs = np.array(np.meshgrid((-1, 1), (-1, 1), (-1, 1))).reshape(3, -1).T
    return (signs * half) @ placed[:3, :3].T + placed[:3, 3]


def _box_of(node: Any, grid: VolumeGrid) -> Box | None:
    """Return the box of a region of interest, None if it lies outside the volume or is flat."""
    try:
        return box_in_volume(grid, roi_corners(node))[0]
    except PositionError:
        return None
