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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.prediction.labels import Region

ENCODING = "packbits-zlib"
_FASTEST = 1


def encode_mask(region: Region) -> dict[str, Any] | None:
    """The object of a region, as above; None when it is empty. Its size decides the cost, not the
    image's.
    """
    box = region.bounds()
    if box is None:
        return None
    bits = np.packbits(region.within(box))
    return {
        "shape_ijk": list(region.shape_ijk),
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
