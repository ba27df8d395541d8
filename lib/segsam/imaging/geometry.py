"""Affines: spacing, direction and shear, the anatomical axis of each voxel axis, and their checks.

An affine maps a voxel index to the world in millimetres. The frame is RAS (x to the patient's
right, y to anterior, z to superior). Its columns are the steps of one voxel along i, j and k:

        |  step_i   step_j   step_k   origin |      length of a step  = spacing
    A = |  (3 mm)   (3 mm)   (3 mm)   (3 mm) |      step / its length = direction (R)
        |    0        0        0        1    |

DICOM, ITK and NRRD files use LPS, the same frame with x and y negated. Only readers and writers
hold LPS affines.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segsam.errors import VolumeError
from segsam.types import Affine

Scalar = TypeVar("Scalar", bound=np.generic)

SHEAR_TOLERANCE = 1e-3
"""Largest accepted element of |RᵀR - I|; R holds the unit directions of the three voxel axes."""

_SMALLEST_SPACING_MM = 1e-6
_SMALLEST_DETERMINANT = 1e-6
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_AXIS_NAMES = "ijk"
_POSITIVE_CODES, _NEGATIVE_CODES = "RAS", "LPI"


def swap_lps_ras(affine: ArrayLike) -> Affine:
    """Return the same (4, 4) affine in the other frame: LPS becomes RAS and RAS becomes LPS."""
    return np.asarray(_LPS_TO_RAS @ np.asarray(affine, dtype=np.float64))


def compose_affine(directions: ArrayLike, spacing_mm: ArrayLike, origin: ArrayLike) -> Affine:
    """Build a (4, 4) affine from unit directions (3, 3, one per column), spacing (3,), origin (3,).

    The result is in the frame of the directions and the origin.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, dtype=np.float64) * np.asarray(spacing_mm)
    affine[:3, 3] = origin
    return affine


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Return the distance in mm from one voxel to the next along i, j and k."""
    i_mm, j_mm, k_mm = (float(np.sqrt(np.sum(affine[:3, axis] ** 2))) for axis in range(3))
    return i_mm, j_mm, k_mm


def shear_of(affine: Affine) -> float:
    """Return the largest element of |RᵀR - I|: 0 if the axes are perpendicular."""
    directions = affine[:3, :3] / np.asarray(spacing_of(affine))
    return float(np.abs(directions.T @ directions - np.eye(3)).max())


def validated_affine(affine: ArrayLike, name: str) -> Affine:
    """Return a read-only float64 copy of a (4, 4) RAS affine.

    Raises VolumeError if it is not (4, 4), not finite, singular, has a spacing of zero or
    infinity, or is sheared by more than `SHEAR_TOLERANCE`.
    """
    copied = np.array(affine, dtype=np.float64)
    if copied.shape != (4, 4):
        raise VolumeError(f"{name}: expected a 4 x 4 affine, got the shape {copied.shape}.")
    if not np.isfinite(copied).all():
        raise VolumeError(f"{name}: the affine must be finite; it holds NaN or infinity.")
    if not np.array_equal(copied[3], [0, 0, 0, 1]):
        row = ", ".join(f"{value:g}" for value in copied[3])
        raise VolumeError(f"{name}: the affine's last row must be 0, 0, 0, 1; it is {row}.")
    _check_spacing(copied, name)
    _check_directions(copied, name)
    copied.flags.writeable = False
    return copied


def _check_spacing(affine: Affine, name: str) -> None:
    with np.errstate(over="ignore"):
        spacing_mm = spacing_of(affine)
    for axis, value in zip(_AXIS_NAMES, spacing_mm, strict=True):
        if not _SMALLEST_SPACING_MM <= value < np.inf:
            raise VolumeError(
                f"{name}: the spacing along {axis} is {value:g} mm, so the affine is singular; "
                f"expected a finite spacing of at least {_SMALLEST_SPACING_MM:g} mm."
            )


def _check_directions(affine: Affine, name: str) -> None:
    determinant = float(np.linalg.det(affine[:3, :3] / np.asarray(spacing_of(affine))))
    if abs(determinant) < _SMALLEST_DETERMINANT:
        raise VolumeError(
            f"{name}: the affine is singular: its three axes lie in one plane "
            f"(determinant of the directions {determinant:.2g}, expected 1 or -1)."
        )
    shear = shear_of(affine)
    if shear > SHEAR_TOLERANCE:
        raise VolumeError(
            f"{name}: the volume is sheared: its axes are off perpendicular by {shear:.6f} "
            f"(largest element of |RᵀR - I|), and at most {SHEAR_TOLERANCE:g} is accepted. "
            "Resample it to a rectangular grid first."
        )


def nearest_axes(affine: Affine) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the voxel axis nearest to each of R, A and S, and its sign (+1: runs to R, A, S).

    The axes are always a permutation, also for a volume rotated by 45 degrees. Ties are resolved
    by the directions in the world, not by the order of the axes in the file. The same anatomy
    therefore gets the same axes in each of the 48 storage orders.
    """
    directions = affine[:3, :3] / np.asarray(spacing_of(affine))
    axes = max(
        permutations(range(3)),
        key=lambda order: (_alignment(directions, order), _undirected_columns(directions, order)),
    )
    signs = [1 if directions[world, axis] > 0 else -1 for world, axis in enumerate(axes)]
    return (axes[0], axes[1], axes[2]), (signs[0], signs[1], signs[2])


def _alignment(directions: NDArray[np.float64], order: tuple[int, ...]) -> float:
    return round(sum(abs(float(directions[world, axis])) for world, axis in enumerate(order)), 6)


def _undirected_columns(directions: NDArray[np.float64], order: tuple[int, ...]) -> list[float]:
    """Return the columns with their first nonzero component positive, to sort them as lines."""
    values: list[float] = []
    for axis in order:
        column = np.round(directions[:, axis], 6)
        leading = column[np.flatnonzero(column)[0]]
        values += [float(value) + 0.0 for value in column * np.sign(leading)]
    return values


def reordered(
    voxels: NDArray[Scalar], affine: Affine, axes: Sequence[int], signs: Sequence[int]
) -> tuple[NDArray[Scalar], Affine]:
    """Return voxels (i, j, k, ...) in another order, as a view, with the affine that places them.

    New axis n is the old axis `axes[n]`, reversed if `signs[n]` is -1. Every voxel keeps its world
    point.
    """
    new_to_old = np.zeros((4, 4))
    new_to_old[3, 3] = 1
    for new_axis, (old_axis, sign) in enumerate(zip(axes, signs, strict=True)):
        new_to_old[old_axis, new_axis] = sign
        new_to_old[old_axis, 3] = 0 if sign > 0 else voxels.shape[old_axis] - 1
    permuted = voxels.transpose((*axes, *range(3, voxels.ndim)))
    steps = tuple(slice(None, None, sign) for sign in signs)
    return permuted[steps], np.asarray(affine @ new_to_old)


def axis_codes(affine: Affine) -> str:
    """Return the directions to which i, j and k run nearest, e.g. "LPS"."""
    axes, signs = nearest_axes(affine)
    letters = {
        axis: (_POSITIVE_CODES if sign > 0 else _NEGATIVE_CODES)[world]
        for world, (axis, sign) in enumerate(zip(axes, signs, strict=True))
    }
    return "".join(letters[axis] for axis in range(3))


def parse_axis_codes(codes: str) -> list[tuple[int, int]]:
    """Return world axis and sign of each voxel axis: "LPS" becomes [(0, -1), (1, -1), (2, 1)].

    Raises VolumeError for anything but one letter of each pair R/L, A/P, S/I.
    """
    parsed = []
    for letter in codes.upper():
        for sign, known in ((1, _POSITIVE_CODES), (-1, _NEGATIVE_CODES)):
            if letter in known:
                parsed.append((known.index(letter), sign))
    if len(codes) != 3 or sorted(world for world, _ in parsed) != [0, 1, 2]:
        raise VolumeError(
            f"Expected orientation codes, one letter of each pair R/L, A/P, S/I, got {codes!r}."
        )
    return parsed


def regular_subsample(
    voxels: NDArray[np.generic], affine: Affine, limit: int
) -> NDArray[np.generic]:
    """Return every n-th voxel along each axis so that at most `limit` remain, as a view.

    The axes of the result run R, A, S, so that it does not depend on the storage order.
    """
    step = 1
    while np.prod([-(-side // step) for side in voxels.shape[:3]]) > limit:
        step += 1
    axes, signs = nearest_axes(affine)
    ras = voxels.transpose((*axes, *range(3, voxels.ndim)))
    ras = ras[tuple(slice(None, None, sign) for sign in signs)]
    return ras[::step, ::step, ::step]
