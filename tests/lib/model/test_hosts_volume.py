"""Every host in its place: a volume, prompts and a predictor around a small build of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from segsam.categories import Categories
from segsam.imaging.volume import Volume
from segsam.model import Host, SegSam
from segsam.model.hosts import MedSa, MedSam, Sam, Sam2, SamMed2d, SamUnet, VitSizes
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Box, Point, Prompts

from .sam2_package import SMALL as SMALL_SAM2

SMALL = VitSizes(
    input_size=64, dim=32, depth=4, heads=2, window=3, global_blocks=(0, 1, 2, 3), embed_dim=32
)
HOSTS: dict[str, Callable[[], Host]] = {
    "sam": lambda: Sam(SMALL),
    "medsam": lambda: MedSam(SMALL),
    "sam_med2d": lambda: SamMed2d(SMALL),
    "med_sa": lambda: MedSa(SMALL, position_grid=8),
    "sam_unet": lambda: SamUnet(SMALL, residual_blocks=(1, 1, 1, 1)),
    "sam2": lambda: Sam2(SMALL_SAM2),
}


@pytest.fixture(params=HOSTS)
def predictor(request: pytest.FixtureRequest, five_categories: Categories) -> Predictor:
    torch.manual_seed(0)
    return Predictor(SegSam(HOSTS[request.param](), five_categories).eval())


def test_a_box_and_a_point_give_labels_in_the_shape_of_the_volume(predictor: Predictor) -> None:
    voxels = np.random.default_rng(0).integers(0, 900, (20, 28, 5)).astype(np.int16)
    predictor.set_volume(Volume.from_array(voxels))
    box = Prompts(boxes=(Box((3, 4, 2), (12, 18, 2)),))
    result = predictor.predict(box, propagate=True)
    assert result.labels.shape == (20, 28, 5)
    point = Prompts(points=(Point((8, 9, 2)), Point((1, 1, 2), positive=False)))
    assert predictor.predict(point).labels.shape == (20, 28, 5)
    assert result.predicted_iou is not None
    assert np.isfinite(result.predicted_iou)


def test_the_same_click_twice_is_the_same_and_encodes_once(predictor: Predictor) -> None:
    voxels = np.random.default_rng(1).integers(0, 900, (20, 28, 3)).astype(np.int16)
    predictor.set_volume(Volume.from_array(voxels))
    prompts = Prompts(boxes=(Box((3, 4, 1), (12, 18, 1)),))
    first, second = predictor.predict(prompts), predictor.predict(prompts)
    assert (first.encoded, second.encoded) == (1, 0)
    np.testing.assert_array_equal(first.labels, second.labels)
