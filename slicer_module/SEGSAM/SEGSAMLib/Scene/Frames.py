"""Coordinate frames of nodes, volumes and slice views, and conversions between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk

import slicer
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import VolumeGrid


def grid_of(volume: Any) -> VolumeGrid:
    """Return the voxel grid of a volume node. Raises `NodeError` without voxels."""
    image = None if volume is None else volume.GetImageData()
    if image is None or 0 in image.GetDimensions():
        raise NodeError(_("Choose a volume first."))
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return VolumeGrid.of(image.GetDimensions(), as_array(matrix))


def to_node(points_world: Any, node: Any) -> np.ndarray:
    """Return points (n, 3) of the world in the frame of a node, below any transform."""
    return _transformed(points_world, None, node.GetParentTransformNode())


def to_world(points: Any, node: Any) -> np.ndarray:
    """Return points (n, 3) of the frame of a node in the world."""
    return _transformed(points, node.GetParentTransformNode(), None)


def _transformed(points: Any, source: Any, target: Any) -> np.ndarray:
    """Return points (n, 3) from below one transform node to below another; None: world."""
    points = np.atleast_2d(np.asarray(points, dtype=float))
    if source is target:
        return points
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    return np.array([transform.TransformPoint(point) for point in points])


def between(source: Any, target: Any) -> np.ndarray:
    """Return the 4x4 matrix from the frame of one node to that of another. Raises `NodeError` if a
    transform between them is not linear.
    """
    first, second = source.GetParentTransformNode(), target.GetParentTransformNode()
    if first is second:
        return np.eye(4)
    matrix = vtk.vtkMatrix4x4()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(first, second, matrix):
        sentence = _(
            "{first} and {second} are under different transforms, and one is not linear. Put both "
            "under the same transform, or harden it."
        )
        raise NodeError(sentence.format(first=source.GetName(), second=target.GetName()))
    return as_array(matrix)


def rectangle_on_view(slice_node: Any, first_xy: Any, last_xy: Any) -> np.ndarray:
    """Return the corners (4, 3) in the world of a rectangle between two pixels of a slice view, in
    order around it.
    """
    (x0, y0), (x1, y1) = tuple(first_xy)[:2], tuple(last_xy)[:2]
    to_ras = as_array(slice_node.GetXYToRAS())
    corners = np.array([(x0, y0, 0, 1), (x1, y0, 0, 1), (x1, y1, 0, 1), (x0, y1, 0, 1)], float)
    return (corners @ to_ras.T)[:, :3]


def as_array(matrix: Any) -> np.ndarray:
    """Return a vtkMatrix4x4 as an array (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
