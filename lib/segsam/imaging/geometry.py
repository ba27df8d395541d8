"""Affines: what each part of one means, which voxel axis runs which way, and when one is refused.

An affine takes a voxel index to the world, in millimetres, in the frame RAS (x to the patient's
right, y to anterior, z to superior). Its columns are the steps of one voxel along i, j and k:

        |  step_i   step_j   step_k   origin |      length of a step  = spacing
    A = |  (3 mm)   (3 mm)   (3 mm)   (3 mm) |      step / its length = direction (R)
        |    0        0        0        1    |

Files of the DICOM, ITK and NRRD family count in LPS, the same frame with x and y negated. Only the
readers and writers ever hold an LPS affine.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segsam.errors import VolumeError
from segsam.types import Affine

SHEAR_TOLERANCE = 1e-3
"""Largest accepted element of |RᵀR - I|; R holds the unit directions of the three voxel axes."""

SMALLEST_SPACING_MM = 1e-6
_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_AXIS_NAMES = "ijk"
_POSITIVE_CODES, _NEGATIVE_CODES = "RAS", "LPI"


def swap_lps_ras(affine: ArrayLike) -> Affine:
    """The same (4, 4) affine in the other frame: LPS becomes RAS and RAS becomes LPS."""
    return np.asarray(_LPS_RAS @ np.asarray(affine, dtype=np.float64))


def affine_of(directions: ArrayLike, spacing_mm: ArrayLike, origin: ArrayLike) -> Affine:
    """(4, 4) from unit directions (3, 3, one per column), spacing (3,) and origin (3,)."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, dtype=np.float64) * np.asarray(spacing_mm)
    affine[:3, 3] = origin
    return affine


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Millimetres from one voxel to the next along i, j and k."""
    i_mm, j_mm, k_mm = (float(np.sqrt(np.sum(affine[:3, axis] ** 2))) for axis in range(3))
    return i_mm, j_mm, k_mm


def shear_of(affine: Affine) -> float:
    """How far the axes are from perpendicular: the largest element of |RᵀR - I|."""
    directions = affine[:3, :3] / np.asarray(spacing_of(affine))
    return float(np.abs(directions.T @ directions - np.eye(3)).max())


def checked_affine(affine: ArrayLike, name: str) -> Affine:
    """A read-only float64 copy of a (4, 4) RAS affine.

    Raises VolumeError, with both numbers, when it is not (4, 4), not finite, has a zero or
    unmeasurable spacing, is singular, or is sheared by more than `SHEAR_TOLERANCE`.
    """
    copied = np.array(affine, dtype=np.float64)
    if copied.shape != (4, 4):
        raise VolumeError(f"{name}: an affine is 4 x 4; this one has the shape {copied.shape}.")
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
        if not SMALLEST_SPACING_MM <= value < np.inf:
            raise VolumeError(
                f"{name}: the spacing along {axis} is {value:g} mm, so the affine is singular; "
                f"at least {SMALLEST_SPACING_MM:g} mm and finite is needed."
            )


def _check_directions(affine: Affine, name: str) -> None:
    determinant = float(np.linalg.det(affine[:3, :3] / np.asarray(spacing_of(affine))))
    if abs(determinant) < 1e-6:
        raise VolumeError(
            f"{name}: the affine is singular: its three axes lie in one plane "
            f"(determinant of the directions {determinant:.2g}, wanted 1 or -1)."
        )
    shear = shear_of(affine)
    if shear > SHEAR_TOLERANCE:
        raise VolumeError(
            f"{name}: the volume is sheared: its axes are off perpendicular by {shear:.6f} "
            f"(largest element of |RᵀR - I|), and at most {SHEAR_TOLERANCE:g} is accepted. "
            "Resample it to a rectangular grid first."
        )


def nearest_axes(affine: Affine) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The voxel axis nearest to each of R, A and S, and its sign (+1: runs towards R, A, S).

    Always a permutation, also for a volume turned by 45 degrees. Ties are broken by the axes'
    directions in the world and never by their order in the file, so that one anatomy stored in any
    of the 48 orders gets the same assignment.
    """
    directions = affine[:3, :3] / np.asarray(spacing_of(affine))
    axes = max(
        permutations(range(3)),
        key=lambda order: (_alignment(directions, order), _unsigned_columns(directions, order)),
    )
    signs = [1 if directions[world, axis] > 0 else -1 for world, axis in enumerate(axes)]
    return (axes[0], axes[1], axes[2]), (signs[0], signs[1], signs[2])


def _alignment(directions: NDArray[np.float64], order: tuple[int, ...]) -> float:
    return round(sum(abs(float(directions[world, axis])) for world, axis in enumerate(order)), 6)


def _unsigned_columns(directions: NDArray[np.float64], order: tuple[int, ...]) -> list[float]:
    """The columns as undirected lines (first clear component positive), as something sortable."""
    values: list[float] = []
    for axis in order:
        column = np.round(directions[:, axis], 6)
        leading = column[np.flatnonzero(column)[0]]
        values += [float(value) + 0.0 for value in column * np.sign(leading)]
    return values


def axis_codes(affine: Affine) -> str:
    """Where i, j and k run, e.g. "LPS" when i runs towards the patient's left."""
    axes, signs = nearest_axes(affine)
    letters = ["?"] * 3
    for world, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        letters[axis] = (_POSITIVE_CODES if sign > 0 else _NEGATIVE_CODES)[world]
    return "".join(letters)


def parsed_codes(codes: str) -> list[tuple[int, int]]:
    """ "LPS" -> [(0, -1), (1, -1), (2, 1)]: world axis and sign of each voxel axis."""
    parsed = []
    for letter in codes.upper():
        for sign, known in ((1, _POSITIVE_CODES), (-1, _NEGATIVE_CODES)):
            if letter in known:
                parsed.append((known.index(letter), sign))
    if len(codes) != 3 or sorted(world for world, _ in parsed) != [0, 1, 2]:
        raise VolumeError(
            f"Orientation codes are three letters, one of each pair R/L, A/P, S/I; got {codes!r}."
        )
    return parsed


def canonical_view(voxels: NDArray[np.generic], affine: Affine) -> NDArray[np.generic]:
    """The voxels with their first three axes turned to run R, A, S; a view, nothing is copied."""
    axes, signs = nearest_axes(affine)
    turned = voxels.transpose((*axes, *range(3, voxels.ndim)))
    return turned[tuple(slice(None, None, sign) for sign in signs)]


def even_sample(voxels: NDArray[np.generic], affine: Affine, limit: int) -> NDArray[np.generic]:
    """Every n-th voxel along each axis so that about `limit` remain; all of them when fewer.

    Taken from the canonical view, so that it does not depend on the order of storage.
    """
    step = 1
    while np.prod([-(-side // step) for side in voxels.shape[:3]]) > limit:
        step += 1
    return canonical_view(voxels, affine)[::step, ::step, ::step]
