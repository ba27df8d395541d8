"""Pictures of data sets, decoded from memory."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from segsam.datasets.png import decode_grey, decode_rgb


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_picture_marked_as_rotated_is_decoded_as_it_is_stored(form: str) -> None:
    plane = np.zeros((16, 24), np.uint8)
    plane[:8, :8] = 200
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    Image.fromarray(plane).save(stream, form, exif=exif)
    for decoded in (decode_grey(stream.getvalue()), decode_rgb(stream.getvalue())[..., 0]):
        assert decoded.shape == plane.shape
        assert np.abs(decoded.astype(int) - plane).max() < 20
