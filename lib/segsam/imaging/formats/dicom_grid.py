"""Grid of a DICOM series: checks that the slices form one, and derives order and affine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_values import ModalityTransform
from segsam.imaging.geometry import SHEAR_TOLERANCE
from segsam.types import Affine

_SPACING_TOLERANCE = 0.01
_SPACING_TOLERANCE_MM = 0.01
_SAME_GEOMETRY_TOLERANCE = 1e-4
_DIRECTIONS, _ROUGH_DIRECTIONS = SHEAR_TOLERANCE / 2, 0.01
"""Largest deviation of row and column vectors from length 1 and a right angle: of the slices of a
volume, which would be sheared, and of one slice, whose decimals may be few."""
_BESIDE_TILT = 0.1
"""Largest deviation of positions from an even shift, as a part of it, that a tilted gantry has."""
_FEWEST_OF_A_VIEW = 3
_ROUNDING_OF_STEP = 0.1
"""Largest half of a decimal, in steps, that may explain uneven positions."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Geometry and values of one slice or frame as its header gives them; None if missing.

    `position_lps` is the first pixel (3,). `orientation_lps` holds the direction of a row, then of
    a column (6,). `spacing_mm` is the distance between rows, then between columns (2,).
    """

    path: Path
    frame: int
    columns: int
    rows: int
    position_lps: NDArray[np.float64] | None
    orientation_lps: NDArray[np.float64] | None
    spacing_mm: NDArray[np.float64] | None
    thickness_mm: float | None
    transform: ModalityTransform
    rounding_mm: NDArray[np.float64] | None = None
    """Half of the last written decimal of each coordinate of the position (3,)."""
    aspect_ratio: float = 1.0
    """Distance of rows by that of columns, where no spacing is known."""
    about_place: str = ""
    """What keeps its place from being known for certain."""
    about_spacing: str = ""
    """Where the size of its pixels is another one."""

    @property
    def label(self) -> str:
        """Name of the file, or of the frame and its file, for messages."""
        number = self.frame + 1  # as `--frame` counts
        return self.path.name if self.frame == 0 else f"frame {number} of {self.path.name}"

    @property
    def is_placed(self) -> bool:
        """True if position and orientation in the patient are known."""
        return self.position_lps is not None and self.orientation_lps is not None

    @property
    def axes_lps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit vectors along a row and along a column; those of an axial slice if missing."""
        if self.orientation_lps is None:
            return np.array([1.0, 0, 0]), np.array([0.0, 1, 0])
        return self.orientation_lps[:3], self.orientation_lps[3:]


@dataclass(frozen=True, eq=False)
class DicomGrid:
    """Order of the slices along their normal, affine (4, 4) in LPS, and notes for the user."""

    order: list[int]
    affine_lps: Affine
    notes: tuple[str, ...]


def grid_of(slices: Sequence[Slice], name: str) -> DicomGrid:
    """Derive the grid of a series. Raises VolumeError if its slices do not form one grid."""
    _check_same_geometry(slices, name)
    _check_directions(slices[0], _ROUGH_DIRECTIONS, name)
    notes = _notes(slices[0], name)
    row, column = slices[0].axes_lps
    normal = np.cross(row, column)
    if len(slices) == 1:
        position = slices[0].position_lps
        step = normal * (slices[0].thickness_mm or 1.0)
        origin = np.zeros(3) if position is None else position
        if slices[0].is_placed and slices[0].thickness_mm is None:
            notes = (*notes, f"{name} has no slice thickness; 1 mm was assumed.")
        return DicomGrid([0], _affine_lps(slices[0], step, origin), notes)
    positions = np.array([piece.position_lps for piece in slices])
    order = np.argsort(positions @ normal, kind="stable")
    ordered = positions[order]
    start, step = ordered[0], (ordered[-1] - ordered[0]) / (len(slices) - 1)
    try:
        _check_steps(ordered @ normal, name)
        _check_directions(slices[0], _DIRECTIONS, name)
        _check_line(ordered, normal, name)
    except VolumeError:
        line = _line_of_rounded(slices, ordered, normal)
        if line is None:
            raise
        start, step = line
    return DicomGrid(order.tolist(), _affine_lps(slices[0], step, start), notes)


def _line_of_rounded(
    slices: Sequence[Slice], ordered: NDArray[np.float64], normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the start and step of the even line along the normal that written decimals hide.

    None if rounding does not explain where the slices lie.
    """
    listed = [piece.rounding_mm for piece in slices if piece.rounding_mm is not None]
    if len(listed) < len(slices) or len(slices) < 3:
        return None
    # Writers leave out zeros at the end: the number with most decimals tells how all are rounded.
    half_mm = float(np.min(listed))
    half_along_mm = half_mm * float(np.abs(normal).sum())
    numbers = np.arange(len(slices)) - (len(slices) - 1) / 2
    along = ordered @ normal
    step_mm = float(numbers @ along / (numbers @ numbers))
    # A missing slice bends the line by a sixth of the step at least.
    if half_along_mm > _ROUNDING_OF_STEP * step_mm:
        return None
    middle = ordered.mean(axis=0)
    line = middle + numbers[:, None] * step_mm * normal
    within = np.abs(ordered - line) <= 2 * half_mm + 1e-6
    even = np.abs(np.diff(along) - step_mm) <= 2 * half_along_mm + 1e-6
    return (line[0], step_mm * normal) if within.all() and even.all() else None


def _check_same_geometry(slices: Sequence[Slice], name: str) -> None:
    first = slices[0]
    for piece in slices:
        attributes = {
            "position": piece.position_lps,
            "orientation": piece.orientation_lps,
            "pixel spacing": piece.spacing_mm,
        }
        missing = [attribute for attribute, value in attributes.items() if value is None]
        if missing and len(slices) > 1:
            subject = name if piece.label == name else f"{name}: {piece.label}"
            raise VolumeError(
                f"{subject} has no {' and no '.join(missing)}, so its place among "
                f"the {len(slices)} slices is unknown."
            )
        if (piece.columns, piece.rows) != (first.columns, first.rows):
            raise VolumeError(
                f"{name}: all slices must be of one size; {first.label} is "
                f"{first.columns}x{first.rows} and {piece.label} {piece.columns}x{piece.rows}."
            )
        for attribute, other in (
            ("orientation", first.orientation_lps),
            ("pixel spacing", first.spacing_mm),
        ):
            _check_equal(other, attributes[attribute], f"{name}: the {attribute}", piece.label)


def lie_in_one_view(first: Slice, other: Slice) -> bool:
    """Return True if both slices are placed, of one size and parallel."""
    if first.orientation_lps is None or other.orientation_lps is None or not other.is_placed:
        return False
    is_one_size = (first.columns, first.rows) == (other.columns, other.rows)
    return is_one_size and _are_parallel(first.orientation_lps, other.orientation_lps)


def main_view(
    orientations_lps: Sequence[Sequence[float] | NDArray[np.float64] | None],
    sizes_px: Sequence[tuple[int, int]],
    kinds: Sequence[str],
) -> list[int]:
    """Return the indices of the parallel slices of one size that a series consists of, beside a
    few scouts or stills.

    Args:
        orientations_lps: row and column direction (6,) of each file; None for one without a place.
        sizes_px: columns and rows of each file.
        kinds: its SOP class.

    They are three or more, and more than half of all. The result is empty where it is open what the
    series is, and if a file without a place may be a slice, because it is of their size and kind.
    """
    found: list[int] = []
    for first, orientation in enumerate(orientations_lps):
        if orientation is not None and first not in found:
            alike = [
                index
                for index, other in enumerate(orientations_lps)
                if other is not None
                and sizes_px[index] == sizes_px[first]
                and _are_parallel(orientation, other)
            ]
            found = max(found, alike, key=len)
    if len(found) < _FEWEST_OF_A_VIEW or 2 * len(found) <= len(sizes_px):
        return []
    slices = {(sizes_px[index], kinds[index]) for index in found}
    without_place = (n for n, each in enumerate(orientations_lps) if each is None)
    may_be_slices = any((sizes_px[index], kinds[index]) in slices for index in without_place)
    return [] if may_be_slices else found


def _are_parallel(
    first: Sequence[float] | NDArray[np.float64], other: Sequence[float] | NDArray[np.float64]
) -> bool:
    return float(np.abs(np.subtract(first, other)).max()) <= _SAME_GEOMETRY_TOLERANCE


def lie_at_one_position(slices: Sequence[Slice]) -> bool:
    """Return True if all slices are placed and lie in one plane."""
    if len(slices) < 2 or not all(piece.is_placed for piece in slices):
        return False
    along = np.array([piece.position_lps for piece in slices]) @ np.cross(*slices[0].axes_lps)
    return float(np.ptp(along)) <= _SPACING_TOLERANCE_MM


def _check_directions(piece: Slice, tolerance: float, name: str) -> None:
    """Refuse row and column vectors that are not of length 1 or not at a right angle."""
    row, column = piece.axes_lps
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    cosine = float(row @ column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(cosine)) > tolerance:
        angle = cosine / (lengths[0] * lengths[1]) if min(lengths) > 0 else 0.0
        raise VolumeError(
            f"{name}: expected row and column vectors of length 1 at a right angle (Image "
            f"Orientation (Patient)), got lengths {lengths[0]:.4g} and {lengths[1]:.4g} at "
            f"{math.degrees(math.acos(max(-1.0, min(1.0, angle)))):.2f} degrees; the volume would "
            "be sheared or scaled."
        )


def _check_equal(
    first: NDArray[np.float64] | None,
    other: NDArray[np.float64] | None,
    subject: str,
    label: str,
) -> None:
    if first is None or other is None:
        return
    difference = float(np.abs(first - other).max())
    if difference > _SAME_GEOMETRY_TOLERANCE:
        raise VolumeError(
            f"{subject} must be the same in every slice; {label} differs from the first by "
            f"{difference:.4g}."
        )


def _check_steps(along_mm: NDArray[np.float64], name: str) -> None:
    """Refuse repeated positions, missing slices and uneven spacing along the normal."""
    steps = np.diff(along_mm)
    median = float(np.median(steps))
    if steps.min() <= _SPACING_TOLERANCE_MM:
        at = along_mm[int(steps.argmin())]
        raise VolumeError(
            f"{name}: two slices lie at the same position ({at:.2f} mm along the normal); the "
            "series may hold several acquisitions or time points. Expected one."
        )
    allowed = max(_SPACING_TOLERANCE_MM, _SPACING_TOLERANCE * median)
    deviations = np.abs(steps - median)
    if deviations.max() <= allowed:
        return
    # Steps that are all multiples of the smallest one mean missing slices, not uneven spacing.
    smallest = float(steps.min())
    missing = np.rint(steps / smallest - 1)
    if missing.any() and (np.abs(steps - (missing + 1) * smallest) <= allowed).all():
        widest = int(missing.argmax())
        raise VolumeError(
            f"{name}: {int(missing.sum())} slice(s) are missing from the series: the gap between "
            f"{along_mm[widest]:.2f} and {along_mm[widest + 1]:.2f} mm is {steps[widest]:.2f} mm, "
            f"and the smallest is {smallest:.2f} mm."
        )
    worst = int(deviations.argmax())
    raise VolumeError(
        f"{name}: the slices are unevenly spaced: between {along_mm[worst]:.2f} and "
        f"{along_mm[worst + 1]:.2f} mm the step is {steps[worst]:.3f} mm, usually it is "
        f"{median:.3f} mm; at most {allowed:.3f} mm difference is accepted."
    )


def _check_line(positions: NDArray[np.float64], normal: NDArray[np.float64], name: str) -> None:
    """Refuse gantry tilt, and single slices beside the line from the first to the last."""
    total = positions[-1] - positions[0]
    along = float(total @ normal)
    sideways = float(np.linalg.norm(total - along * normal))
    if sideways > SHEAR_TOLERANCE * along:
        beside = _beside_even_shift(positions)
        allowed = max(_SPACING_TOLERANCE_MM, _BESIDE_TILT * sideways)
        if beside > allowed:
            raise VolumeError(
                f"{name}: the slices do not lie on one line: their positions shift sideways by "
                f"different distances from slice to slice, up to {beside:.2f} mm beside an even "
                f"shift, and at most {allowed:.2f} mm is accepted."
            )
        angle = math.degrees(math.atan2(sideways, along))
        limit = math.degrees(math.atan(SHEAR_TOLERANCE))
        raise VolumeError(
            f"{name}: the gantry was tilted: the slices shift sideways by {sideways:.2f} mm over "
            f"{along:.2f} mm ({angle:.2f} degrees; at most {limit:.2f} are accepted), so the "
            "volume is sheared. Resample it to a rectangular grid first."
        )
    expected = positions[0] + np.linspace(0, 1, len(positions))[:, None] * total
    distance = float(np.abs(positions - expected).max())
    allowed = max(_SPACING_TOLERANCE_MM, _SPACING_TOLERANCE * along / (len(positions) - 1))
    if distance > allowed:
        raise VolumeError(
            f"{name}: the slices do not lie on one line: one is {distance:.2f} mm beside it, and "
            f"at most {allowed:.2f} mm is accepted."
        )


def _beside_even_shift(positions: NDArray[np.float64]) -> float:
    """Return how far positions lie from the even line that fits them best, in mm."""
    numbers = np.arange(len(positions)) - (len(positions) - 1) / 2
    step = numbers @ positions / (numbers @ numbers)
    even = positions.mean(axis=0) + numbers[:, None] * step
    return float(np.abs(positions - even).max())


def _affine_lps(piece: Slice, step: NDArray[np.float64], origin: NDArray[np.float64]) -> Affine:
    row, column = piece.axes_lps
    assumed_mm = (piece.aspect_ratio, 1.0)
    between_rows, between_columns = assumed_mm if piece.spacing_mm is None else piece.spacing_mm
    affine = np.eye(4)
    affine[:3, 0] = row * between_columns
    affine[:3, 1] = column * between_rows
    affine[:3, 2] = step
    affine[:3, 3] = origin
    return affine


def _notes(first: Slice, name: str) -> tuple[str, ...]:
    notes = [f"{name} {about}" for about in (first.about_place, first.about_spacing) if about]
    if not first.is_placed:
        notes.append(
            f"{name} has no position or no orientation in the patient; it was read as an axial "
            "slice at the origin."
        )
    if first.spacing_mm is None and first.aspect_ratio != 1:
        notes.append(
            f"{name} has no pixel spacing, but rows that lie {first.aspect_ratio:g} times as far "
            "apart as its columns (pixel aspect ratio); 1 mm was assumed between columns."
        )
    elif first.spacing_mm is None:
        notes.append(f"{name} has no pixel spacing; 1 mm was assumed.")
    return tuple(notes)
