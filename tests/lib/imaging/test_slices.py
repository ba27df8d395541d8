"""SliceView: one picture for all 48 storage orders, and the way back to the voxels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate, pad

from segsam.errors import PromptError
from segsam.imaging.geometry import nearest_axes
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView, choose_axis, largest_spacing_axis
from segsam.imaging.volume import Volume

PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Plane -> the world axis (R, A, S) it is cut across."""


def axis_across(volume: Volume, plane: str) -> int:
    return nearest_axes(volume.affine_ras)[0][PLANES[plane]]


@pytest.fixture(params=PLANES)
def plane(request: pytest.FixtureRequest) -> str:
    return request.param


class TestAll48Orders:
    def test_the_picture_is_the_same_bit_for_bit(
        self, anatomy: Volume, storage_order: Any, plane: str
    ) -> None:
        stored = storage_order.stored(anatomy)
        view = SliceView.of(anatomy, axis_across(anatomy, plane), 64)
        same = SliceView.of(stored, axis_across(stored, plane), 64)
        assert same.size_px == view.size_px
        intensity = Intensity.for_volume(anatomy)
        for index in range(view.depth):
            point = np.zeros((1, 3), int)
            point[0, view.axis] = index
            there = storage_order.indices(point, anatomy.shape_ijk)[0, same.axis]
            assert np.array_equal(
                same.image(stored, Intensity.for_volume(stored), int(there)),
                view.image(anatomy, intensity, index),
            )

    def test_points_and_boxes_are_the_same(
        self, anatomy: Volume, storage_order: Any, plane: str
    ) -> None:
        stored = storage_order.stored(anatomy)
        view = SliceView.of(anatomy, axis_across(anatomy, plane), 64)
        same = SliceView.of(stored, axis_across(stored, plane), 64)
        points = np.array([[0, 0, 0], [8, 11, 6], [2, 7, 3], [5, 1, 6]])
        moved = storage_order.indices(points, anatomy.shape_ijk)
        assert np.array_equal(same.points_px(moved), view.points_px(points))
        ends = storage_order.indices([[1, 2, 1], [6, 9, 5]], anatomy.shape_ijk)
        assert np.array_equal(
            same.box_px(ends.min(axis=0), ends.max(axis=0)), view.box_px([1, 2, 1], [6, 9, 5])
        )

    def test_place_undoes_cut(self, anatomy: Volume, storage_order: Any, plane: str) -> None:
        stored = storage_order.stored(anatomy)
        view = SliceView.of(stored, axis_across(stored, plane))
        for index in range(view.depth):
            cut = view.cut(stored.voxels, index)
            assert cut.shape == (view.height, view.width)
            assert np.shares_memory(cut, stored.voxels)
            assert np.array_equal(view.place(cut), stored.voxels.take(index, axis=view.axis))

    def test_a_mask_on_the_picture_returns_to_the_prompted_point(
        self, anatomy: Volume, storage_order: Any, plane: str
    ) -> None:
        stored = storage_order.stored(anatomy)
        view = SliceView.of(stored, axis_across(stored, plane), 64)
        point = storage_order.indices([[2, 8, 5]], anatomy.shape_ijk)
        logits = blob(view, point[0])
        mask = view.place((view.logits_to_plane(logits) > 0).numpy())
        found = np.zeros(stored.shape_ijk, bool)
        found[(slice(None),) * view.axis + (int(point[0, view.axis]),)] = mask
        assert found[tuple(point[0])]
        nearest = stored.to_ras(np.argwhere(found)) - anatomy.to_ras([[2, 8, 5]])
        assert np.abs(nearest.mean(axis=0)).max() <= max(anatomy.spacing_mm) / 2


def blob(view: SliceView, point_ijk: Any) -> torch.Tensor:
    """Logits (S, S) that are positive on the pixels of one voxel, in the picture's frame."""
    x, y = view.points_px(point_ijk)[0]
    (height_px, width_px), side = view.size_px, view.input_size
    wide, tall = width_px / view.width, height_px / view.height
    columns, rows = torch.arange(side) + 0.5, torch.arange(side) + 0.5
    inside = ((columns - x - wide / 2).abs() <= wide / 2)[None, :] & (
        (rows - y - tall / 2).abs() <= tall / 2
    )[:, None]
    return inside.float() * 20 - 10


class TestTheRadiologicalView:
    """Known corners of a volume stored along R, A, S."""

    @pytest.fixture
    def ras(self) -> Volume:
        return Volume.from_array(np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4))

    def test_axial_left_is_at_the_right_and_posterior_at_the_bottom(self, ras: Volume) -> None:
        plane = SliceView.of(ras, 2).cut(ras.voxels, 1)
        assert plane.shape == (3, 2)
        assert plane[0, 0] == ras.voxels[1, 2, 1]  # right, anterior
        assert plane[-1, -1] == ras.voxels[0, 0, 1]  # left, posterior

    def test_coronal_left_is_at_the_right_and_inferior_at_the_bottom(self, ras: Volume) -> None:
        plane = SliceView.of(ras, 1).cut(ras.voxels, 1)
        assert plane.shape == (4, 2)
        assert plane[0, 0] == ras.voxels[1, 1, 3]  # right, superior
        assert plane[-1, -1] == ras.voxels[0, 1, 0]

    def test_sagittal_posterior_is_at_the_right(self, ras: Volume) -> None:
        plane = SliceView.of(ras, 0).cut(ras.voxels, 1)
        assert plane.shape == (4, 3)
        assert plane[0, 0] == ras.voxels[1, 2, 3]  # anterior, superior
        assert plane[-1, -1] == ras.voxels[1, 0, 0]

    def test_a_photograph_is_seen_as_it_is(self) -> None:
        pixels = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7)
        picture = Volume.from_array(pixels.T[:, :, None], np.diag([-1.0, -1, 1, 1]))
        assert np.array_equal(SliceView.of(picture, 2).cut(picture.voxels, 0), pixels)

    def test_an_axis_that_is_none(self, ras: Volume) -> None:
        with pytest.raises(PromptError, match=r"0, 1 or 2 \(i, j, k\), got 3"):
            SliceView.of(ras, 3)


class TestPictureSize:
    def view(self, height: int, width: int, *, aspect: float = 1.0, side: int = 256) -> SliceView:
        """An axial view of height x width voxels, each `aspect` times as tall as wide."""
        return SliceView(2, 0, 1, False, False, (width, height, 3), (1.0, aspect, 1.0), side)

    @pytest.mark.parametrize("shape", [(512, 512), (333, 257), (17, 400), (3, 2), (101, 122)])
    def test_square_pixels_follow_litemedsams_rule(self, shape: tuple[int, int]) -> None:
        scale = 256 * 1.0 / max(shape)
        assert self.view(*shape).size_px == tuple(int(side * scale + 0.5) for side in shape)

    def test_tall_pixels_are_stretched(self) -> None:
        assert self.view(40, 200, aspect=5.0).size_px == (256, 256)
        assert self.view(20, 200, aspect=5.0).size_px == (128, 256)
        assert self.view(200, 40, aspect=0.2).size_px == (256, 256)

    def test_rounded_spacings_count_as_square(self) -> None:
        assert self.view(333, 257, aspect=1.0004).size_px == self.view(333, 257).size_px

    def test_a_row_of_voxels_keeps_one_pixel(self) -> None:
        assert self.view(1, 1000).size_px == (1, 256)
        assert self.view(1000, 1).size_px == (256, 1)
        assert self.view(1, 1).size_px == (256, 256)

    def test_the_size_of_the_host_counts(self) -> None:
        assert self.view(50, 100, side=1024).size_px == (512, 1024)


class TestPicture:
    def test_equals_litemedsams_own_resize(self) -> None:
        values = np.random.default_rng(0).integers(0, 255, (300, 200, 1)).astype(np.uint8)
        volume = Volume.from_array(values, np.diag([-1.0, -1, 1, 1]))
        view = SliceView.of(volume, 2)
        picture = view.image(volume, Intensity("window", 0.0, 255.0), 0)
        direct = np.repeat(values[:, :, 0].T[..., None], 3, axis=2)
        expected = cv2.resize(direct, (256, 171), interpolation=cv2.INTER_AREA)
        assert np.array_equal(picture, expected)

    def test_colour_keeps_its_channels(self) -> None:
        values = np.random.default_rng(0).integers(0, 255, (30, 20, 1, 3)).astype(np.uint8)
        volume = Volume.from_array(values, np.diag([-1.0, -1, 1, 1]))
        view = SliceView.of(volume, 2, 30)
        picture = view.image(volume, Intensity.for_volume(volume), 0)
        assert np.array_equal(picture, values[:, :, 0].swapaxes(0, 1))

    def test_every_view_of_one_slice_works(self, single_slice: tuple[Volume, int]) -> None:
        volume, _ = single_slice
        for axis in range(3):
            view = SliceView.of(volume, axis)
            picture = view.image(volume, Intensity.for_volume(volume), 0)
            assert picture.shape == (*view.size_px, 3)
            assert max(picture.shape[:2]) == 256

    @pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 2), (1, 500, 2), (700, 1, 1)])
    def test_tiny_volumes(self, shape: tuple[int, int, int]) -> None:
        volume = Volume.from_array(np.ones(shape, np.int16))
        for axis in range(3):
            view = SliceView.of(volume, axis)
            assert view.image(volume, Intensity.for_volume(volume), 0).shape[2] == 3
            plane = view.logits_to_plane(torch.ones(256, 256))
            assert tuple(plane.shape) == (view.height, view.width)


class TestPixels:
    def view(self) -> SliceView:
        volume = Volume.from_array(np.zeros((100, 50, 3), np.uint8), np.diag([-1.0, -1, 1, 1]))
        return SliceView.of(volume, 2, 200)

    def test_points_are_scaled_as_sam_does(self) -> None:
        assert self.view().points_px([[0, 0, 0], [99, 49, 2]]).tolist() == [[0, 0], [198, 98]]

    def test_boxes_reach_the_outer_edge_of_their_last_voxel(self) -> None:
        assert self.view().box_px([10, 20, 1], [19, 29, 1]).tolist() == [20, 40, 39, 59]

    def test_boxes_can_end_at_the_last_index(self) -> None:
        box = self.view().box_px([10, 20, 1], [19, 29, 1], edges="centres")
        assert box.tolist() == [20, 40, 38, 58]

    @pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "AIR"])
    def test_rectangles_and_corners_undo_each_other(self, codes: str) -> None:
        volume = Volume.from_array(np.zeros((9, 8, 7), np.uint8)).reoriented(codes)
        for axis in range(3):
            view = SliceView.of(volume, axis)
            low, high = [1, 2, 3], [4, 5, 5]
            low[axis] = high[axis] = 2
            back = view.corners_ijk(view.rectangle(low, high), 2)
            assert back == (tuple(low), tuple(high))

    def test_a_thin_box_never_turns_round(self) -> None:
        volume = Volume.from_array(np.zeros((1000, 1000, 1), np.uint8))
        x0, y0, x1, y1 = SliceView.of(volume, 2, 100).box_px([55, 5, 0], [55, 995, 0])
        assert x0 <= x1
        assert y0 < y1


def padded_square(view: SliceView, mask: NDArray[Any]) -> torch.Tensor:
    """A mask (height, width) as the model would give it: resized, padded to `input_size`."""
    values = torch.from_numpy(mask.astype(np.float32))[None, None]
    values = interpolate(values, view.size_px, mode="bilinear", align_corners=False)
    below, right = (view.input_size - side for side in view.size_px)
    return pad(values, (0, right, 0, below))[0, 0]


class TestLogits:
    @pytest.mark.parametrize("shape", [(64, 64), (40, 100), (100, 40), (300, 200), (7, 500)])
    @pytest.mark.parametrize("aspect", [1.0, 4.0])
    def test_masks_survive_the_round_trip_within_a_voxel(
        self, shape: tuple[int, int], aspect: float
    ) -> None:
        height, width = shape
        view = SliceView(2, 0, 1, True, False, (width, height, 1), (1.0, aspect, 1.0), 256)
        mask = np.zeros(shape, bool)
        mask[height // 4 : height - height // 4, width // 3 : width - width // 4] = True
        logits = padded_square(view, mask) - 0.5
        back = view.logits_to_plane(logits).numpy() > 0
        grown = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        shrunk = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        assert not (back & ~grown).any()
        if min(height, width) * 256 / max(height * aspect, width) > 40:
            assert not (shrunk & ~back).any()

    def test_the_padding_is_cut_off(self) -> None:
        view = SliceView(2, 0, 1, False, False, (100, 50, 1), (1.0, 1.0, 1.0), 256)
        logits = torch.full((256, 256), 5.0)
        logits[130:] = -100
        plane = view.logits_to_plane(logits)
        assert tuple(plane.shape) == (50, 100)
        assert plane.dtype == torch.float32
        assert torch.equal(plane, torch.full((50, 100), 5.0))

    def test_coarse_logits_are_brought_to_the_input_first(self) -> None:
        view = SliceView(2, 0, 1, False, False, (100, 50, 1), (1.0, 1.0, 1.0), 1024)
        coarse = torch.zeros(256, 256)
        coarse[:128] = 3
        plane = view.logits_to_plane(coarse)
        assert tuple(plane.shape) == (50, 100)
        assert plane[:48].min() == 3


class TestChoosingTheAxis:
    @pytest.mark.parametrize(
        ("spacing", "axis"),
        [
            ((0.5, 0.5, 5.0), 2),
            ((5.0, 0.5, 0.5), 0),
            ((0.5, 5.0, 0.5), 1),
            ((1.0, 1.0, 1.0), 2),
            ((1.0, 1.0, 0.995), 2),
            ((0.9, 0.9, 1.0), 2),
            ((1.0, 0.9, 0.9), 0),
            ((0.6, 0.7, 4.0), 2),
            ((4.0, 0.6, 0.7), 0),
            # Thinner slices than pixels: the planes of square pixels.
            ((0.7, 0.7, 0.625), 2),
            ((0.625, 0.7, 0.7), 0),
            ((3.0, 3.0, 1.0), 2),
            ((1.0, 1.0, 0.98), 2),
            # All different, and none stands out: axial.
            ((1.2, 1.0, 0.8), 2),
            ((1.0, 1.4, 1.2), 2),
        ],
    )
    def test_auto_takes_thick_slices_then_square_pixels_then_axial(
        self, anisotropic: Callable[..., Volume], spacing: tuple[float, float, float], axis: int
    ) -> None:
        assert choose_axis(anisotropic(spacing), "auto") == axis

    @pytest.mark.parametrize(
        ("spacing", "axis"),
        [((0.7, 0.7, 0.625), 1), ((1.0, 1.0, 5.0), 2), ((5.0, 1.0, 1.0), 0), ((1.0, 1.0, 1.0), 2)],
    )
    def test_labelled_volumes_are_cut_across_the_largest_spacing(
        self, anisotropic: Callable[..., Volume], spacing: tuple[float, float, float], axis: int
    ) -> None:
        assert largest_spacing_axis(anisotropic(spacing)) == axis

    @pytest.mark.parametrize(
        "spacing",
        [
            *((0.7, 0.7, 0.625), (0.625, 0.7, 0.7), (0.7, 0.625, 0.7), (0.5, 0.5, 5.0)),
            *((1.0, 1.4, 1.2), (0.9, 1.0, 0.9), (1.0, 0.995, 0.988), (1.0, 1.0, 1.0)),
        ],
    )
    def test_every_order_gives_the_same_anatomical_axis(
        self,
        anisotropic: Callable[..., Volume],
        storage_order: Any,
        spacing: tuple[float, float, float],
    ) -> None:
        volume = anisotropic(spacing)
        stored = storage_order.stored(volume)
        assert storage_order.axes[choose_axis(stored, "auto")] == choose_axis(volume, "auto")

    def test_the_planes_of_the_scanner_are_taken(self, anisotropic: Callable[..., Volume]) -> None:
        sagittal = replace(anisotropic((1.0, 1.0, 1.0)), slice_axis=0)
        assert choose_axis(sagittal, "auto") == 0
        assert choose_axis(sagittal, "auto", prompts_axis=1) == 1
        assert choose_axis(sagittal.reoriented("SRA"), "auto") == 1
        assert choose_axis(sagittal.like(np.ones((10, 10, 10), np.uint8)), "auto") == 0
        assert choose_axis(replace(anisotropic((1.0, 1.0, 5.0)), slice_axis=0), "auto") == 2

    def test_ties_follow_the_anatomy_in_every_order(
        self, anisotropic: Callable[..., Volume], storage_order: Any
    ) -> None:
        stored = storage_order.stored(anisotropic((1.0, 1.0, 1.0)))
        superior = nearest_axes(stored.affine_ras)[0][2]
        assert choose_axis(stored, "auto") == superior

    def test_a_single_slice_is_taken(self, single_slice: tuple[Volume, int]) -> None:
        volume, axis = single_slice
        assert choose_axis(volume, "auto") == axis
        assert choose_axis(volume, "auto", prompts_axis=(axis + 1) % 3) == axis

    def test_a_flat_box_dictates_the_axis(self, anisotropic: Callable[..., Volume]) -> None:
        assert choose_axis(anisotropic((1.0, 1.0, 5.0)), "auto", prompts_axis=0) == 0

    def test_a_named_axis_is_taken(self, anisotropic: Callable[..., Volume]) -> None:
        volume = anisotropic((1.0, 1.0, 5.0))
        assert [choose_axis(volume, name, prompts_axis=1) for name in ("i", "j", "k")] == [0, 1, 2]

    def test_another_word_is_refused(self, anisotropic: Callable[..., Volume]) -> None:
        with pytest.raises(PromptError, match="auto, i, j or k, got 'all'"):
            choose_axis(anisotropic((1.0, 1.0, 1.0)), "all")


class TestBeside:
    @pytest.mark.parametrize(
        ("spacing_mm", "expected"),
        [(0.5, (0, 10)), (1.0, (2, 8)), (2.5, (4, 6)), (10.0, (4, 6)), (13.0, ())],
    )
    def test_the_nearest_at_a_distance_in_mm(
        self, spacing_mm: float, expected: tuple[int, ...]
    ) -> None:
        affine = np.diag([1.0, 1.0, spacing_mm, 1.0])
        view = SliceView.of(Volume.from_array(np.zeros((4, 4, 12), np.int16), affine), 2)
        assert view.beside(5) == expected

    def test_an_end_and_a_picture_lack_some(self) -> None:
        volume = Volume.from_array(np.zeros((4, 4, 12), np.int16), np.diag([1.0, 1.0, 5.0, 1.0]))
        view = SliceView.of(volume, 2)
        assert (view.beside(0), view.beside(11)) == ((1,), (10,))
        assert view.beside(0, [0]) == ()

    def test_of_slices_read_sparsely_those_near_enough(self) -> None:
        volume = Volume.from_array(np.zeros((4, 4, 40), np.int16), np.diag([1.0, 1.0, 1.0, 1.0]))
        view = SliceView.of(volume, 2)
        assert view.beside(8, range(0, 40, 4)) == (4, 12)
        assert view.beside(8, (6, 8, 20, 39)) == (20,)
