"""PNG files in memory, as the data sets store pictures, masks and label maps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def encode_png(pixels: NDArray[Any]) -> bytes:
    """Encode (h, w) grey or (h, w, 3) colour in OpenCV's channel order (blue, green, red)."""
    _, content = cv2.imencode(".png", np.ascontiguousarray(pixels))
    return bytes(content.tobytes())


def decode_grey(content: bytes) -> NDArray[np.uint8]:
    """Decode a picture as grey (h, w). Raises ValueError if it is not one."""
    return _decode(content, cv2.IMREAD_GRAYSCALE)


def decode_rgb(content: bytes) -> NDArray[np.uint8]:
    """Decode a picture as (h, w, 3) red, green, blue. Raises ValueError if it is not one."""
    return np.ascontiguousarray(_decode(content, cv2.IMREAD_COLOR)[..., ::-1])


def _decode(content: bytes, mode: int) -> NDArray[np.uint8]:
    try:
        # As it is stored, as everywhere: image and mask may be marked differently.
        mode |= cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), mode)
    except cv2.error as error:  # empty content
        raise ValueError("the file is empty") from error
    if pixels is None:
        raise ValueError("the file is not a picture")
    return np.asarray(pixels, dtype=np.uint8)
