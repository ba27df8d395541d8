"""Placement of a label on the voxels of its image, by the geometry of both files.

A label may be stored in another voxel order than its image: mirrored, or with its axes permuted.
Its voxels are then brought into the order of the image; nothing is resampled. A label that lies
elsewhere is refused. Every reader of labels places them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segsam.errors import LabelError
from segsam.imaging.geometry import axis_codes, reordered, spacing_of
from segsam.imaging.voxels import shape_text, zeros
from segsam.types import Affine, VoxelIndex

Scalar = TypeVar("Scalar", bound=np.generic)

_AXES_TOLERANCE_MM = 1e-3
"""Largest difference between the axes (columns of the affine) of label and image."""
_CORNER_TOLERANCE_MM, _CORNER_TOLERANCE_VOXELS = 1e-3, 0.01
"""Largest distance between corners of label and image; the larger of the two counts."""


class Grid(Protocol):
    """Geometry of an image: a `Volume`, or the header of a file."""

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        """Number of voxels along i, j and k."""

    @property
    def affine_ras(self) -> Affine:
        """(4, 4), voxel index to world RAS in millimetres."""


@dataclass(frozen=True)
class Placement:
    """Order in which the voxels of a label lie on those of its image."""

    axes: tuple[int, int, int]
    """Axis of the label for each axis of the image."""
    signs: tuple[int, int, int]
    """-1 where the label runs the other way."""
    first_ijk: VoxelIndex
    """Voxel of the image on which the first reordered voxel of the label lies."""
    shape_ijk: tuple[int, int, int]
    """Shape of the image."""

    def place(self, voxels: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return label voxels (i, j, k) on the voxels of the image; a view if they fill it."""
        placed, _ = reordered(voxels, np.eye(4), self.axes, self.signs)
        if placed.shape == self.shape_ijk:
            return placed
        whole: NDArray[Scalar] = zeros(self.shape_ijk, voxels.dtype)
        ends = zip(self.first_ijk, placed.shape, strict=True)
        whole[tuple(slice(first, first + side) for first, side in ends)] = placed
        return whole


def place_label(label: Grid, image: Grid, *, may_be_cropped: bool = False) -> Placement:
    """Find how a label lies on its image.

    Args:
        label: geometry of the label.
        image: geometry of its image.
        may_be_cropped: accept a label on a part of the image's voxels, as 3D Slicer writes
            segmentations that are cropped to their segments.

    Raises:
        LabelError: a label that lies elsewhere; the sentence holds both geometries.
    """
    axes, signs = _order_of_axes(label.affine_ras, image.affine_ras)
    shape = tuple(label.shape_ijk[axis] for axis in axes)
    # A view of one byte: `reordered` needs the shape only.
    empty = np.broadcast_to(np.uint8(0), label.shape_ijk)
    _, affine = reordered(empty, label.affine_ras, axes, signs)
    first = _first_voxel(affine, image) if may_be_cropped else (0, 0, 0)
    ends = np.add(first, shape)
    is_part = min(first) >= 0 and bool((ends <= image.shape_ijk).all())
    if shape != image.shape_ijk and label.shape_ijk == image.shape_ijk and not is_part:
        raise LabelError(
            f"the label's axes run in other directions than those of its image: in their order it "
            f"has {shape_text(shape)} voxels and the image {shape_text(image.shape_ijk)}; send the "
            f"label on the grid of the image ({_geometries(label, image)})"
        )
    if shape != image.shape_ijk and not (may_be_cropped and is_part):
        raise LabelError(
            f"the label has {shape_text(label.shape_ijk)} voxels and its image "
            f"{shape_text(image.shape_ijk)}; send the label on the grid of the image "
            f"({_geometries(label, image)})"
        )
    _check_distances(affine, shape, first if is_part else (0, 0, 0), label, image)
    return Placement(axes, signs, first if is_part else (0, 0, 0), image.shape_ijk)


def _order_of_axes(
    label: Affine, image: Affine
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The label's axis nearest to each axis of the image, and whether it runs the same way.

    The two are compared with each other and not with R, A and S: at 45 degrees, rounding would
    decide there.
    """
    cosines = _directions(image).T @ _directions(label)
    nearest = np.abs(cosines).argmax(axis=1)
    if len(set(nearest.tolist())) != 3:  # turned by 45 degrees: another place, refused as it is
        nearest = np.arange(3)
    signs = np.where(cosines[np.arange(3), nearest] < 0, -1, 1)
    i, j, k = (int(axis) for axis in nearest)
    sign_i, sign_j, sign_k = (int(sign) for sign in signs)
    return (i, j, k), (sign_i, sign_j, sign_k)


def _directions(affine: Affine) -> NDArray[np.float64]:
    return np.asarray(affine[:3, :3] / np.asarray(spacing_of(affine)))


def _first_voxel(affine: Affine, image: Grid) -> VoxelIndex:
    """The voxel of the image nearest to the first one of a label with this affine."""
    offset = affine[:3, 3] - image.affine_ras[:3, 3]
    i, j, k = np.rint(np.linalg.solve(image.affine_ras[:3, :3], offset)).astype(int).tolist()
    return i, j, k


def _check_distances(
    affine: Affine, shape: tuple[int, ...], first: VoxelIndex, label: Grid, image: Grid
) -> None:
    expected = image.affine_ras.copy()
    expected[:3, 3] = image.affine_ras[:3] @ np.array([*first, 1.0])
    difference = affine - expected
    # Along an axis of one voxel there is no step.
    long = [axis for axis, side in enumerate(shape) if side > 1]
    axes_mm = float(np.abs(difference[:3, long]).max()) if long else 0.0
    corners_ijk = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    homogeneous = np.column_stack([corners_ijk, np.ones(len(corners_ijk))])
    corners_mm = float(np.abs(homogeneous @ difference[:3].T).max())
    voxel_mm = min(spacing_of(image.affine_ras))
    allowed_mm = max(_CORNER_TOLERANCE_MM, _CORNER_TOLERANCE_VOXELS * voxel_mm)
    if axes_mm > _AXES_TOLERANCE_MM or corners_mm > allowed_mm:
        raise LabelError(
            f"the label does not lie on its image: corners are up to {corners_mm:.4g} mm apart "
            f"(at most {allowed_mm:.4g} is accepted), steps between voxels {axes_mm:.4g} mm (at "
            f"most {_AXES_TOLERANCE_MM:g}); {_geometries(label, image)}"
        )


def _geometries(label: Grid, image: Grid) -> str:
    return f"the label: {describe_grid(label)}; the image: {describe_grid(image)}"


def describe_grid(grid: Grid) -> str:
    """Return a geometry in words: voxels, spacing, voxel order, and where the first voxel lies."""
    spacing = " x ".join(f"{side:.6g}" for side in spacing_of(grid.affine_ras))
    x, y, z = (f"{value:.6g}" for value in grid.affine_ras[:3, 3])
    return (
        f"{shape_text(grid.shape_ijk)} voxels of {spacing} mm, axes to "
        f"{axis_codes(grid.affine_ras)}, the first voxel at R {x}, A {y}, S {z} mm"
    )
