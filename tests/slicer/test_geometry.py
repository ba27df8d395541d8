"""Millimetres to voxels in every orientation, with numpy alone."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from SEGSAMLib.Errors import PositionError
from SEGSAMLib.Values.Geometry import (
    Box,
    VolumeGrid,
    box_in_volume,
    box_on_slice,
    reduced_scribble,
)

SHAPE = (9, 11, 7)
SPACING = (0.7, 1.3, 4.0)


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    a, b, c = np.deg2rad(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


def grids() -> list[VolumeGrid]:
    """The 48 orders and directions in which an anatomy can be stored, and each of them oblique."""
    found = []
    for turn in (np.eye(3), rotation((12, -23, 31))):
        for axes in permutations(range(3)):
            for signs in product((1, -1), repeat=3):
                matrix = np.eye(4)
                directions = np.zeros((3, 3))
                for voxel_axis, (world, sign) in enumerate(zip(axes, signs, strict=True)):
                    directions[world, voxel_axis] = sign * SPACING[voxel_axis]
                matrix[:3, :3] = turn @ directions
                matrix[:3, 3] = (17.5, -33.25, 402.0)
                found.append(VolumeGrid.of(SHAPE, matrix))
    return found


every_grid = pytest.mark.parametrize("grid", grids(), ids=lambda grid: str(hash(grid) % 9973))
STRAIGHT = VolumeGrid.of(SHAPE, np.diag([*SPACING, 1.0]))


@every_grid
def test_every_voxel_is_found_again(grid: VolumeGrid) -> None:
    voxels = np.argwhere(np.ones(SHAPE))
    noise = np.random.default_rng(0).uniform(-0.49, 0.49, voxels.shape)
    points = grid.ras(voxels + noise)
    assert [grid.voxel(point) for point in points[::37]] == [tuple(v) for v in voxels[::37]]
    assert np.array_equal(np.floor(grid.ijk(points) + 0.5).astype(int), voxels)


@every_grid
def test_a_rectangle_on_each_plane_becomes_the_box_of_its_voxels(grid: VolumeGrid) -> None:
    low, high = np.array([2, 3, 1]), np.array([6, 8, 5])
    for axis in range(3):
        across, along = (a for a in range(3) if a != axis)
        corners = np.array([low, low, high, high], dtype=float)
        corners[1, across] = high[across]
        corners[3, across] = low[across]
        corners[:, axis] = 4.3  # the view shows a plane between two slices
        found, note = box_on_slice(grid, grid.ras(corners))
        expected_low, expected_high = low.copy(), high.copy()
        expected_low[axis] = expected_high[axis] = 4
        assert (found.min_ijk, found.max_ijk) == (tuple(expected_low), tuple(expected_high))
        assert not note
        assert along != axis
        turned, _ = box_on_slice(grid, grid.ras(corners[[2, 3, 0, 1]]))  # dragged the other way
        assert turned == found


@every_grid
def test_a_box_comes_back_from_its_corners(grid: VolumeGrid) -> None:
    for box in (Box((0, 0, 0), (8, 10, 6)), Box((2, 3, 1), (6, 8, 5)), Box((1, 2, 3), (4, 5, 3))):
        low, high = np.array(box.min_ijk) - 0.5, np.array(box.max_ijk) + 0.5
        corners = list(product(*zip(low, high, strict=True)))  # of its outer voxels
        assert box_in_volume(grid, grid.ras(corners)) == (box, "")


@every_grid
def test_slices_and_their_centres(grid: VolumeGrid) -> None:
    for axis in range(3):
        for index in (0, SHAPE[axis] // 2, SHAPE[axis] - 1):
            assert grid.slice_at(axis, grid.slice_centre_ras(axis, index)) == index
        direction = grid.matrix[:3, axis]
        assert grid.axis_along(direction) == axis


def test_planes_have_their_names() -> None:
    assert [STRAIGHT.plane_name(axis) for axis in range(3)] == ["sagittal", "coronal", "axial"]


def test_spacing_is_that_of_the_matrix() -> None:
    for grid in grids():
        assert np.allclose(grid.spacing_mm, SPACING)


class TestAnObliqueView:
    """A rectangle in a plane that is not one of the volume's."""

    def test_it_lies_on_the_nearest_slice_and_bounds_the_rectangle(self) -> None:
        grid = VolumeGrid.of((100, 100, 100), np.eye(4))
        turn = rotation((10, 0, 0))
        flat = np.array([(-20, -10, 0), (20, -10, 0), (20, 10, 0), (-20, 10, 0)]) @ turn.T
        found, _ = box_on_slice(grid, flat + 50)
        assert found.min_ijk == (30, 40, 50)
        assert found.max_ijk == (70, 60, 50)

    def test_turned_beyond_45_degrees_it_is_another_plane(self) -> None:
        grid = VolumeGrid.of((100, 100, 100), np.eye(4))
        flat = np.array([(-20, -10, 0), (20, -10, 0), (20, 10, 0), (-20, 10, 0)])
        found, _ = box_on_slice(grid, flat @ rotation((60, 0, 0)).T + 50)
        assert found.min_ijk[1] == found.max_ijk[1]


class TestRefusals:
    @pytest.mark.parametrize("voxel", [(-1, 0, 0), (9, 0, 0), (0, 11, 0), (0, 0, -0.6)])
    def test_a_point_outside(self, voxel: tuple[float, ...]) -> None:
        with pytest.raises(
            PositionError, match=r"outside the volume: voxel [ijk] = -?\d+.*0 to \d+"
        ):
            STRAIGHT.voxel(STRAIGHT.ras(voxel))

    def test_a_point_that_is_none(self) -> None:
        with pytest.raises(PositionError, match="three finite coordinates"):
            STRAIGHT.voxel((1.0, np.nan, 2.0))

    def test_a_rectangle_without_area(self) -> None:
        with pytest.raises(PositionError, match="no area"):
            box_on_slice(STRAIGHT, np.zeros((4, 3)))

    def test_a_rectangle_of_one_row(self) -> None:
        corners = STRAIGHT.ras([(2, 3, 1), (6, 3, 1), (6, 3.2, 1), (2, 3.2, 1)])
        with pytest.raises(PositionError, match="one voxel wide along j"):
            box_on_slice(STRAIGHT, corners)

    def test_a_box_outside(self) -> None:
        with pytest.raises(PositionError, match="outside the volume: voxels 20 to 24 along i"):
            box_in_volume(STRAIGHT, STRAIGHT.ras([(20, 1, 1), (24, 4, 4)]))

    def test_a_view_beside_the_volume(self) -> None:
        corners = STRAIGHT.ras([(2, 3, 9), (6, 3, 9), (6, 8, 9), (2, 8, 9)])
        with pytest.raises(PositionError, match="along k, and the volume has 0 to 6"):
            box_on_slice(STRAIGHT, corners)

    def test_a_box_that_reaches_out_is_clipped_and_says_so(self) -> None:
        found, note = box_in_volume(STRAIGHT, STRAIGHT.ras([(-4, 2, 2), (4, 14, 4)]))
        assert found == Box((0, 2, 2), (4, 10, 4))
        assert "clipped" in note

    @pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
    def test_a_volume_without_geometry(self, matrix: np.ndarray) -> None:
        with pytest.raises(PositionError, match="no usable geometry"):
            VolumeGrid.of(SHAPE, matrix)

    def test_a_scribble_outside(self) -> None:
        with pytest.raises(PositionError, match="scribble lies outside"):
            reduced_scribble(STRAIGHT, STRAIGHT.ras([(20, 20, 20), (22, 22, 22)]))


class TestScribbles:
    def test_a_long_one_is_reduced_evenly(self) -> None:
        path = STRAIGHT.ras([(0, 0, 3), (8, 0, 3), (8, 10, 3)])
        voxels = reduced_scribble(STRAIGHT, path, max_voxels=6)
        assert len(voxels) == 6
        assert voxels[0] == (0, 0, 3)
        assert voxels[-1] == (8, 10, 3)
        assert len(set(voxels)) == 6

    def test_a_click_is_one_voxel(self) -> None:
        assert reduced_scribble(STRAIGHT, STRAIGHT.ras([(4, 5, 2)])) == ((4, 5, 2),)

    def test_what_lies_outside_is_left_out(self) -> None:
        voxels = reduced_scribble(STRAIGHT, STRAIGHT.ras([(-5, 2, 3), (4, 2, 3)]), max_voxels=50)
        assert voxels == ((0, 2, 3), (1, 2, 3), (2, 2, 3), (3, 2, 3), (4, 2, 3))
