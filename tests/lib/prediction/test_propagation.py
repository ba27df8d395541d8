from __future__ import annotations

import numpy as np
import pytest
import torch

from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.prediction.decoding import SliceMask
from segsam.prediction.propagation import StopRule, dice, neighbour_box
from segsam.prediction.result import SliceReport
from segsam.prompting.prompts import Box


def disc(
    radius: float,
    *,
    centre: tuple[float, float] = (20, 20),
    iou: float = 0.9,
    agreement: float | None = None,
    bright: float = 100,
) -> SliceMask:
    y, x = np.mgrid[:40, :40]
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    logits = np.where(inside, 4.0, -4.0).astype(np.float32)
    report = SliceReport(index=0, axis=2, predicted_iou=iou, agreement=agreement)
    return SliceMask(logits, torch.zeros(1, 1, 8, 8), report, brightness=bright, spread=10.0)


class TestStopRule:
    seed = disc(10)

    def ends(self, now: SliceMask, previous: SliceMask | None = None) -> bool:
        return StopRule().ends(self.seed, previous or self.seed, now)

    def test_goes_on_while_the_object_changes_slowly(self) -> None:
        assert not self.ends(disc(9))
        assert not self.ends(disc(11, centre=(22, 20)))
        assert not self.ends(disc(6.7))

    @pytest.mark.parametrize(
        ("now", "why"),
        [
            (disc(-1), "empty"),
            (disc(10, iou=0.5), "in doubt"),
            (disc(5), "shrunk at once"),
            (disc(14), "twice the area"),
            (disc(10, centre=(20, 33)), "elsewhere"),
            (disc(10, bright=145), "brighter than the object can be"),
            (disc(10, bright=55), "darker than the object can be"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_ends(self, now: SliceMask, why: str) -> None:
        assert self.ends(now), why

    def test_confidence_is_compared_with_the_seed(self) -> None:
        seed = disc(10, iou=0.6)
        assert not StopRule().ends(seed, seed, disc(10, iou=0.5))
        assert StopRule().ends(seed, seed, disc(10, iou=0.4))

    def test_with_two_decoders_both_estimates_may_fall(self) -> None:
        seed = disc(10, iou=0.8, agreement=0.9)
        assert not StopRule().ends(seed, seed, disc(10, iou=0.7, agreement=0.7))
        assert not StopRule().ends(seed, seed, disc(10, iou=0.5, agreement=0.9))
        assert StopRule().ends(seed, seed, disc(10, iou=0.5, agreement=0.7))

    def test_brightness_is_compared_with_the_seed_not_the_neighbour(self) -> None:
        assert self.ends(disc(10, bright=145), previous=disc(10, bright=125))

    def test_a_heterogeneous_object_may_change_its_brightness_more(self) -> None:
        y_half = disc(10)
        heterogeneous = SliceMask(y_half.logits, y_half.low_res_logits, y_half.report, 100.0, 40.0)
        assert not StopRule().ends(heterogeneous, heterogeneous, disc(10, bright=150))


class TestNeighbourBox:
    def view(self) -> SliceView:
        """40 x 40 voxels as 160 pixels: either margin is one voxel. x runs along -i."""
        volume = Volume.from_array(np.zeros((40, 40, 9), np.uint8), np.diag([1.0, -1, 1, 1]))
        return SliceView.of(volume, 2, 160)

    def test_is_a_little_wider_than_the_mask(self) -> None:
        box = neighbour_box(self.view(), disc(4, centre=(10, 30)), 7)
        # x 26..34 and y 6..14 are shown; i = 39 - x
        assert box == Box((4, 5, 7), (14, 15, 7))

    def test_is_tighter_with_both_decoders(self) -> None:
        volume = Volume.from_array(np.zeros((40, 40, 9), np.uint8), np.diag([1.0, -1, 1, 1]))
        view = SliceView.of(volume, 2, 80)  # two pixels a voxel
        alone = neighbour_box(view, disc(4, centre=(10, 30)), 7)
        both = neighbour_box(view, disc(4, centre=(10, 30), agreement=0.9), 7)
        assert alone == Box((2, 3, 7), (16, 17, 7)), "6 px are three voxels"
        assert both == Box((4, 5, 7), (14, 15, 7)), "3 px, rounded down, are one"

    def test_stays_in_the_slice(self) -> None:
        box = neighbour_box(self.view(), disc(3, centre=(1, 1)), 0)
        assert box == Box((34, 0, 0), (39, 5, 0))

    def test_stays_in_the_limit(self) -> None:
        limit = Box((6, 7, 0), (30, 12, 8))
        box = neighbour_box(self.view(), disc(4, centre=(10, 30)), 7, limit)
        assert box == Box((6, 7, 7), (14, 12, 7))

    def test_outside_the_limit_the_section_of_the_limit_is_used(self) -> None:
        limit = Box((30, 30, 0), (35, 35, 8))
        assert neighbour_box(self.view(), disc(4, centre=(10, 30)), 7, limit) == limit.section(2, 7)

    def test_small_parts_beside_the_object_do_not_enlarge_it(self) -> None:
        mask = disc(4, centre=(10, 30))
        mask.logits[35, 2] = 4.0
        assert neighbour_box(self.view(), mask, 7) == Box((4, 5, 7), (14, 15, 7))


def test_dice() -> None:
    first = np.array([[True, True, False]])
    assert dice(first, np.array([[False, True, True]])) == 0.5
    assert dice(first, ~first) == 0.0
    assert dice(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 1.0
