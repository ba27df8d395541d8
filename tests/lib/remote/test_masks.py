"""Masks in JSON: encoded, decoded, empty, of another encoding."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest

from segsam.prediction.labels import Region
from segsam.remote.masks import ENCODING, decode_mask, encode_mask


def test_what_is_packed_comes_back() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (13, 7, 5)).astype(np.uint8)
    mask = json.loads(json.dumps(encode_mask(Region.of_mask(labels > 0))))
    np.testing.assert_array_equal(decode_mask(mask, (13, 7, 5)), labels)


def test_only_the_box_around_the_mask_travels() -> None:
    labels = np.zeros((512, 512, 100), np.uint8)
    labels[100:200, 120:180, 31] = 1
    mask = encode_mask(Region.of_mask(labels > 0))
    assert mask is not None
    assert (mask["min_ijk"], mask["max_ijk"]) == ([100, 120, 31], [199, 179, 31])
    assert mask["shape_ijk"] == [512, 512, 100]
    assert len(mask["data"]) < 1500
    np.testing.assert_array_equal(decode_mask(mask, (512, 512, 100)), labels)


def test_an_empty_mask_is_null() -> None:
    labels = np.zeros((4, 5, 6), np.uint8)
    assert encode_mask(Region.of_mask(labels > 0)) is None
    np.testing.assert_array_equal(decode_mask(None, (4, 5, 6)), labels)


def test_another_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match=r"encoded as 'packbits-zlib', got 'runs'"):
        decode_mask({"encoding": "runs"}, (1, 1, 1))


def test_bits_packed_by_hand_are_decoded() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (2, 3, 5)).astype(bool)
    packed = base64.b64encode(zlib.compress(np.packbits(bits).tobytes())).decode()
    mask = {"min_ijk": [1, 0, 2], "max_ijk": [2, 2, 6], "encoding": ENCODING, "data": packed}
    whole = decode_mask(mask, (4, 4, 8))
    np.testing.assert_array_equal(whole[1:3, 0:3, 2:7], bits)
    assert whole.sum() == bits.sum()
