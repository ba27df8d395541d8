"""Damaged files: read, or refused with a VolumeError in our words; no other exception."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from segsam.errors import VolumeError
from segsam.imaging.volume import Volume

LIBRARY_WORDS = (
    "attribute", "Exception", "Error", "nibabel", "Pillow", "PIL", "ITK", "pynrrd", "pydicom",
    "invalid literal", "NoneType", "cannot identify", "truncated", "not recognized", "buffer",
    "decompress", "Errno", "could not convert", "out of bounds", "object", "codec", "unpack req",
)  # fmt: skip
"""Parts of sentences of the libraries, which tell a user nothing."""
HEADER = {".nii": 352, ".nrrd": 420, ".mha": 420, ".png": 120, ".tif": 200, ".bmp": 54}


def good(ending: str) -> bytes:
    """A small valid file of this format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{ending}"
        if ending in (".png", ".tif", ".bmp"):
            pixels = np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)
            Image.fromarray(pixels).save(path)
        else:
            values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
            Volume.from_array(values, np.diag([-1.0, 2, 3, 1])).save(path)
        return path.read_bytes()


GOOD = {ending: good(ending) for ending in HEADER}
places = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
)


def read(ending: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{ending}"
        path.write_bytes(data)
        message = ""
        try:
            volume = Volume.load(path)
        except VolumeError as error:
            message = str(error)
        else:
            assert volume.voxels.ndim in (3, 4)
            assert np.isfinite(volume.affine_ras).all()
        assert not message or path.name in message
        assert not [word for word in LIBRARY_WORDS if word in message], message
        assert folder not in message


@pytest.mark.parametrize("ending", HEADER)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=places)
def test_changed_bytes_in_the_header(ending: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(GOOD[ending])
    for place, value in changes:
        data[int(place * min(HEADER[ending], len(data)))] = value
    read(ending, bytes(data))


@pytest.mark.parametrize("ending", HEADER)
@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1), tail=st.binary(max_size=40))
def test_truncated_with_another_end(ending: str, cut: float, tail: bytes) -> None:
    data = GOOD[ending]
    read(ending, data[: int(cut * len(data))] + tail)


@pytest.mark.parametrize("ending", [*HEADER, ".nii.gz", ".dcm", ".jpg"])
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes(ending: str, data: Any) -> None:
    read(ending, data)
