"""Checks of voxel arrays: real numbers, three dimensions, native types, finite, not too many.

The size limit is checked on the header's declaration, before anything is read or allocated. Arrays
of the size of an image come from `zeros`.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segsam.errors import VolumeError, VolumeTooLargeError
from segsam.types import Voxels

MAX_VOXELS = 2**31
"""Default limit of voxels; the environment variable SEGSAM_MAX_VOXELS overrides it."""

_CHUNK = 2**22
_OWN_PAGES_BYTES = 2**22
"""Size from which an array has pages of its own."""


def shape_text(shape: Sequence[int]) -> str:
    """Return the sides of a shape as text, e.g. 512x512x20."""
    return "x".join(map(str, shape))


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros. A large one takes memory only where it is written, and gives it
    back at once when it is dropped.

    That holds also where the C library keeps what was freed (`system.process.tune_allocator`): it
    would fill kept memory with zeros, and keep it again. Raises MemoryError.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * kind.itemsize
    if size < _OWN_PAGES_BYTES or not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.zeros(shape, kind)
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no room for {size} bytes") from error
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # of a huge page, one written byte would take 2 MB
        with suppress(OSError):
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, kind).reshape(shape)


def planes_in_order(voxels: NDArray[np.generic]) -> Iterator[bytes]:
    """Yield the bytes of voxels (..., k) in the order of a file, i the fastest: one plane of k at a
    time, because a copy of a whole volume is large.
    """
    for index in range(voxels.shape[-1]):
        yield voxels[..., index].tobytes(order="F")


def check_declared_shape(shape: Sequence[int], name: str) -> None:
    """Refuse a declared shape (i, j, k, ...) with a side below 1 or too many voxels.

    Raises VolumeError, or VolumeTooLargeError with both numbers.
    """
    sides = [int(side) for side in shape]
    listed = shape_text(sides) or "no sides at all"
    if not sides or min(sides) < 1:
        raise VolumeError(f"{name}: every side must be at least 1 voxel; the image is {listed}.")
    limit = voxel_limit()
    if math.prod(sides) > limit:
        raise VolumeTooLargeError(
            f"{name}: the image has {listed} = {math.prod(sides)} voxels; "
            f"at most {limit} are accepted (SEGSAM_MAX_VOXELS)."
        )


def voxel_limit() -> int:
    """Return `MAX_VOXELS`, or SEGSAM_MAX_VOXELS if it is set.

    Raises VolumeError if the variable is not a positive whole number.
    """
    text = os.environ.get("SEGSAM_MAX_VOXELS", "").strip()
    if not text:
        return MAX_VOXELS
    if not text.isdecimal() or int(text) < 1:
        raise VolumeError(f"SEGSAM_MAX_VOXELS must be a positive whole number; it is {text!r}.")
    return int(text)


def squeeze_shape(shape: Sequence[int], name: str) -> tuple[int, int, int]:
    """Return (i, j, k) of a shape of 1 to n dimensions; dimensions beyond 3 must have length 1.

    Raises VolumeError that names the first longer dimension.
    """
    sides = [int(side) for side in shape]
    for number, side in enumerate(sides[3:], start=4):
        if side != 1:
            label = "t" if number == 4 else f"dimension {number}"
            raise VolumeError(
                f"{name}: the image is {len(sides)}D ({shape_text(sides)}) with "
                f"{label} = {side}; expected one 3D volume ({label} = 1). Extract one first."
            )
    i, j, k = (*sides[:3], 1, 1)[:3]
    return i, j, k


def to_volume_voxels(array: NDArray[np.generic], name: str) -> Voxels:
    """Return a read-only (i, j, k) or (i, j, k, 3) uint8 view, in a type torch and OpenCV accept.

    bool becomes uint8, half becomes single precision, extended becomes double, and other byte
    orders are swapped. Colour with equal channels becomes grey. Raises VolumeError.
    """
    check_declared_shape(array.shape, name)
    native = _to_native_type(array, name)
    if native.ndim == 4 and native.shape[3] == 3 and native.dtype == np.uint8:
        voxels = _grey_if_channels_equal(native)
    else:
        voxels = native.reshape(squeeze_shape(native.shape, name))
    view = voxels.view()
    view.flags.writeable = False
    return view


def _to_native_type(array: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "c":
        raise VolumeError(f"{name}: voxels must be real numbers; these are {array.dtype}.")
    if kind == "b":
        return array.astype(np.uint8)
    if kind not in "iuf":
        raise VolumeError(f"{name}: voxels must be numbers; these are {array.dtype}.")
    if kind == "f" and size not in (4, 8):
        return array.astype(np.float32 if size < 4 else np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _grey_if_channels_equal(colour: NDArray[np.generic]) -> NDArray[np.generic]:
    red, green, blue = (colour[..., channel] for channel in range(3))
    is_grey = np.array_equal(red, green) and np.array_equal(red, blue)
    return np.ascontiguousarray(red) if is_grey else colour


def count_values(labels: NDArray[np.unsignedinteger[Any]], largest: int) -> list[int]:
    """Return how many voxels have each value from 0 to `largest`, the largest value that occurs.

    The count runs in chunks of a few million voxels: `np.bincount` takes 8 bytes for each voxel.
    """
    counts = np.zeros(largest + 1, np.int64)
    for chunk in _chunks(labels):
        counts += np.bincount(chunk, minlength=largest + 1)
    return [int(count) for count in counts]


def _chunks(voxels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the voxels in chunks, in the order of memory if they fill it."""
    dense = voxels.flags.c_contiguous or voxels.flags.f_contiguous
    flat = voxels.ravel(order="K") if dense else voxels.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        yield flat[start : start + _CHUNK]


def check_finite(voxels: Voxels, name: str) -> None:
    """Refuse NaN and infinity. Raises VolumeError with their number and the first voxel.

    The check runs in chunks of a few million voxels, so that it needs little extra memory.
    """
    if voxels.dtype.kind != "f":
        return
    bad = sum(int(np.count_nonzero(~np.isfinite(chunk))) for chunk in _chunks(voxels))
    if bad:
        first = tuple(int(index) for index in np.argwhere(~np.isfinite(voxels))[0])
        kind = "NaN" if np.isnan(voxels[first]) else "infinite"
        raise VolumeError(
            f"{name}: {bad} of {voxels.size} voxels are NaN or infinite; every voxel must be a "
            f"number. The first is voxel {first}, which is {kind}."
        )
