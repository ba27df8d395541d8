"""Augmented copies: the labels go where the picture goes, and a copy depends on its name alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.datasets.folder import open_dataset
from segsam.datasets.labelled_slices import Instance, LabelledSlice, slices_of
from segsam.datasets.transforms import augmented, mirrored, upright

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def drawn(height: int = 96, width: int = 128, *, colour: bool = False) -> LabelledSlice:
    """Two bright blocks on dark ground, each its label; the picture tells where they went."""
    labels = np.zeros((height, width), np.uint8)
    labels[20:50, 20:60] = 1
    labels[55:80, 70:110] = 2
    grey = np.choose(labels, (30, 140, 230)).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, 2)
    if colour:
        picture[..., 2] //= 2
    return LabelledSlice("made/case/0", picture, labels, (1, 2))


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_a_copy_follows_from_seed_name_and_number_whatever_came_before() -> None:
    one = drawn()
    expected = augmented(one, seed=3, copy=2)
    for number in range(5):
        augmented(one, seed=3, copy=number)
    np.random.seed(11)
    again = augmented(one, seed=3, copy=2)
    assert again.name == "made/case/0#2"
    assert np.array_equal(again.picture, expected.picture)
    assert np.array_equal(again.labels, expected.labels)
    others = [augmented(one, seed=4, copy=2), augmented(one, seed=3, copy=1)]
    assert all(not np.array_equal(other.picture, expected.picture) for other in others)


@pytest.mark.parametrize("colour", [False, True])
def test_the_labels_go_where_the_picture_goes(*, colour: bool) -> None:
    one = drawn(colour=colour)
    moves = 0
    for number in range(12):
        copy = augmented(one, seed=0, copy=number)
        assert copy.picture.dtype == np.uint8
        assert copy.picture.shape == one.picture.shape
        assert copy.labels.dtype == np.uint8
        assert set(np.unique(copy.labels)) <= {0, 1, 2}
        red = copy.picture[..., 0].astype(float)
        middle = np.median(red[copy.labels == 1])
        ground, top = np.median(red[copy.labels == 0]), np.median(red[copy.labels == 2])
        assert ground < middle < top
        shown = (red > (ground + middle) / 2) & (copy.labels != 2)
        assert overlap(shown & (red < (middle + top) / 2), copy.labels == 1) > 0.75
        moves += not np.array_equal(copy.labels, one.labels)
        same = bool((copy.picture == copy.picture[..., :1]).all())
        assert same is not colour, "grey stays grey, colour stays colour"
    assert moves == 12


def test_nothing_is_mirrored() -> None:
    one = drawn()
    for number in range(20):
        labels = augmented(one, seed=1, copy=number).labels
        places = [np.argwhere(labels == value).mean(0) for value in (1, 2)]
        assert places[0][1] < places[1][1]
        assert places[0][0] < places[1][0]


def test_objects_are_prompted_by_what_is_left_of_them() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[40:60, 40:60] = 1
    labels[:4, :4] = 2  # 16 of the 15.3 pixels needed: most movements take some away
    picture = np.full((100, 100, 3), 90, np.uint8)
    copies = [
        augmented(LabelledSlice("made/edge/0", picture, labels, (1, 2)), seed=0, copy=number)
        for number in range(12)
    ]
    for copy in copies:
        large = tuple(value for value in (1, 2) if (copy.labels == value).sum() >= 15.3)
        assert copy.prompted == large
    assert any(copy.prompted == (1,) for copy in copies)


def test_an_object_that_no_movement_keeps_stays_where_it_is() -> None:
    labels = np.zeros((200, 200), np.uint8)
    labels[0, :62] = 1  # one row at the very edge
    picture = np.full((200, 200, 3), 90, np.uint8)
    copies = [
        augmented(LabelledSlice("made/row/0", picture, labels, (1,)), seed=0, copy=number)
        for number in range(12)
    ]
    assert all(copy.prompted == (1,) for copy in copies)
    assert any(np.array_equal(copy.labels, labels) for copy in copies)


def test_overlapping_objects_move_together_with_the_map() -> None:
    one = drawn()
    left, both = one.labels == 1, one.labels > 0
    labelled = LabelledSlice(
        one.name, one.picture, one.labels, (1, 2), (Instance(1, left), Instance(2, both))
    )
    copy = augmented(labelled, seed=0, copy=0)
    assert [one.value for one in copy.objects] == [1, 2]
    assert np.array_equal(copy.objects[0].mask, copy.labels == 1)
    assert np.array_equal(copy.objects[1].mask, copy.labels > 0)
    plain = augmented(one, seed=0, copy=0)
    assert np.array_equal(plain.labels, copy.labels)
    assert [instance.value for instance in plain.objects] == [1, 2]


def test_what_has_ended_moves_with_the_picture() -> None:
    one = drawn()
    beside = Instance(3, one.labels == 2)
    copy = augmented(replace(one, ended=(beside,)), seed=0, copy=0)
    assert [each.value for each in copy.ended] == [3]
    assert np.array_equal(copy.ended[0].mask, copy.labels == 2)
    turned = mirrored(replace(one, ended=(beside,)), {1: 1, 2: 2, 3: 4, 4: 3})
    assert [each.value for each in turned.ended] == [4]
    assert np.array_equal(turned.ended[0].mask, turned.labels == 2)
    alone = LabelledSlice("made/end/0", one.picture, np.zeros_like(one.labels), (), (), (beside,))
    assert [each.value for each in augmented(alone, seed=0, copy=1).ended] == [3]


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this checkout")
@pytest.mark.parametrize("name", ["acdc_cardiac", "isic_dermoscopy"])
def test_real_slices(name: str) -> None:
    dataset = open_dataset(DATA / name)
    one = next(slices_of(dataset, dataset.cases[0], input_size=128, limit=1))
    copy = augmented(one, seed=0, copy=1)
    assert copy.prompted
    assert copy.picture.shape == one.picture.shape
    for value in copy.prompted:
        before, after = (one.labels == value).sum(), (copy.labels == value).sum()
        assert 0.6 < after / before < 1.6


def test_upright_flips_labels_with_the_picture_and_keeps_the_sides() -> None:
    one = drawn()
    flipped = upright(one)
    assert flipped.name == "made/case/0^"
    assert np.array_equal(flipped.labels, one.labels[::-1])
    assert flipped.prompted == one.prompted
    columns = np.flatnonzero((flipped.labels == 1).any(axis=0))
    assert columns.tolist() == list(range(20, 60))


def test_upright_shows_fat_and_organs_as_a_soft_tissue_window_does() -> None:
    rng = np.random.default_rng(0)
    grey = np.full((96, 128), 2.0)
    grey[20:80, 20:110] = rng.normal(165, 2, (60, 90))
    grey[30:60, 30:70] = rng.normal(205, 2, (30, 40))
    picture = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)
    shown = upright(replace(drawn(), picture=picture)).picture[::-1]
    fat, organ = np.median(shown[65:75, 25:105]), np.median(shown[32:58, 32:68])
    assert fat == pytest.approx(255 * (-100 + 160) / 400, abs=8)
    assert organ == pytest.approx(255 * (120 + 160) / 400, abs=8)
    assert shown[0, 0, 0] == 0


def test_a_coarse_copy_has_lost_what_is_fine() -> None:
    rng = np.random.default_rng(0)
    picture = np.repeat(rng.integers(0, 256, (96, 128, 1), dtype=np.uint8), 3, 2)
    one = replace(drawn(), picture=picture)
    copies = [augmented(one, seed=0, copy=number, coarse=True) for number in range(12)]
    spread = [np.abs(np.diff(copy.picture[..., 0].astype(float), axis=0)).mean() for copy in copies]
    assert min(spread) < 0.5 * max(spread)
    assert all(copy.prompted for copy in copies)
