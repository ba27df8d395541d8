"""Encoding of a mask in JSON: the bounding box of its voxels, and the bits inside, compressed.

::

    {"shape_ijk": [512, 512, 60],            shape of the whole image, to put the mask back
     "min_ijk": [90, 61, 31], "max_ijk": [150, 119, 31],      inclusive, in voxels of the image
     "encoding": "packbits-zlib",
     "data": "eNpj..."}                       base64 of zlib of the bits, first bit highest, of the
                                              box in C order: k runs fastest, then j, then i

`null` stands for an empty mask. numpy and the standard library are enough to decode it::

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
    """Encode the object of a region in the form above; None if it is empty.

    The cost depends on the size of the object, not on that of the image.
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


def decode_mask(mask: Mapping[str, Any] | None, shape_ijk: tuple[int, ...]) -> NDArray[np.bool_]:
    """Decode a mask of an image of `shape_ijk` to (i, j, k) bool.

    Raises:
        ValueError: the mask has another encoding.
    """
    whole = np.zeros(shape_ijk, dtype=bool)
    if mask is None:
        return whole
    if mask["encoding"] != ENCODING:
        raise ValueError(f"Expected a mask encoded as {ENCODING!r}, got {mask['encoding']!r}.")
    box = tuple(
        slice(low, high + 1) for low, high in zip(mask["min_ijk"], mask["max_ijk"], strict=True)
    )
    packed = np.frombuffer(zlib.decompress(base64.b64decode(mask["data"])), np.uint8)
    bits = np.unpackbits(packed, count=whole[box].size)
    whole[box] = bits.reshape(whole[box].shape)
    return whole
