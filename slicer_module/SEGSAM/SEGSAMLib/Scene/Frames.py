"""Where things are in the scene: the frames of nodes, of volumes and of slice views."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk

import slicer
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Values.Geometry import VolumeGrid


def grid_of(volume: Any) -> VolumeGrid:
    """The voxels of a volume node in its own frame. Raises `NodeError` for one without voxels."""
    image = None if volume is None else volume.GetImageData()
    if image is None or 0 in image.GetDimensions():
        raise NodeError("Choose a volume first.")
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return VolumeGrid.of(image.GetDimensions(), as_array(matrix))


def to_node(points_world: Any, node: Any) -> np.ndarray:
    """(n, 3) points of the world in the frame of a node, through linear transforms or not."""
    return _moved(points_world, None, node.GetParentTransformNode())


def to_world(points: Any, node: Any) -> np.ndarray:
    """(n, 3) points in the frame of a node in the world."""
    return _moved(points, node.GetParentTransformNode(), None)


def _moved(points: Any, source: Any, target: Any) -> np.ndarray:
    """(n, 3) points from the frame under one transform node to that under another; None: world."""
    points = np.atleast_2d(np.asarray(points, dtype=float))
    if source is target:
        return points
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    return np.array([transform.TransformPoint(point) for point in points])


def between(source: Any, target: Any) -> np.ndarray:
    """4x4 from the frame of one node to that of another. Raises `NodeError` when a transform
    between them is not linear.
    """
    first, second = source.GetParentTransformNode(), target.GetParentTransformNode()
    if first is second:
        return np.eye(4)
    matrix = vtk.vtkMatrix4x4()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(first, second, matrix):
        raise NodeError(
            f"{source.GetName()} and {target.GetName()} are under different transforms, and one is "
            "not linear. Put both under the same transform, or harden it."
        )
    return as_array(matrix)


def rectangle_on_view(slice_node: Any, first_xy: Any, last_xy: Any) -> np.ndarray:
    """(4, 3), the world's corners of a rectangle between two pixels of a slice view, in order."""
    (x0, y0), (x1, y1) = tuple(first_xy)[:2], tuple(last_xy)[:2]
    to_ras = as_array(slice_node.GetXYToRAS())
    corners = np.array([(x0, y0, 0, 1), (x1, y0, 0, 1), (x1, y1, 0, 1), (x0, y1, 0, 1)], float)
    return (corners @ to_ras.T)[:, :3]


def as_array(matrix: Any) -> np.ndarray:
    """A vtkMatrix4x4 as (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
