"""From the millimetres of the scene to the voxels of a volume, and back. numpy only.

Two frames, named in every signature: `_ijk`, voxel indices with voxel centres at whole numbers, in
3D Slicer's order (i fastest in memory; `slicer.util.arrayFromVolume` is (k, j, i)); and `_ras`, the
millimetres of the *volume's own* frame. What stands between the scene's world and the volume's own
frame, a parent transform, linear or not, is applied before (`Logic.to_volume_ras`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from SEGSAMLib.Errors import PositionError

AXES = "ijk"
_BORDER = 1e-3
"""Voxels; a side this near to the border between two voxels counts as on it."""
_LEAST_AREA_MM2 = 1e-6

Voxel = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """A box of voxels, both corners included; one voxel thick along an axis, it is a 2D box."""

    min_ijk: Voxel
    max_ijk: Voxel

    @property
    def flat_axes(self) -> tuple[int, ...]:
        """The axes along which the box is one voxel thick."""
        return tuple(a for a in range(3) if self.min_ijk[a] == self.max_ijk[a])

    def spans(self, axis: int, index: int) -> bool:
        """The box has voxels on slice `index` of `axis`."""
        return self.min_ijk[axis] <= index <= self.max_ijk[axis]


@dataclass(frozen=True)
class VolumeGrid:
    """Where the voxels of a volume lie: `shape_ijk`, and the 4x4 matrix `ijk_to_ras` as 16 numbers
    row by row, so that two grids can be compared.
    """

    shape_ijk: Voxel
    ijk_to_ras: tuple[float, ...]

    @classmethod
    def of(cls, shape_ijk: Sequence[int], ijk_to_ras: Any) -> VolumeGrid:
        """Raises `PositionError` for a matrix that cannot be inverted."""
        matrix = np.asarray(ijk_to_ras, dtype=float).reshape(4, 4)
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise PositionError("The volume has no usable geometry: its voxels have no size.")
        i, j, k = (int(side) for side in shape_ijk)
        return cls((i, j, k), tuple(float(value) for value in matrix.ravel()))

    @property
    def matrix(self) -> np.ndarray:
        """(4, 4), voxel index to RAS."""
        return np.array(self.ijk_to_ras).reshape(4, 4)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Millimetres from voxel to voxel along i, j, k."""
        x, y, z = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return float(x), float(y), float(z)

    def ijk(self, points_ras: Any) -> np.ndarray:
        """Continuous voxel indices (n, 3) of points (n, 3)."""
        inverse = np.linalg.inv(self.matrix)
        return _points(points_ras) @ inverse[:3, :3].T + inverse[:3, 3]

    def ras(self, points_ijk: Any) -> np.ndarray:
        """Millimetres (n, 3) of voxel indices (n, 3)."""
        matrix = self.matrix
        return _points(points_ijk) @ matrix[:3, :3].T + matrix[:3, 3]

    def voxel(self, point_ras: Any) -> Voxel:
        """The voxel that a point lies in. Raises `PositionError` outside the volume."""
        found = _nearest(self.ijk(point_ras)[0])
        for axis, (index, side) in enumerate(zip(found, self.shape_ijk)):
            if not 0 <= index < side:
                raise PositionError(
                    f"The point lies outside the volume: voxel {AXES[axis]} = {index}, "
                    f"and the volume has 0 to {side - 1}."
                )
        return found

    def axis_along(self, direction_ras: Any) -> int:
        """The axis whose slices are nearest to perpendicular to a direction."""
        rows = np.linalg.inv(self.matrix)[:3, :3]
        normals = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return int(np.abs(normals @ np.asarray(direction_ras, dtype=float)).argmax())

    def plane_name(self, axis: int) -> str:
        """What a radiologist calls the slices of an axis: sagittal, coronal or axial."""
        normal = np.linalg.inv(self.matrix)[axis, :3]
        return ("sagittal", "coronal", "axial")[int(np.abs(normal).argmax())]

    def slice_at(self, axis: int, point_ras: Any) -> int:
        """The slice of an axis that is nearest to a point, at most the first or the last."""
        index = _nearest(self.ijk(point_ras)[0])[axis]
        return min(max(index, 0), self.shape_ijk[axis] - 1)

    def slice_centre_ras(self, axis: int, index: int) -> np.ndarray:
        """(3,) the middle of a slice."""
        middle = (np.array(self.shape_ijk) - 1) / 2.0
        middle[axis] = index
        return self.ras(middle)[0]


def box_on_slice(grid: VolumeGrid, corners_ras: Any) -> tuple[Box, str]:
    """The 2D box of a rectangle drawn in a slice view, and a sentence when it had to be clipped.

    `corners_ras` (4, 3) are its corners in their order around it. Of an oblique view, the box lies
    on the volume's slice that is nearest to the view's plane at the rectangle's centre, and bounds
    the rectangle there. Raises `PositionError` for a rectangle without area, less than two voxels
    wide, or outside the volume.
    """
    corners = _points(corners_ras)
    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    if np.linalg.norm(normal) < _LEAST_AREA_MM2:
        raise PositionError("The box has no area: drag from one corner to the opposite one.")
    axis = grid.axis_along(normal)
    corners_ijk = grid.ijk(corners)
    corners_ijk[:, axis] = _nearest(corners_ijk.mean(axis=0))[axis]
    return _clipped(grid, *_spanned(corners_ijk), thin=axis)


def box_in_volume(grid: VolumeGrid, corners_ras: Any) -> tuple[Box, str]:
    """The box of voxels that bounds points (n, 3), such as the eight corners of a region of
    interest, and a sentence when it had to be clipped. Raises `PositionError` outside the volume.
    """
    low, high = _spanned(grid.ijk(corners_ras))
    thin = [axis for axis in range(3) if low[axis] == high[axis]]
    return _clipped(grid, low, high, thin=thin[0] if thin else None)


def box_corners_ras(grid: VolumeGrid, box: Box) -> np.ndarray:
    """(8, 3), the outer corners of a box's voxels; `box_in_volume` undoes this."""
    low = np.array(box.min_ijk) - 0.5
    high = np.array(box.max_ijk) + 0.5
    choices = np.array(np.meshgrid(*zip(low, high), indexing="ij")).reshape(3, -1).T
    return grid.ras(choices)


def reduced_scribble(grid: VolumeGrid, path_ras: Any, most: int = 12) -> tuple[Voxel, ...]:
    """At most `most` voxels of a path (n, 3), evenly spaced along it, parts outside left out.

    Raises `PositionError` when all of it lies outside.
    """
    path = _points(path_ras)
    if most < 1 or not len(path):
        raise PositionError("The scribble has no points.")
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    finest = min(grid.spacing_mm)
    count = int(min(max(along[-1] / finest, 1), 10_000)) + 1
    wanted = np.linspace(0, along[-1], count)
    dense = np.stack([np.interp(wanted, along, path[:, axis]) for axis in range(3)], axis=1)
    voxels = np.floor(grid.ijk(dense) + 0.5).astype(int)
    inside = ((voxels >= 0) & (voxels < np.array(grid.shape_ijk))).all(axis=1)
    kept = list(dict.fromkeys(tuple(int(v) for v in voxel) for voxel in voxels[inside]))
    if not kept:
        raise PositionError("The scribble lies outside the volume.")
    chosen = np.linspace(0, len(kept) - 1, min(most, len(kept))).round().astype(int)
    return tuple(kept[number] for number in chosen)


def _spanned(points_ijk: np.ndarray) -> tuple[Voxel, Voxel]:
    """The voxels (first, last) that hold the points: a side on a border leaves the outer voxel."""
    low = np.floor(points_ijk.min(axis=0) + 0.5 + _BORDER).astype(int)
    high = np.maximum(np.ceil(points_ijk.max(axis=0) - 0.5 - _BORDER).astype(int), low)
    return _voxel(low), _voxel(high)


def _clipped(grid: VolumeGrid, low: Voxel, high: Voxel, thin: int | None) -> tuple[Box, str]:
    """The part inside the volume. `thin` is the axis along which one voxel is meant."""
    for axis, side in enumerate(grid.shape_ijk):
        if high[axis] < 0 or low[axis] >= side:
            raise PositionError(
                f"The box lies outside the volume: voxels {low[axis]} to {high[axis]} along "
                f"{AXES[axis]}, and the volume has 0 to {side - 1}."
            )
    first = _voxel(np.maximum(low, 0))
    last = _voxel(np.minimum(high, np.array(grid.shape_ijk) - 1))
    flat = [a for a in range(3) if a != thin and first[a] == last[a] and grid.shape_ijk[a] > 1]
    if flat:
        raise PositionError(
            f"The box is only one voxel wide along {AXES[flat[0]]} inside the volume: "
            "draw a larger one."
        )
    note = ""
    if (first, last) != (low, high):
        note = "The box reached outside the volume and was clipped to it."
    return Box(first, last), note


def _points(points: Any) -> np.ndarray:
    found = np.atleast_2d(np.asarray(points, dtype=float))
    if found.ndim != 2 or found.shape[1] != 3 or not np.isfinite(found).all():
        raise PositionError(f"Points have three finite coordinates; got {points!r:.80}.")
    return found


def _nearest(point_ijk: np.ndarray) -> Voxel:
    return _voxel(np.floor(point_ijk + 0.5))


def _voxel(values: Any) -> Voxel:
    i, j, k = (int(value) for value in values)
    return i, j, k
