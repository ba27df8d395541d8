"""Do these DICOM slices form a grid, and which one? The refusals carry the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.geometry import SHEAR_TOLERANCE
from segsam.types import Affine

_SPACING_TOLERANCE = 0.01
_SPACING_TOLERANCE_MM = 0.01
_ORIENTATION_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Slice:
    """What one slice or frame says of itself; all in LPS, mm, and as DICOM names it.

    `size` is (columns, rows), `orientation` the direction of a row then of a column (6,),
    `spacing` the distance between rows then between columns (2,), `rescale` slope and intercept.
    """

    path: Path
    frame: int
    size: tuple[int, int]
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    spacing: NDArray[np.float64] | None
    thickness_mm: float | None
    rescale: tuple[float, float]
    is_inverted: bool


def grid_of(slices: Sequence[Slice], name: str) -> tuple[list[int], Affine, tuple[str, ...]]:
    """The order of the slices along their normal, the affine (4, 4) in LPS, and notes.

    Raises VolumeError when they do not form one grid.
    """
    _check_alike(slices, name)
    notes = _notes(slices[0], name)
    if len(slices) == 1:
        return [0], _single(slices[0]), notes
    positions = np.array([piece.position for piece in slices])
    row, column = _axes(slices[0])
    normal = np.cross(row, column)
    order = np.argsort(positions @ normal, kind="stable")
    ordered = positions[order]
    _check_steps(ordered @ normal, name)
    _check_line(ordered, normal, name)
    step = (ordered[-1] - ordered[0]) / (len(slices) - 1)
    return [int(index) for index in order], _affine(slices[0], step, ordered[0]), notes


def _check_alike(slices: Sequence[Slice], name: str) -> None:
    first = slices[0]
    for piece in slices:
        missing = [
            what
            for what, value in (
                ("position", piece.position),
                ("orientation", piece.orientation),
                ("pixel spacing", piece.spacing),
            )
            if value is None
        ]
        if missing and len(slices) > 1:
            raise VolumeError(
                f"{name}: {_where(piece)} states no {' and no '.join(missing)}, so its place among "
                f"the {len(slices)} slices is unknown."
            )
        if piece.size != first.size:
            raise VolumeError(
                f"{name}: all slices must be of one size; {_where(first)} is "
                f"{first.size[0]}x{first.size[1]} and {_where(piece)} "
                f"{piece.size[0]}x{piece.size[1]}."
            )
        _check_same(first.orientation, piece.orientation, f"{name}: the orientation", piece)
        _check_same(first.spacing, piece.spacing, f"{name}: the pixel spacing", piece)


def _check_same(
    first: NDArray[np.float64] | None, other: NDArray[np.float64] | None, what: str, piece: Slice
) -> None:
    if first is None or other is None:
        return
    apart = float(np.abs(first - other).max())
    if apart > _ORIENTATION_TOLERANCE:
        raise VolumeError(
            f"{what} must be the same in every slice; {_where(piece)} differs from the first by "
            f"{apart:.4g}."
        )


def _where(piece: Slice) -> str:
    return piece.path.name if piece.frame == 0 else f"frame {piece.frame} of {piece.path.name}"


def _check_steps(along_mm: NDArray[np.float64], name: str) -> None:
    steps = np.diff(along_mm)
    usual = float(np.median(steps))
    if steps.min() <= _SPACING_TOLERANCE_MM:
        at = along_mm[int(steps.argmin())]
        raise VolumeError(
            f"{name}: two slices lie at the same position ({at:.2f} mm along the normal); the "
            "series may hold several acquisitions or points in time, and one is wanted."
        )
    allowed = max(_SPACING_TOLERANCE_MM, _SPACING_TOLERANCE * usual)
    off = np.abs(steps - usual)
    if off.max() <= allowed:
        return
    smallest = float(steps.min())
    lost = np.rint(steps / smallest - 1)
    if (np.abs(steps - (lost + 1) * smallest) <= allowed).all():
        widest = int(lost.argmax())
        raise VolumeError(
            f"{name}: {int(lost.sum())} slice(s) are missing from the series: the gap between "
            f"{along_mm[widest]:.2f} and {along_mm[widest + 1]:.2f} mm is {steps[widest]:.2f} mm, "
            f"and the smallest is {smallest:.2f} mm."
        )
    worst = int(off.argmax())
    raise VolumeError(
        f"{name}: the slices are unevenly spaced: between {along_mm[worst]:.2f} and "
        f"{along_mm[worst + 1]:.2f} mm the step is {steps[worst]:.3f} mm, usually it is "
        f"{usual:.3f} mm; at most {allowed:.3f} mm difference is accepted."
    )


def _check_line(positions: NDArray[np.float64], normal: NDArray[np.float64], name: str) -> None:
    total = positions[-1] - positions[0]
    along = float(total @ normal)
    sideways = float(np.linalg.norm(total - along * normal))
    if sideways > SHEAR_TOLERANCE * along:
        angle = math.degrees(math.atan2(sideways, along))
        limit = math.degrees(math.atan(SHEAR_TOLERANCE))
        raise VolumeError(
            f"{name}: the gantry was tilted: the slices shift sideways by {sideways:.2f} mm over "
            f"{along:.2f} mm ({angle:.2f} degrees; at most {limit:.2f} are accepted), so the "
            "volume is sheared. Resample it to a rectangular grid first."
        )
    expected = positions[0] + np.linspace(0, 1, len(positions))[:, None] * total
    off = float(np.abs(positions - expected).max())
    allowed = max(_SPACING_TOLERANCE_MM, _SPACING_TOLERANCE * along / (len(positions) - 1))
    if off > allowed:
        raise VolumeError(
            f"{name}: the slices do not lie on one line: one is {off:.2f} mm beside it, and at "
            f"most {allowed:.2f} mm is accepted."
        )


def _axes(piece: Slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    orientation = np.array([1.0, 0, 0, 0, 1, 0]) if piece.orientation is None else piece.orientation
    return orientation[:3], orientation[3:]


def _single(piece: Slice) -> Affine:
    row, column = _axes(piece)
    step = np.cross(row, column) * (piece.thickness_mm or 1.0)
    return _affine(piece, step, np.zeros(3) if piece.position is None else piece.position)


def _affine(piece: Slice, step: NDArray[np.float64], origin: NDArray[np.float64]) -> Affine:
    row, column = _axes(piece)
    between_rows, between_columns = (1.0, 1.0) if piece.spacing is None else piece.spacing
    affine = np.eye(4)
    affine[:3, 0] = row * between_columns
    affine[:3, 1] = column * between_rows
    affine[:3, 2] = step
    affine[:3, 3] = origin
    return affine


def _notes(first: Slice, name: str) -> tuple[str, ...]:
    notes = []
    if first.position is None or first.orientation is None:
        notes.append(
            f"{name} does not say where it lies in the patient; it was read as an axial slice at "
            "the origin."
        )
    if first.spacing is None:
        notes.append(f"{name} states no pixel spacing; 1 mm was taken.")
    if first.is_inverted:
        notes.append(
            f"{name} is stored with white as its lowest value (MONOCHROME1); its values were kept."
        )
    return tuple(notes)
