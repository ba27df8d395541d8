"""Volumes, slice views and transforms in a scene, as a user would have them."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import vtk
from slicer.util import updateVolumeFromArray

import slicer

SPACING = (0.8, 1.2, 3.0)
ORDERS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]
"""The 48 ways to store an anatomy: the world axis of each voxel axis, and its direction."""


def stored(order: tuple[tuple[int, ...], tuple[int, ...]]) -> np.ndarray:
    """The 4x4 from voxels to RAS of an order."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(*order, strict=True)):
        matrix[world, axis] = sign * SPACING[axis]
    matrix[:3, 3] = (11.0, -23.5, 99.0)
    return matrix


def oblique(degrees: float = 20.0) -> np.ndarray:
    a = np.deg2rad(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([-0.8, -1.2, 3.0])
    matrix[:3, 3] = (11.0, -23.5, 99.0)
    return matrix


def volume(scene: Any, matrix: np.ndarray, array_ijk: np.ndarray, name: str = "CT") -> Any:
    """A volume node of (i, j, k) voxels."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(vtk_matrix(matrix))
    updateVolumeFromArray(node, np.ascontiguousarray(array_ijk.transpose(2, 1, 0)))
    node.CreateDefaultDisplayNodes()
    return node


def under_transform(scene: Any, matrix: np.ndarray, *nodes: Any) -> Any:
    """Put nodes under a linear transform."""
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    transform.SetMatrixTransformToParent(vtk_matrix(matrix))
    for node in nodes:
        node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def bent(scene: Any, *nodes: Any) -> Any:
    """Put nodes under a transform that is not linear: a thin-plate spline."""
    rng = np.random.default_rng(5)
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in product((-60.0, 60.0), (-80.0, 40.0), (60.0, 160.0)):
        source.InsertNextPoint(corner)
        target.InsertNextPoint(*(np.array(corner) + rng.uniform(-6, 6, 3)))
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "Bent")
    node.SetAndObserveTransformToParent(spline)
    for each in nodes:
        each.SetAndObserveTransformNodeID(node.GetID())
    return node


def slice_view(scene: Any, centre_world: Any, x_world: Any, y_world: Any) -> Any:
    """A slice node of 400 x 300 pixels, half a millimetre each, around a point, whose x and y run
    as given.
    """
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    x = np.asarray(x_world, float) / np.linalg.norm(x_world)
    y = np.asarray(y_world, float)
    y = y - x * (x @ y)
    y = y / np.linalg.norm(y)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([x, y, np.cross(x, y)], axis=1)
    matrix[:3, 3] = centre_world
    node.GetSliceToRAS().DeepCopy(vtk_matrix(matrix))
    node.SetDimensions(400, 300, 1)
    node.SetFieldOfView(200.0, 150.0, 1.0)
    node.UpdateMatrices()
    return node


def pixel(slice_node: Any, point_world: Any) -> tuple[float, float]:
    """Pixel of a slice view that shows a point."""
    inverse = vtk.vtkMatrix4x4()
    inverse.DeepCopy(slice_node.GetXYToRAS())
    inverse.Invert()
    x, y, _, _ = inverse.MultiplyPoint((*point_world, 1.0))
    return x, y


def vtk_matrix(matrix: np.ndarray) -> Any:
    found = vtk.vtkMatrix4x4()
    found.DeepCopy(np.asarray(matrix, float).ravel().tolist())
    return found


def put(logic: Any, segment_id: str, region: Any) -> None:
    """Add voxels to a segment, as if another tool had."""
    layers = logic.nodes.segments().layers()
    layers.write(segment_id, region, None)
    logic.nodes.segments().commit(layers)


def apply(logic: Any, reply: Any) -> Any:
    """Write a server's reply into the scene, in this thread; the `AppliedResult`."""
    return logic.nodes.run_edit(logic.result_edit(reply))


def undo(logic: Any) -> bool:
    """Revert the newest step; False if there is none."""
    edit = logic.history.undo_edit()
    if edit is not None:
        logic.nodes.run_edit(edit)
    return edit is not None


def redo(logic: Any) -> bool:
    """Apply the step again that was undone last; False if there is none."""
    edit = logic.history.redo_edit()
    if edit is not None:
        logic.nodes.run_edit(edit)
    return edit is not None


def segment_voxels(segmentation: Any, segment_id: str, reference: Any) -> np.ndarray:
    """Bool (i, j, k) of a segment in the voxels of a volume, read by Slicer's own function."""
    found = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, reference)
    return np.asarray(found).transpose(2, 1, 0) > 0
