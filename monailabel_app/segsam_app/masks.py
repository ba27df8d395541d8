"""A mask in JSON: the bounding box of its voxels, and the bits inside, packed and compressed.

::

    {"shape_ijk": [512, 512, 60],            the whole image, so that the mask can be put back
     "min_ijk": [90, 61, 31], "max_ijk": [150, 119, 31],         inclusive, in voxels of the image
     "encoding": "packbits-zlib",
     "data": "eNpj..."}                       base64 of zlib of the bits, first bit highest, of the
                                              box in C order: k runs fastest, then j, then i

`null` stands for an empty mask. Everything needed to read it is in numpy and the standard library::

    bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(data)), np.uint8))
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segsam.types import LabelArray

Box3: TypeAlias = tuple[slice, slice, slice]
"""Voxels from start to before stop along i, j and k."""

ENCODING = "packbits-zlib"
EVERYWHERE: Box3 = (slice(None), slice(None), slice(None))
_FASTEST = 1


def encode_mask(labels: LabelArray, within: Box3 = EVERYWHERE) -> dict[str, Any] | None:
    """The voxels of `labels` (i, j, k) that are not 0, as above; None when there are none.

    `within` is where they can be, if that is known: the rest of a large image is not looked at.
    """
    box = _bounding(labels, within)
    if box is None:
        return None
    bits = np.packbits(np.ascontiguousarray(labels[box] != 0))
    return {
        "shape_ijk": list(labels.shape),
        "min_ijk": [side.start for side in box],
        "max_ijk": [side.stop - 1 for side in box],
        "encoding": ENCODING,
        "data": base64.b64encode(zlib.compress(bits.tobytes(), _FASTEST)).decode("ascii"),
    }


def decode_mask(
    mask: Mapping[str, Any] | None, shape_ijk: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """The mask as (i, j, k) uint8, 0 and 1, of an image of `shape_ijk`. Raises `ValueError` for
    another encoding.
    """
    labels = np.zeros(shape_ijk, np.uint8)
    if mask is None:
        return labels
    if mask["encoding"] != ENCODING:
        raise ValueError(f"the mask's encoding must be {ENCODING!r}, got {mask['encoding']!r}")
    low, high = mask["min_ijk"], mask["max_ijk"]
    size = [b - a + 1 for a, b in zip(low, high, strict=True)]
    packed = np.frombuffer(zlib.decompress(base64.b64decode(mask["data"])), np.uint8)
    box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    labels[box] = np.unpackbits(packed, count=int(np.prod(size))).reshape(size)
    return labels


def _bounding(labels: LabelArray, within: Box3) -> Box3 | None:
    filled = labels[within] != 0
    sides = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        indices = np.flatnonzero(filled.any(axis=others))
        if not len(indices):
            return None
        start = within[axis].start or 0
        sides.append(slice(start + int(indices[0]), start + int(indices[-1]) + 1))
    return sides[0], sides[1], sides[2]
