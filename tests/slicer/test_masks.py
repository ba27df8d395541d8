"""Regions, changes, and the same place in other voxels."""

from __future__ import annotations

import numpy as np
import pytest
from SEGSAMLib.Values.Masks import (
    PackedRegion,
    Region,
    VoxelChange,
    bounding_region,
    part_of,
    resampled,
    unpacked_bits,
    whole_shift,
)


def random_mask(shape: tuple[int, int, int], seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) > 0.6


class TestChange:
    def test_both_ways(self) -> None:
        before, after = random_mask((7, 6, 5)), random_mask((7, 6, 5), 4)
        change = VoxelChange.between((10, 20, 30), before, after)
        assert change is not None
        box = tuple(
            slice(low - first, low - first + side)
            for low, first, side in zip(change.min_ijk, (10, 20, 30), change.size_ijk, strict=True)
        )
        assert np.array_equal(change.redone(before[box]), after[box])
        assert np.array_equal(change.undone(after[box]), before[box])
        assert change.count == int((before != after).sum())

    def test_only_changed_voxels_are_touched_by_undo(self) -> None:
        before = np.zeros((4, 4, 1), dtype=bool)
        after = before.copy()
        after[1, 1, 0] = after[2, 3, 0] = True
        change = VoxelChange.between((0, 0, 0), before, after)
        assert change is not None
        edited = after[1:3, 1:4].copy()
        edited[0, 2] = True  # painted here since
        undone = change.undone(edited)
        assert undone[0, 2]
        assert undone.sum() == 1

    def test_nothing_changed_is_nothing(self) -> None:
        same = random_mask((3, 3, 3))
        assert VoxelChange.between((0, 0, 0), same, same.copy()) is None

    def test_it_is_small(self) -> None:
        before = np.zeros((512, 512, 100), dtype=bool)
        after = before.copy()
        after[100:300, 100:300, 50] = True
        change = VoxelChange.between((0, 0, 0), before, after)
        assert change is not None
        assert change.size_ijk == (200, 200, 1)
        assert change.cost_bytes < 6000


class TestRegion:
    def test_slices_of_one_axis(self) -> None:
        region = Region((2, 3, 4), np.ones((5, 5, 5), dtype=bool))
        part = region.within(2, 6, 40)
        assert part.min_ijk == (2, 3, 6)
        assert part.values.shape == (5, 5, 3)
        assert region.within(0, 50, 60).is_empty

    def test_parts_and_cover(self) -> None:
        one = Region((0, 0, 0), np.ones((2, 2, 2), dtype=bool))
        other = Region((5, 1, 0), np.ones((1, 1, 1), dtype=bool))
        whole = bounding_region([one, other])
        assert whole.min_ijk == (0, 0, 0)
        assert whole.max_ijk == (5, 1, 1)
        assert part_of(one, whole).sum() == 8
        assert part_of(other, one).sum() == 0

    def test_packed_and_back(self) -> None:
        region = Region((4, 5, 6), random_mask((9, 3, 5)))
        again = PackedRegion.pack(region).unpack()
        assert again.min_ijk == region.min_ijk
        assert np.array_equal(again.values, region.values)


class TestOtherVoxels:
    def test_a_shift_is_exact(self) -> None:
        region = Region((1, 2, 3), random_mask((4, 4, 4)))
        matrix = np.eye(4)
        matrix[:3, 3] = (10, -2, 5.001)
        moved = resampled(region, matrix)
        assert moved.min_ijk == (11, 0, 8)
        assert np.array_equal(moved.values, region.values)

    def test_turned_axes_keep_every_voxel(self) -> None:
        region = Region((1, 2, 3), random_mask((4, 3, 5)))
        matrix = np.array([[0, 0, 1, 0], [-1, 0, 0, 20], [0, 1, 0, 0], [0, 0, 0, 1.0]])
        there = resampled(region, matrix)
        back = resampled(there, np.linalg.inv(matrix))
        assert there.values.sum() == region.values.sum()
        assert np.array_equal(part_of(back, region), region.values)

    def test_finer_voxels_hold_the_same_place(self) -> None:
        region = Region((0, 0, 0), np.ones((2, 2, 2), dtype=bool))
        matrix = np.diag([2.0, 2.0, 2.0, 1.0])
        matrix[:3, 3] = 0.5
        finer = resampled(region, matrix)
        assert finer.min_ijk == (0, 0, 0)
        assert finer.values.shape == (4, 4, 4)
        assert finer.values.all()

    def test_what_is_no_whole_shift(self) -> None:
        half = np.eye(4)
        half[0, 3] = 0.5
        assert whole_shift(half) is None
        assert whole_shift(np.diag([1.0, 1.0, 2.0, 1.0])) is None


def test_bits_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected bits for 27 voxels, got 2 bytes"):
        unpacked_bits(b"ab", (3, 3, 3))
