"""Volume geometry: conversion between millimetres and voxel indices. numpy only.

Two frames, named in every signature. `_ijk`: voxel indices with voxel centres at whole numbers, in
3D Slicer's order (i fastest in memory; `slicer.util.arrayFromVolume` is (k, j, i)). `_ras`:
millimetres in the *volume's own* frame. A parent transform between this frame and the world of the
scene, linear or not, is applied before (`Frames.to_node`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from SEGSAMLib.Errors import PositionError
from SEGSAMLib.Translation import tr as _

AXES = "ijk"
_BORDER = 1e-3
"""Distance in voxels up to which a side counts as lying on the border between two voxels."""
_MIN_AREA_MM2 = 1e-6

Voxel = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """Box of voxels, both corners included. A 2D box is one voxel thick along an axis. As a prompt
    that is not positive, it marks what is outside the object.
    """

    min_ijk: Voxel
    max_ijk: Voxel
    positive: bool = True

    @property
    def is_flat(self) -> bool:
        """True for a 2D box."""
        return any(low == high for low, high in zip(self.min_ijk, self.max_ijk))

    def contains(self, ijk: Voxel) -> bool:
        """Return True if a voxel is inside the box."""
        sides = zip(self.min_ijk, ijk, self.max_ijk)
        return all(low <= index <= high for low, index, high in sides)


@dataclass(frozen=True)
class VolumeGrid:
    """Voxel grid of a volume: `shape_ijk`, and the 4x4 matrix `ijk_to_ras` as 16 numbers row by
    row, so that two grids can be compared.
    """

    shape_ijk: Voxel
    ijk_to_ras: tuple[float, ...]

    @classmethod
    def of(cls, shape_ijk: Sequence[int], ijk_to_ras: Any) -> VolumeGrid:
        """Make a grid from a shape and a 4x4 matrix. Raises `PositionError` if the matrix cannot be
        inverted.
        """
        matrix = np.asarray(ijk_to_ras, dtype=float).reshape(4, 4)
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise PositionError(_("The volume has no usable geometry: its voxels have no size."))
        i, j, k = (int(side) for side in shape_ijk)
        return cls((i, j, k), tuple(float(value) for value in matrix.ravel()))

    @property
    def matrix(self) -> np.ndarray:
        """Matrix (4, 4) from voxel index to RAS."""
        return np.array(self.ijk_to_ras).reshape(4, 4)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along i, j, k."""
        x, y, z = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return float(x), float(y), float(z)

    def ijk(self, points_ras: Any) -> np.ndarray:
        """Return the continuous voxel indices (n, 3) of points (n, 3)."""
        inverse = np.linalg.inv(self.matrix)
        return _points(points_ras) @ inverse[:3, :3].T + inverse[:3, 3]

    def ras(self, points_ijk: Any) -> np.ndarray:
        """Return the positions (n, 3) in millimetres of voxel indices (n, 3)."""
        matrix = self.matrix
        return _points(points_ijk) @ matrix[:3, :3].T + matrix[:3, 3]

    def voxel(self, point_ras: Any) -> Voxel:
        """Return the voxel that contains a point. Raises `PositionError` outside the volume."""
        found = _nearest(self.ijk(point_ras)[0])
        for axis, (index, side) in enumerate(zip(found, self.shape_ijk)):
            if not 0 <= index < side:
                sentence = _(
                    "The point lies outside the volume: voxel {axis} = {index}, and the volume has "
                    "0 to {last}."
                )
                raise PositionError(sentence.format(axis=AXES[axis], index=index, last=side - 1))
        return found

    def axis_along(self, direction_ras: Any) -> int:
        """Return the axis whose slices are closest to perpendicular to a direction."""
        rows = np.linalg.inv(self.matrix)[:3, :3]
        normals = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return int(np.abs(normals @ np.asarray(direction_ras, dtype=float)).argmax())

    def plane_name(self, axis: int) -> str:
        """Return the anatomical name of the slices of an axis: sagittal, coronal or axial, in the
        user's language.
        """
        normal = np.linalg.inv(self.matrix)[axis, :3]
        return (_("sagittal"), _("coronal"), _("axial"))[int(np.abs(normal).argmax())]

    def slice_at(self, axis: int, point_ras: Any) -> int:
        """Return the slice of an axis that is nearest to a point."""
        index = _nearest(self.ijk(point_ras)[0])[axis]
        return min(max(index, 0), self.shape_ijk[axis] - 1)

    def slice_centre_ras(self, axis: int, index: int) -> np.ndarray:
        """Return the centre (3,) of a slice."""
        middle = (np.array(self.shape_ijk) - 1) / 2.0
        middle[axis] = index
        return self.ras(middle)[0]


def box_on_slice(grid: VolumeGrid, corners_ras: Any) -> tuple[Box, str]:
    """Return the 2D box of a rectangle drawn in a slice view, and a sentence if it was clipped.

    `corners_ras` (4, 3) are the corners in order around the rectangle. If the view is oblique, the
    box lies on the slice nearest to the rectangle's centre and bounds the rectangle there. Raises
    `PositionError` if the rectangle has no area, is less than two voxels wide, or lies outside the
    volume.
    """
    corners = _points(corners_ras)
    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    if np.linalg.norm(normal) < _MIN_AREA_MM2:
        raise PositionError(_("The box has no area: drag from one corner to the opposite one."))
    axis = grid.axis_along(normal)
    corners_ijk = grid.ijk(corners)
    corners_ijk[:, axis] = _nearest(corners_ijk.mean(axis=0))[axis]
    return _clipped(grid, *_spanned(corners_ijk), thin=axis)


def box_in_volume(grid: VolumeGrid, corners_ras: Any) -> tuple[Box, str]:
    """Return the bounding box of points (n, 3), such as the eight corners of a region of interest,
    and a sentence if it was clipped. Raises `PositionError` outside the volume.
    """
    low, high = _spanned(grid.ijk(corners_ras))
    thin = [axis for axis in range(3) if low[axis] == high[axis]]
    return _clipped(grid, low, high, thin=thin[0] if thin else None)


def reduced_scribble(grid: VolumeGrid, path_ras: Any, max_voxels: int = 12) -> tuple[Voxel, ...]:
    """Return at most `max_voxels` voxels of a path (n, 3), evenly spaced along it, without the
    parts outside the volume. Raises `PositionError` if the whole path lies outside.
    """
    path = _points(path_ras)
    if not len(path):
        raise PositionError(_("The scribble has no points."))
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    # Interpolated at the smallest spacing, so that no voxel of the path is skipped.
    count = int(min(max(along[-1] / min(grid.spacing_mm), 1), 10_000)) + 1
    distances = np.linspace(0, along[-1], count)
    dense = np.stack([np.interp(distances, along, path[:, axis]) for axis in range(3)], axis=1)
    voxels = np.floor(grid.ijk(dense) + 0.5).astype(int)
    inside = ((voxels >= 0) & (voxels < np.array(grid.shape_ijk))).all(axis=1)
    unique = list(dict.fromkeys(_voxel(voxel) for voxel in voxels[inside]))
    if not unique:
        raise PositionError(_("The scribble lies outside the volume."))
    chosen = np.linspace(0, len(unique) - 1, min(max_voxels, len(unique))).round().astype(int)
    return tuple(unique[number] for number in chosen)


def _spanned(points_ijk: np.ndarray) -> tuple[Voxel, Voxel]:
    """Return the first and last voxel that contain the points. A side that lies on the border of a
    voxel does not include that voxel.
    """
    low = np.floor(points_ijk.min(axis=0) + 0.5 + _BORDER).astype(int)
    high = np.maximum(np.ceil(points_ijk.max(axis=0) - 0.5 - _BORDER).astype(int), low)
    return _voxel(low), _voxel(high)


def _clipped(grid: VolumeGrid, low: Voxel, high: Voxel, thin: int | None) -> tuple[Box, str]:
    """Return the part of a box inside the volume. `thin` is the axis along which the box may be one
    voxel thick.
    """
    for axis, side in enumerate(grid.shape_ijk):
        if high[axis] < 0 or low[axis] >= side:
            sentence = _(
                "The box lies outside the volume: voxels {low} to {high} along {axis}, and the "
                "volume has 0 to {last}."
            )
            raise PositionError(
                sentence.format(low=low[axis], high=high[axis], axis=AXES[axis], last=side - 1)
            )
    first = _voxel(np.maximum(low, 0))
    last = _voxel(np.minimum(high, np.array(grid.shape_ijk) - 1))
    flat = [a for a in range(3) if a != thin and first[a] == last[a] and grid.shape_ijk[a] > 1]
    if flat:
        sentence = _(
            "The box is only one voxel wide along {axis} inside the volume: draw a larger one."
        )
        raise PositionError(sentence.format(axis=AXES[flat[0]]))
    note = ""
    if (first, last) != (low, high):
        note = _("The box reached outside the volume and was clipped to it.")
    return Box(first, last), note


def _points(points: Any) -> np.ndarray:
    found = np.atleast_2d(np.asarray(points, dtype=float))
    if found.ndim != 2 or found.shape[1] != 3 or not np.isfinite(found).all():
        sentence = _("Expected points with three finite coordinates, got {points}.")
        raise PositionError(sentence.format(points=repr(points)[:80]))
    return found


def _nearest(point_ijk: np.ndarray) -> Voxel:
    return _voxel(np.floor(point_ijk + 0.5))


def _voxel(values: Any) -> Voxel:
    i, j, k = (int(value) for value in values)
    return i, j, k
