"""Labels on the voxels of their image: every storage order, and every other place refused."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.errors import LabelError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.geometry import axis_codes
from segsam.imaging.label_geometry import place_label

SHAPE = (5, 6, 7)
AFFINE = np.array([[-0.7, 0, 0, 12.5], [0, 0.7, 0, -80], [0, 0, 3, 41], [0, 0, 0, 1]])


def rotation(degrees: float) -> NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turned


def voxels() -> NDArray[np.uint16]:
    return np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)


@pytest.mark.parametrize("degrees", [0.0, 17.0, 45.0])
def test_all_48_orders_are_brought_back_exactly(degrees: float) -> None:
    affine = rotation(degrees) @ AFFINE
    image = nib.Nifti1Image(voxels(), affine)
    for axes, flips in product(permutations(range(3)), product([1, -1], repeat=3)):
        stored = image.as_reoriented(np.column_stack([axes, flips]))  # nibabel's own reordering
        jitter = 1e-5 * np.random.default_rng(0).standard_normal((4, 4))  # as after float32
        jitter[3] = 0
        grid = RawGrid(stored.shape, stored.affine + jitter)
        placed = place_label(grid, RawGrid(SHAPE, affine)).place(np.asarray(stored.dataobj))
        np.testing.assert_array_equal(placed, voxels())


def test_axes_have_nibabels_codes() -> None:
    for axes, flips in product(permutations(range(3)), product([1, -1], repeat=3)):
        affine = (
            nib.Nifti1Image(voxels(), AFFINE).as_reoriented(np.column_stack([axes, flips])).affine
        )
        assert axis_codes(affine) == "".join(nib.aff2axcodes(affine))


def test_a_label_elsewhere_is_refused_with_both_geometries() -> None:
    moved = AFFINE.copy()
    moved[:3, 3] += 40
    with pytest.raises(LabelError, match="does not lie on its image") as caught:
        place_label(RawGrid(SHAPE, moved), RawGrid(SHAPE, AFFINE))
    sentence = str(caught.value)
    assert "corners are up to 40 mm apart" in sentence
    assert "the label: 5x6x7 voxels of 0.7 x 0.7 x 3 mm, axes to LAS" in sentence
    assert "first voxel at R 52.5, A -40, S 81 mm" in sentence
    assert "the image: 5x6x7 voxels of 0.7 x 0.7 x 3 mm, axes to LAS" in sentence
    assert "first voxel at R 12.5, A -80, S 41 mm" in sentence


def test_mirrored_in_the_affine_only_is_another_place() -> None:
    mirrored = AFFINE.copy()
    mirrored[:, 0] *= -1  # same first voxel, running the other way
    with pytest.raises(LabelError, match="does not lie on its image"):
        place_label(RawGrid(SHAPE, mirrored), RawGrid(SHAPE, AFFINE))


@pytest.mark.parametrize("degrees", [0.1, 30.0, 45.0, 60.0])
def test_a_rotated_label_is_refused(degrees: float) -> None:
    with pytest.raises(LabelError, match="does not lie on its image"):
        place_label(RawGrid((5, 5, 7), rotation(degrees) @ AFFINE), RawGrid((5, 5, 7), AFFINE))


def test_another_spacing_or_shape_is_refused() -> None:
    coarse = AFFINE @ np.diag([2, 1, 1, 1])
    with pytest.raises(LabelError, match="does not lie on its image"):
        place_label(RawGrid(SHAPE, coarse), RawGrid(SHAPE, AFFINE))
    with pytest.raises(LabelError, match="has 5x6x6 voxels and its image 5x6x7"):
        place_label(RawGrid((5, 6, 6), AFFINE), RawGrid(SHAPE, AFFINE))


def test_the_step_along_an_axis_of_one_voxel_places_nothing() -> None:
    thick = AFFINE @ np.diag([1, 1, 5, 1])
    placed = place_label(RawGrid((5, 6, 1), thick), RawGrid((5, 6, 1), AFFINE))
    assert placed.first_ijk == (0, 0, 0)


class TestCropped:
    """3D Slicer can write a segmentation cropped to its segments."""

    def test_it_is_placed_where_it_lies(self) -> None:
        part = voxels()[1:4, 2:6, 3:5]
        affine = AFFINE.copy()
        affine[:3, 3] = (AFFINE @ [1, 2, 3, 1])[:3]
        stored = nib.Nifti1Image(part, affine).as_reoriented([[2, -1], [0, 1], [1, -1]])
        label = RawGrid(stored.shape, stored.affine)
        placement = place_label(label, RawGrid(SHAPE, AFFINE), may_be_cropped=True)
        expected = np.zeros(SHAPE, np.uint16)
        expected[1:4, 2:6, 3:5] = part
        np.testing.assert_array_equal(placement.place(np.asarray(stored.dataobj)), expected)
        with pytest.raises(LabelError, match="voxels and its image 5x6x7"):
            place_label(label, RawGrid(SHAPE, AFFINE))

    @pytest.mark.parametrize("offset", [(3, 0, 0), (-1, 0, 0), (0.4, 0, 0)])
    def test_it_lies_inside_and_on_voxels(self, offset: tuple[float, ...]) -> None:
        affine = AFFINE.copy()
        affine[:3, 3] = (AFFINE @ [*offset, 1])[:3]
        with pytest.raises(LabelError):
            place_label(RawGrid((3, 6, 7), affine), RawGrid(SHAPE, AFFINE), may_be_cropped=True)


def test_equal_sizes_on_other_axes_are_named() -> None:
    turned = AFFINE.copy()
    turned[:, [0, 1]] = turned[:, [1, 0]]
    with pytest.raises(LabelError, match=r"axes run in other directions.*6x5x7.*5x6x7"):
        place_label(RawGrid(SHAPE, turned), RawGrid(SHAPE, AFFINE))
