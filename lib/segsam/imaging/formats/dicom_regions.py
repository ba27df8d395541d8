"""Regions of an ultrasound image (PS3.3, C.8.5.5): sizes of pixels that hold in a part of it.

    +-----------+-----------+
    | 0.2 mm    | 0.5 mm    |     two views beside each other, each with a scale of its own
    +-----------+-----------+

A volume has one spacing. It is that of the largest region, and a note says where another one holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pydicom
from numpy.typing import NDArray

_CENTIMETRES, _TISSUE = 3, 1
_ALIKE = 0.02
"""Part by which sizes of pixels may differ that are taken for the same."""


@dataclass(frozen=True, eq=False)
class ScaledRegion:
    """A two-dimensional region with the size of its pixels."""

    first_px: tuple[int, int]
    """Column and row of its first pixel."""
    last_px: tuple[int, int]
    spacing_mm: NDArray[np.float64]
    """Between rows, and between columns."""

    @property
    def area(self) -> int:
        """Its area in pixels."""
        width, height = np.subtract(self.last_px, self.first_px).tolist()
        return int(width * height)

    def is_inside(self, other: ScaledRegion) -> bool:
        """Return True if it is a part of another one, as a box of coloured flow is."""
        begins = np.greater_equal(self.first_px, other.first_px).all()
        return bool(begins and np.less_equal(self.last_px, other.last_px).all())


def scaled_regions(items: Iterable[pydicom.Dataset]) -> list[ScaledRegion]:
    """Return the regions of a header's items that show tissue with pixels of a known size, the
    largest first.
    """
    found = [_region(one) for one in items if _has_scale(one)]
    return sorted(found, key=lambda one: (one.area, *one.spacing_mm.tolist()), reverse=True)


def about_scales(regions: list[ScaledRegion], spacing_mm: NDArray[np.float64]) -> str:
    """Return the end of a note that begins with the file's name if another size of pixels holds in
    a part of the image; empty if none does.
    """
    alike = [one for one in regions if np.allclose(one.spacing_mm, spacing_mm, rtol=_ALIKE)]
    others = [one for one in regions if not any(one.is_inside(other) for other in alike)]
    if not others:
        return ""
    sizes = ", ".join(dict.fromkeys(_in_words(one.spacing_mm) for one in others))
    return (
        f"shows regions whose pixels differ in size: {_in_words(spacing_mm)} mm was taken for all, "
        f"so sizes are wrong where it is {sizes} mm."
    )


def _in_words(spacing_mm: NDArray[np.float64]) -> str:
    row, column = spacing_mm.tolist()
    return f"{column:.3g}" if np.isclose(row, column) else f"{column:.3g} x {row:.3g}"


def _has_scale(item: pydicom.Dataset) -> bool:
    return bool(
        item.get("PhysicalUnitsXDirection") == _CENTIMETRES
        and item.get("PhysicalUnitsYDirection") == _CENTIMETRES
        and item.get("RegionSpatialFormat", _TISSUE) == _TISSUE
        and item.get("PhysicalDeltaX")
        and item.get("PhysicalDeltaY")
    )


def _region(item: pydicom.Dataset) -> ScaledRegion:
    sides = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    x0, y0, x1, y1 = (int(item.get(f"RegionLocation{side}") or 0) for side in sides)
    deltas_cm = abs(float(item.PhysicalDeltaY)), abs(float(item.PhysicalDeltaX))
    return ScaledRegion((x0, y0), (x1, y1), 10.0 * np.array(deltas_cm))
