"""Geometry of NRRD headers: which axes lie in space, and their affine.

A header that contradicts itself, or names a frame that the format does not have, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.formats.nrrd_text import header_list
from segsam.types import Affine

_FRAMES = {
    "rightanteriorsuperior": (1, 1, 1),
    "ras": (1, 1, 1),
    "leftanteriorsuperior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "leftposteriorsuperior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
"""World frame in the header, without hyphens and blanks -> signs that convert it to RAS."""
_NOT_PATIENT = frozenset({"", "scannerxyz", "3drighthanded", "3dlefthanded"})
"""Frames in space that do not tell where the patient is."""
_DOMAINS = frozenset({"domain", "space", "time", "none", "???"})
"""Kinds of axes along which samples lie; along others, numbers of one sample lie."""
_AXES = 3
_SAME_LENGTH = 1e-3
"""Largest difference of a spacing and the length of its direction, as a part of it."""


def spatial_axes(header: Mapping[str, Any], dimension: int, name: str) -> list[int]:
    """Return the axes that have a direction; without directions, the first three of samples.

    Raises VolumeError for a direction of an axis that holds the numbers of one sample.
    """
    kinds = [kind.lower() for kind in header_list(header.get("kinds", ()))]
    ranges = [axis for axis, kind in enumerate(kinds) if kind not in _DOMAINS]
    directions = header.get("space directions")
    if directions is None:
        return [axis for axis in range(dimension) if axis not in ranges][:3]
    found = [axis for axis, row in enumerate(directions) if not np.isnan(row).all()]
    wrong = [axis for axis in found if axis in ranges]
    if wrong or len(directions) != dimension:
        what = f"one for axis {wrong[0]}, a {kinds[wrong[0]]!r}" if wrong else str(len(directions))
        raise VolumeError(
            f"{name}: expected one space direction, or none, for each of {dimension} axes, and "
            f"only for axes in space, got {what}."
        )
    return found


def is_in_patient(header: Mapping[str, Any]) -> bool:
    """Return True if the header tells where the axes lie in the patient."""
    return _frame(header) in _FRAMES and "space directions" in header


def affine_of(header: Mapping[str, Any], spatial: list[int], name: str) -> Affine:
    """Return the affine (4, 4) in RAS; as ITK, LPS where the header names no frame of a patient.

    Raises VolumeError for an unknown frame, and for spacings that contradict the directions.
    """
    frame = _frame(header)
    if frame not in _FRAMES and frame not in _NOT_PATIENT:
        raise VolumeError(
            f"{name}: expected the space left-posterior-superior, right-anterior-superior, "
            f"left-anterior-superior, or none, got {header['space']!r:.80}."
        )
    affine = np.eye(4)
    directions, numbers = header.get("space directions"), len(spatial)
    if directions is not None:
        steps = np.asarray(directions, dtype=np.float64)[spatial]
        numbers = steps.shape[1]
        _check_spacings(header, steps, spatial, name)
        affine[:numbers, : len(spatial)] = steps.T
        if steps.shape == (2, 3):  # one slice: the third axis is its normal
            normal = np.cross(*steps)
            affine[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)
    elif "spacings" in header:
        spacings = np.asarray(header["spacings"], dtype=np.float64)[spatial]
        affine[range(len(spatial)), range(len(spatial))] = spacings
    origin = np.asarray(header.get("space origin", _axis_origin(header, spatial)), dtype=np.float64)
    if len(origin) != numbers and (directions is not None or len(origin) != _AXES):
        raise VolumeError(
            f"{name}: expected a space origin of {numbers} numbers, got {len(origin)}."
        )
    affine[: len(origin), 3] = origin
    signs = _FRAMES.get(frame, (-1, -1, 1))
    return np.asarray(np.diag([*signs, 1]) @ affine)


def _check_spacings(
    header: Mapping[str, Any], steps: NDArray[np.float64], spatial: list[int], name: str
) -> None:
    """Refuse spacings beside directions of another length; the format has one of them only."""
    if "spacings" not in header:
        return
    spacings = np.abs(np.asarray(header["spacings"], dtype=np.float64)[spatial])
    lengths = np.linalg.norm(steps, axis=1)
    differs = np.abs(spacings - lengths) > _SAME_LENGTH * lengths  # False for NaN, which is none
    if differs.any():
        raise VolumeError(
            f"{name}: expected spacings equal to the lengths of the space directions, or none, got "
            f"{spacings[differs][0]:g} mm beside {lengths[differs][0]:g} mm."
        )


def _axis_origin(header: Mapping[str, Any], spatial: list[int]) -> list[float]:
    """Centre of the first voxel by `axis mins`, as ITK computes it; 0 if they do not tell it.

    A cell begins at the minimum, so that its centre is half a step further; a node lies there.
    """
    mins, maxs = header.get("axis mins"), header.get("axis maxs")
    if mins is None or "space directions" in header or ("spacings" not in header and maxs is None):
        return [0.0] * len(spatial)
    centres = header_list(header.get("centerings", ()))
    origin = []
    for axis in spatial:
        step = (
            header["spacings"][axis]
            if "spacings" in header
            else (header["axis maxs"][axis] - mins[axis]) / header["sizes"][axis]
        )
        is_node = axis < len(centres) and centres[axis].lower() == "node"
        origin.append(float(mins[axis] + (0 if is_node else step / 2)))
    return origin


def _frame(header: Mapping[str, Any]) -> str:
    return re.sub(r"[\s-]", "", str(header.get("space", ""))).lower()
