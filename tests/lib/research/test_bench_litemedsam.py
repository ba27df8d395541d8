"""LiteMedSAM's own code, and SEG-SAM with its weights beside it, on the sample CT."""

from __future__ import annotations

import numpy as np
import pytest

from segsam.datasets.sample import fetch_sample
from segsam.demo.checking import dice, read_labels
from segsam.demo.prompting import organs_in, section_box, widest_slice
from segsam.errors import SampleError
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Prompts
from segsam.research.bench.litemedsam import apply_window, build_litemedsam, decode, encode

AXIAL = 2


def test_the_window_is_40_400() -> None:
    voxels = np.array([[[-1000, -160, 40, 240, 3000]]], np.int16)
    np.testing.assert_array_equal(apply_window(voxels), [[[0, 0, 127, 255, 255]]])


def test_segsam_with_its_weights_is_as_good_on_an_organ() -> None:
    try:
        sample = fetch_sample()
    except SampleError as error:
        pytest.skip(f"no sample here: {error}")
    volume = Volume.load(sample.image)
    (organ,) = organs_in(read_labels(sample.labels), sample.organs, ("gallbladder",))
    index = widest_slice(organ, AXIAL)
    box = section_box(organ, AXIAL, index)
    assert box is not None
    truth = organ.mask[:, :, index]

    network, view = build_litemedsam(), SliceView.of(volume, AXIAL)
    plane = view.cut(apply_window(volume.voxels), index)
    embedding, scale, new_size = encode(network, plane)
    box_px = np.array(view.rectangle(box.min_ijk, box.max_ijk), np.float32) * np.float32(scale)
    theirs = dice(view.place(decode(network, embedding, box_px, new_size, plane.shape)), truth)
    assert theirs > 0.85

    predictor = Predictor.from_pretrained("litemedsam")
    predictor.set_volume(volume)
    labels = predictor.predict(Prompts(boxes=(box,)), axis="k", propagate=False).labels
    assert np.flatnonzero(labels.any(axis=(0, 1))).tolist() == [index]
    assert dice(labels[:, :, index], truth) >= theirs - 0.001
