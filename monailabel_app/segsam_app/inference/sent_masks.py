"""Masks that a client sends, in the form in which replies hold them (`segsam.remote.masks`).

They come from anywhere, so sizes are compared with those of the image before anything is unpacked,
and no more is unpacked than the mask's own box has bits.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from segsam.imaging.voxels import shape_text, zeros
from segsam.types import VoxelIndex
from segsam_app.errors import RequestError
from segsam_app.records import RequestRecord

Three = Annotated[list[int], Field(min_length=3, max_length=3)]


class SentMask(RequestRecord):
    """Mask of part of an image; `where` in the methods' sentences names what it is the mask of."""

    model_config = ConfigDict(strict=True)
    prefix = "mask."

    shape_ijk: Three
    """Shape of the whole image."""
    min_ijk: Three
    """First voxel of the box."""
    max_ijk: Three
    """Last voxel of the box, inclusive."""
    encoding: Literal["packbits-zlib"]
    """How `data` is made."""
    data: str
    """base64 of zlib of the bits of the box, first bit highest, in C order."""

    @property
    def size_ijk(self) -> VoxelIndex:
        """Size of the box."""
        i, j, k = (last - first + 1 for first, last in zip(self.min_ijk, self.max_ijk, strict=True))
        return i, j, k

    def check_box(self, shape_ijk: VoxelIndex, where: str) -> None:
        """Raise `RequestError` for a mask of an image of another shape, or a box outside of it."""
        if tuple(self.shape_ijk) != shape_ijk:
            raise RequestError(
                f"Expected {where} on the image's {shape_text(shape_ijk)} voxels, got one on "
                f"{shape_text(self.shape_ijk)}."
            )
        ends = zip(self.min_ijk, self.max_ijk, shape_ijk, strict=True)
        if not all(0 <= first <= last < side for first, last, side in ends):
            raise RequestError(
                f"Expected the box of {where} inside the image's {shape_text(shape_ijk)} voxels, "
                f"got {self.min_ijk} to {self.max_ijk}."
            )

    def bits(self, where: str) -> NDArray[np.bool_]:
        """Return the voxels of the box (di, dj, dk), which was checked. Raises `RequestError` for
        data that are no bits of it.
        """
        size = self.size_ijk
        count = size[0] * size[1] * size[2]
        wanted = (count + 7) // 8
        unpacker = zlib.decompressobj()
        try:
            packed = base64.b64decode(self.data, validate=True)
            found = unpacker.decompress(packed, wanted + 1)
        except (binascii.Error, zlib.error, ValueError) as error:
            raise RequestError(
                f"Expected the data of {where} as base64 of zlib, got something else."
            ) from error
        if len(found) != wanted or not unpacker.eof:
            got = f"{len(found)} bytes" if len(found) < wanted else "more bytes"
            raise RequestError(
                f"Expected {wanted} bytes of bits for the box of {where}, {shape_text(size)} "
                f"voxels, got {got}."
            )
        bits = np.unpackbits(np.frombuffer(found, np.uint8), count=count)
        return bits.reshape(size).view(np.bool_)

    def whole(self, shape_ijk: VoxelIndex, where: str) -> NDArray[np.bool_]:
        """Return the mask of the whole image (i, j, k). Raises `RequestError`."""
        self.check_box(shape_ijk, where)
        found: NDArray[Any] = zeros(shape_ijk, np.bool_)
        found[_place(self.min_ijk, self.max_ijk)] = self.bits(where)
        return found

    def plane(self, shape_ijk: VoxelIndex, axis: int, where: str) -> NDArray[np.bool_]:
        """Return the mask of the one slice across `axis` on which the checked box lies."""
        others = [number for number in range(3) if number != axis]
        found: NDArray[Any] = np.zeros([shape_ijk[number] for number in others], np.bool_)
        low, high = ([end[number] for number in others] for end in (self.min_ijk, self.max_ijk))
        found[_place(low, high)] = self.bits(where).take(0, axis)
        return found


def _place(first: Sequence[int], last: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))
