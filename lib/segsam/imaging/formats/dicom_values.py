"""Values of DICOM pixels: modality LUT or rescale of each slice, and a type that holds them all.

    value = stored value * RescaleSlope + RescaleIntercept      (PS3.3, C.11.1), in float64

Every slice and every frame has its own transform. MONOCHROME1 is no part of it: it describes how
values are shown, and Hounsfield units, SUV or counts stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.voxels import zeros

_INTEGERS: tuple[type[np.generic], ...] = (np.uint8, np.int16, np.uint16, np.int32, np.uint32)


@dataclass(frozen=True, eq=False)
class ModalityLut:
    """Table of values: stored value `first` becomes `table[0]`; beyond its ends the last ones."""

    first: int
    table: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class ModalityTransform:
    """Transform from stored values to values of one slice, and the range of its stored values."""

    slope: float
    intercept: float
    lut: ModalityLut | None
    stored_range: tuple[float, float]
    is_float: bool
    """True for pixels that are stored as floating-point numbers."""

    @property
    def is_whole(self) -> bool:
        """True if all values are whole numbers."""
        if self.lut is not None:
            return True
        return not self.is_float and self.slope.is_integer() and self.intercept.is_integer()

    @property
    def value_range(self) -> tuple[float, float]:
        """Lowest and highest value that the header allows."""
        if self.lut is not None:
            return float(self.lut.table.min()), float(self.lut.table.max())
        ends = [end * self.slope + self.intercept for end in self.stored_range]
        return min(ends), max(ends)

    def apply(self, stored: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the values, in float64 unless they are the stored ones or the table's."""
        if self.lut is not None:
            indices = stored.astype(np.int64) - self.lut.first
            return self.lut.table[np.clip(indices, 0, len(self.lut.table) - 1)]
        if self.slope == 1 and self.intercept == 0:
            return stored
        return np.asarray(stored.astype(np.float64) * self.slope + self.intercept)


COLOUR = ModalityTransform(1.0, 0.0, None, (0.0, 255.0), False)
"""Transform of 8-bit colours: none."""


def modality_transform(
    header: pydicom.Dataset, macro: pydicom.Dataset, label: str
) -> ModalityTransform:
    """Return the transform of a slice. `macro` holds rescale slope and intercept, or neither.

    Raises VolumeError for a slope of 0, for numbers that are not finite, and for a broken table.
    """
    sequence = macro.get("ModalityLUTSequence")
    # An RT dose calls its slope otherwise; no other object has this attribute.
    slope = macro.get("RescaleSlope", header.get("DoseGridScaling"))
    numbers = (
        1.0 if slope in (None, "") else float(slope),
        float(macro.get("RescaleIntercept") or 0),
    )
    if not all(map(math.isfinite, numbers)) or numbers[0] == 0:
        raise VolumeError(
            f"{label}: expected a finite rescale slope other than 0 and a finite intercept, got "
            f"{numbers[0]:g} and {numbers[1]:g}."
        )
    lut = _modality_lut(sequence[0], header.is_little_endian, label) if sequence else None
    return ModalityTransform(*numbers, lut, *_stored_range(header))


def _modality_lut(item: pydicom.Dataset, is_little_endian: bool, label: str) -> ModalityLut:
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or len(descriptor) != 3 or data is None:
        raise VolumeError(f"{label}: expected a modality LUT with descriptor and data, got less.")
    count, first = int(descriptor[0]) or 2**16, int(descriptor[1])
    if isinstance(data, bytes):
        table = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if is_little_endian else ">u2")
    else:
        table = np.atleast_1d(np.asarray(data)).astype(np.uint16)
    if len(table) < count:
        raise VolumeError(
            f"{label}: expected {count} values in its modality LUT, got {len(table)}."
        )
    return ModalityLut(first, table[:count].astype(np.uint16))


def _stored_range(header: pydicom.Dataset) -> tuple[tuple[float, float], bool]:
    """Return the lowest and highest stored value, and whether floating-point numbers are stored."""
    allocated = int(header.get("BitsAllocated") or 8)
    if allocated >= 32 and "BitsStored" not in header and "PixelRepresentation" not in header:
        return (0.0, 0.0) if allocated == 32 else (-math.inf, math.inf), True
    bits = int(header.get("BitsStored") or allocated)
    if header.get("PixelRepresentation") == 1:
        return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1), False
    return (0.0, 2.0**bits - 1), False


def smallest_type(ranges: Iterable[tuple[float, float]], *, is_whole: bool) -> np.dtype[np.generic]:
    """Return the smallest type for whole numbers in these ranges; float32 for fractions.

    float64 if no other type holds the numbers.
    """
    lows, highs = zip(*ranges, strict=True)
    low, high = min(lows), max(highs)
    kinds = _INTEGERS if is_whole else (np.float32,)
    fitting = (np.dtype(kind) for kind in kinds if _holds(np.dtype(kind), low, high))
    return next(fitting, np.dtype(np.float64))


def _holds(kind: np.dtype[np.generic], low: float, high: float) -> bool:
    name: Any = kind
    limits: Any = np.finfo(name) if kind.kind == "f" else np.iinfo(name)
    return not (low < float(limits.min) or high > float(limits.max))


class ValueStack:
    """Planes of values in the smallest type for all of them; it is widened if a plane needs it.

    A header may declare fewer bits than its pixels use; no value is wrapped or cut off for that.
    """

    def __init__(self, transforms: Iterable[ModalityTransform], shape: tuple[int, ...]) -> None:
        listed = list(transforms)
        self._is_whole = all(transform.is_whole for transform in listed)
        self._ranges = [transform.value_range for transform in listed]
        self.planes: NDArray[np.generic] = zeros((len(listed), *shape), self._type())
        """Planes (k, rows, columns)."""

    def put(self, index: int, plane: NDArray[np.generic], stored: np.dtype[np.generic]) -> None:
        """Write the plane (rows, columns) at `index`, whose pixels are stored in this type.

        The stored type decides whether numbers are floating-point: headers of such pixels may
        declare bits as those of whole numbers do.
        """
        self._ranges[index] = (float(plane.min()), float(plane.max()))
        is_float = stored.kind == "f"
        if is_float:
            self._is_whole = False
            if stored.itemsize > 4:
                self._ranges[index] = (-math.inf, math.inf)
        is_cut_off = is_float and self.planes.dtype.kind != "f"
        if is_cut_off or not _holds(self.planes.dtype, *self._ranges[index]):
            self.planes = self.planes.astype(self._type())
        self.planes[index] = plane

    def _type(self) -> np.dtype[np.generic]:
        return smallest_type(self._ranges, is_whole=self._is_whole)
