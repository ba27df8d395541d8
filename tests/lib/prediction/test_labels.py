"""Labels: slices to regions to volumes, conflicts, wide values, empty results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.errors import OutputError
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.prediction.labels import (
    FLOOR_LOGIT,
    LabelBuilder,
    Region,
    fuse_axes,
    merge_objects,
    probabilities_of,
)

SHAPE = (7, 9, 11)


def view_of(volume: Volume, axis: int) -> SliceView:
    return SliceView.of(volume, axis)


def region(mask: NDArray[Any], probability: float) -> Region:
    found = Region.of_mask(mask)
    return Region((found.values * probability).astype(np.float32), found.start_ijk, mask.shape)


def cube(*spans: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


class TestBuilding:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_every_slice_lands_on_its_voxels(self, storage_order: Any, axis: int) -> None:
        logits = np.random.default_rng(0).normal(-2, 3, SHAPE).astype(np.float32)
        volume = storage_order.stored(Volume.from_array(logits))
        view = view_of(volume, axis)
        builder = LabelBuilder(view)
        for index in range(view.depth):
            builder.add(index, view.cut(volume.voxels, index))
        assert np.array_equal(builder.region().mask(), volume.voxels > 0)

    def test_memory_is_that_of_the_object(self) -> None:
        volume = Volume.from_array(np.zeros((200, 200, 200), np.uint8))
        builder = LabelBuilder(view_of(volume, 2))
        logits = np.full((200, 200), -20.0)
        logits[50:60, 70:75] = 4
        for index in (100, 101, 103):
            builder.add(index, logits)
        found = builder.region()
        assert found.values.shape == (5, 10, 4)
        assert found.mask().sum() == 3 * 50
        assert not found.mask()[:, :, 102].any()

    def test_a_slice_that_is_added_again_replaces_the_first(self) -> None:
        volume = Volume.from_array(np.zeros(SHAPE, np.uint8))
        builder = LabelBuilder(view_of(volume, 2))
        builder.add(3, np.full((9, 7), 5.0))
        builder.add(3, np.full((9, 7), -5.0))
        assert builder.region().is_empty

    def test_nothing_found(self) -> None:
        volume = Volume.from_array(np.zeros(SHAPE, np.uint8))
        builder = LabelBuilder(view_of(volume, 0))
        assert builder.region().is_empty
        builder.add(1, np.full((11, 9), -30.0))
        assert builder.region().is_empty
        assert builder.region().mask().shape == SHAPE

    def test_single_voxel_volumes(self) -> None:
        volume = Volume.from_array(np.zeros((1, 1, 1), np.uint8))
        builder = LabelBuilder(view_of(volume, 1))
        builder.add(0, [[0.5]])
        assert builder.region().mask().all()


class TestProbabilities:
    def test_half_is_crossed_exactly_where_the_logit_is_above_zero(self) -> None:
        tiny = np.float32(1e-12)
        values = probabilities_of(np.array([-tiny, 0, tiny, 1e30, -1e30], np.float32))
        assert (values > 0.5).tolist() == [False, False, True, True, False]

    def test_logits_below_the_floor_have_probability_zero(self) -> None:
        values = probabilities_of(np.array([FLOOR_LOGIT, FLOOR_LOGIT + 0.01], np.float32))
        assert values[0] == 0
        assert 0 < values[1] < 0.001


class TestFusing:
    def test_is_the_mean_of_three(self) -> None:
        fields = np.random.default_rng(0).uniform(0, 1, (3, *SHAPE)).astype(np.float32)
        regions = [Region(field, (0, 0, 0), SHAPE) for field in fields]
        np.testing.assert_allclose(fuse_axes(regions).values, fields.mean(axis=0), atol=1e-6)

    def test_regions_of_different_places(self) -> None:
        left = region(cube((0, 4), (0, 9), (0, 11)), 0.9)
        right = region(cube((2, 7), (3, 5), (1, 4)), 0.9)
        fused = fuse_axes([left, right, Region.empty(SHAPE)])
        assert np.array_equal(fused.mask(), cube((2, 4), (3, 5), (1, 4)))

    def test_all_empty(self) -> None:
        assert fuse_axes([Region.empty(SHAPE)] * 3).is_empty


class TestMerging:
    def test_touching_objects_keep_their_own_voxels(self) -> None:
        one, two = cube((0, 3), (0, 9), (0, 11)), cube((3, 7), (0, 9), (0, 11))
        labels = merge_objects([(one, 1), (two, 2)])
        assert np.array_equal(labels == 1, one)
        assert np.array_equal(labels == 2, two)
        assert labels.dtype == np.uint8

    def test_the_higher_probability_wins_in_either_order(self) -> None:
        likely, unlikely = (
            region(cube((0, 4), (0, 9), (0, 11)), 0.9),
            region(cube((2, 7), (0, 9), (0, 11)), 0.6),
        )
        for objects in ([(likely, 1), (unlikely, 2)], [(unlikely, 2), (likely, 1)]):
            labels = merge_objects(objects)
            assert np.array_equal(labels == 1, likely.mask())
            assert np.array_equal(labels == 2, unlikely.mask() & ~likely.mask())

    def test_the_later_wins_a_tie(self) -> None:
        one, two = cube((0, 4), (0, 9), (0, 11)), cube((2, 7), (0, 9), (0, 11))
        labels = merge_objects([(one, 1), (two, 2)])
        assert np.array_equal(labels == 2, two)

    def test_three_objects_at_one_voxel(self) -> None:
        mask = cube((1, 2), (1, 2), (1, 2))
        regions = [(region(mask, p), value) for p, value in ((0.7, 1), (0.9, 2), (0.8, 3))]
        assert merge_objects(regions)[1, 1, 1] == 2

    def test_packed_regions_merge_as_the_highest_probability_of_each_voxel(self) -> None:
        random = np.random.default_rng(5)
        fields = [(random.integers(0, 9, SHAPE) / 8).astype(np.float32) for _ in range(4)]
        values, best, wanted = (3, 1, 3, 2), np.zeros(SHAPE, np.float32), np.zeros(SHAPE, int)
        for field, value in zip(fields, values, strict=True):
            field[random.integers(1, 6) :] = 0
            wins = (field > 0.5) & (field >= best)
            wanted[wins], best[wins] = value, field[wins]
        regions = [Region(field, (0, 0, 0), SHAPE) for field in fields]
        for merged in (regions, [one.packed() for one in regions]):
            assert np.array_equal(merge_objects(zip(merged, values, strict=True)), wanted)

    def test_unlikely_voxels_are_background(self) -> None:
        assert not merge_objects([(region(cube((0, 4), (0, 9), (0, 11)), 0.5), 1)]).any()

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65_535, np.uint16)],
    )
    def test_the_type_is_wide_enough(self, value: int, dtype: type) -> None:
        labels = merge_objects([(cube((0, 1), (0, 1), (0, 1)), value)])
        assert labels.dtype == dtype
        assert labels.max() == value

    @pytest.mark.parametrize("value", [0, -1, 65_536])
    def test_other_values_are_refused(self, value: int) -> None:
        with pytest.raises(OutputError, match=f"Expected a label value of 1 to 65535, got {value}"):
            merge_objects([(cube((0, 1), (0, 1), (0, 1)), value)])

    def test_objects_of_different_volumes_are_refused(self) -> None:
        with pytest.raises(OutputError, match="Expected objects of one volume"):
            merge_objects([(np.ones((2, 2, 2), bool), 1), (np.ones((2, 2, 3), bool), 2)])

    def test_empty_objects_and_no_objects(self) -> None:
        empty = merge_objects([(np.zeros(SHAPE, bool), 3)])
        assert empty.shape == SHAPE
        assert not empty.any()
        assert merge_objects([], shape_ijk=SHAPE).shape == SHAPE
        with pytest.raises(OutputError, match="one volume"):
            merge_objects([])


class TestRegions:
    def test_a_mask_comes_back(self) -> None:
        mask = np.random.default_rng(3).uniform(size=SHAPE) > 0.97
        assert np.array_equal(Region.of_mask(mask).mask(), mask)

    def test_a_packed_region_is_the_same_object(self) -> None:
        region = Region(np.full((4, 5, 6), 0.5, np.float32), (1, 2, 3), SHAPE)
        region.values[1:3, 2:4, 3] = (0.6, 0.9)
        packed = region.packed()
        assert np.array_equal(packed.mask(), region.mask())
        assert packed.voxels == region.voxels == 4
        assert packed.box == packed.bounds() == region.bounds()
        assert np.array_equal(packed.values, region.values[1:3, 2:4, 3:4])

    def test_nothing(self) -> None:
        assert Region.empty(SHAPE).is_empty
        assert Region.empty(SHAPE).packed().bounding_box is None
        assert not Region.empty(SHAPE).mask().any()
        assert Region.of_mask(np.zeros(SHAPE, bool)).values.size == 0


class TestRegionBounds:
    def region(self) -> Region:
        values = np.zeros((4, 5, 6), np.float32)
        values[1:3, 2:5, 3] = 0.9
        values[0, 0, 0] = 0.4
        return Region(values, (10, 20, 30), (50, 60, 70))

    def test_counts_bounds_and_cuts_the_object_only(self) -> None:
        region = self.region()
        box = (slice(11, 13), slice(22, 25), slice(33, 34))
        assert region.voxels == 6
        assert region.bounds() == box
        assert region.within(box).shape == (2, 3, 1)
        assert region.within(box).all()
        assert np.array_equal(region.mask()[box], region.within(box))

    def test_an_empty_region_has_no_bounds(self) -> None:
        assert Region.empty((4, 4, 4)).bounds() is None
        assert Region.empty((4, 4, 4)).voxels == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_on_one_slice_lies_together_in_memory(axis: int) -> None:
    """So a reply for a large image takes the memory of its slice."""
    side = [20, 30, 40]
    side[axis] = 1
    start = [0, 0, 0]
    start[axis] = 7
    mask = Region(np.ones(side, np.float32), tuple(start), (20, 30, 40)).mask()
    expected = np.zeros((20, 30, 40), bool)
    expected[tuple(slice(a, a + s) for a, s in zip(start, side, strict=True))] = True
    assert np.array_equal(mask, expected)
    assert mask.strides[axis] == max(mask.strides)
