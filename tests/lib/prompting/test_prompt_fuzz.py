"""Any prompts on volumes of any shape: matrix Z3. A mask in the volume, or a `PromptError`.

The host is the small one, so that two thousand fit into seconds; SEGSAM_TEST_FULL=1 tries fifty
thousand.
"""

from __future__ import annotations

import os

import numpy as np

from segsam.categories import Categories
from segsam.errors import PromptError
from segsam.imaging.volume import Volume
from segsam.model import SegSam
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Box, Point, Prompts

from ..conftest import TinyHost

FULL = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")
VOLUMES, EACH = (2500, 20) if FULL else (100, 20)


def random_prompts(rng: np.random.Generator, shape: tuple[int, int, int]) -> Prompts:
    """Mostly inside the volume; corners in any order, some of them outside. Raises PromptError."""

    def place() -> tuple[int, int, int]:
        reach = 0.0 if rng.random() < 0.8 else 2.0
        i, j, k = (int(rng.integers(-reach, side + reach)) for side in shape)
        return i, j, k

    points = [Point(place(), positive=bool(rng.random() < 0.7)) for _ in range(rng.integers(0, 4))]
    boxes = []
    for _ in range(rng.integers(0, 3)):
        corners = [place(), place()]
        if rng.random() < 0.9:
            corners = [tuple(map(min, *corners)), tuple(map(max, *corners))]
        if rng.random() < 0.6:
            axis = int(rng.integers(0, 3))
            corners[1] = tuple(corners[axis == n][n] for n in range(3))
        boxes.append(Box(corners[0], corners[1]))
    return Prompts(points=points, boxes=boxes)


def test_z3_a_mask_in_the_volume_or_a_sentence(
    tiny_host: TinyHost, five_categories: Categories
) -> None:
    rng = np.random.default_rng(11)
    predictor = Predictor(SegSam(tiny_host, five_categories))
    answered, sentences = 0, set[str]()
    for _ in range(VOLUMES):
        sides = rng.integers(1, 14, 3)
        shape = (int(sides[0]), int(sides[1]), int(sides[2]))
        voxels = rng.integers(-500, 500, shape).astype(np.int16)
        predictor.set_volume(Volume.from_array(voxels, np.diag([*rng.uniform(0.3, 6, 3), 1])))
        for _ in range(EACH):
            try:
                result = predictor.predict(random_prompts(rng, shape), axis=rng.choice(list("ijk")))
            except PromptError as error:
                sentences.add(str(error))
                continue
            answered += 1
            assert result.labels.shape == shape
            assert result.labels.dtype == np.uint8
            assert result.labels.max(initial=0) <= 1
            assert all(0 <= one.index < shape[one.axis] for one in result.slices)
    assert VOLUMES * EACH / 20 < answered < VOLUMES * EACH
    assert all(sentence.endswith(".") for sentence in sentences)
