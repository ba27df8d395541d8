from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsam.errors import OutputError
from segsam.imaging.volume import Volume
from segsam.prediction.labels import Region
from segsam.prediction.picture import MAX_PANELS, chosen_slices, draw_result
from segsam.prediction.result import Result
from segsam.prompting.prompts import Box, Point, Prompts

YELLOW, GREEN = (255, 213, 74), (55, 214, 122)


def result(shape: tuple[int, ...] = (30, 32, 40), *, filled: bool = True) -> Result:
    labels = np.zeros(shape[:3], np.uint8)
    if filled:
        labels[8:20, 10:22, shape[2] // 4 : max(1, shape[2] * 3 // 4)] = 1
    voxels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    return Result(
        region=Region.of_mask(labels > 0),
        volume=Volume.from_array(voxels, np.diag([-1.0, -1, 2, 1]), name="noise"),
        axes=("k",),
        slices=(),
        notes=(),
        seconds={},
        encoded=0,
    )


def has_colour(path: Path, colour: tuple[int, int, int]) -> bool:
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return bool((np.abs(pixels - colour).max(axis=2) < 30).any())


class TestChosenSlices:
    def test_spread_over_the_object_with_both_ends(self) -> None:
        chosen = chosen_slices(result(), Prompts(boxes=[Box((8, 10, 20), (19, 21, 20))]), 2)
        assert len(chosen) == MAX_PANELS
        assert (chosen[0], chosen[-1]) == (10, 29)
        assert list(chosen) == sorted(set(chosen))

    def test_prompted_slices_when_nothing_was_found(self) -> None:
        prompts = Prompts([Point((3, 4, 5))])
        assert chosen_slices(result(filled=False), prompts, 2) == (5,)

    def test_a_single_slice(self) -> None:
        prompts = Prompts(boxes=[Box((8, 10, 0), (19, 21, 0))])
        assert chosen_slices(result((30, 32, 1)), prompts, 2) == (0,)


class TestDrawing:
    prompts = Prompts([Point((12, 12, 20))], [Box((8, 10, 20), (19, 21, 20))])

    @pytest.mark.parametrize("shape", [(30, 32, 40), (30, 32, 1), (30, 32, 1, 3)])
    def test_object_box_and_point_are_drawn(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        index = 20 if shape[2] > 1 else 0
        prompts = Prompts([Point((12, 12, index))], [Box((8, 10, index), (19, 21, index))])
        one = result(shape)
        one.labels[:, :, :index] = 0
        one.labels[:, :, index + 1 :] = 0
        draw_result(tmp_path / "out.png", one, prompts)
        assert has_colour(tmp_path / "out.png", YELLOW)
        assert has_colour(tmp_path / "out.png", GREEN)

    def test_drawn_where_nothing_was_found(self, tmp_path: Path) -> None:
        draw_result(tmp_path / "out.png", result(filled=False), self.prompts)
        assert (tmp_path / "out.png").stat().st_size > 1000

    def test_only_png(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"ending in \.png, got out\.jpg"):
            draw_result(tmp_path / "out.jpg", result(), self.prompts)
        assert not list(tmp_path.iterdir())
