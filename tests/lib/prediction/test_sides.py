"""Sides: where a picture tells left from right, and that no side is named where it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.categories import Categories
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import Card, Host, SegSam
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.naming import SIDE_NOTE, name_object, without_sides
from segsam.prediction.sides import shows_sides

WIDTH, HEIGHT = 120, 90


def section(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A body as a bright ellipse in air, (y, x)."""
    y, x = np.mgrid[:height, :width]
    inside = ((x - width / 2) / (0.46 * width)) ** 2 + ((y - height / 2) / (0.45 * height)) ** 2
    return np.where(inside < 1, 200, 0).astype(np.uint8)


def seen(plane: NDArray[np.uint8], axis: int = 2) -> bool:
    """Return what is said of a plane (y, x) as a slice across a voxel axis of an LPS volume."""
    order = {0: (2, 1, 0), 1: (1, 2, 0), 2: (1, 0, 2)}[axis]
    voxels = np.repeat(plane[:, :, None], 3, axis=2).transpose(order).astype(np.int16)
    volume = Volume.from_array(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))
    return shows_sides(SliceView.of(volume, axis), volume, np.repeat(plane[..., None], 3, axis=2))


def test_a_whole_section_shows_them() -> None:
    assert seen(section())
    assert seen(section()[:, 4:-4]), "a wide patient, cut alike on both sides"
    assert seen(section()[:, 6:]), "an arm that is cut"


def test_a_half_does_not() -> None:
    assert not seen(section()[:, : WIDTH // 2])
    assert not seen(section()[:, WIDTH // 2 :])
    assert not seen(section()[:, 70:110]), "cut on both sides, taller than wide"


def test_a_place_inside_the_body_does_not() -> None:
    assert not seen(section()[20:70, 30:90])


def test_a_sagittal_slice_does_not_and_a_coronal_one_does() -> None:
    assert not seen(section(), axis=0)
    assert seen(section(), axis=1)


def test_single_pictures_are_taken_as_they_come() -> None:
    half = section()[:, :60]
    volume = Volume.from_array(half.T[..., None].astype(np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]))
    view = SliceView.of(volume, 2)
    assert shows_sides(view, volume, np.repeat(half[..., None], 3, axis=2))


def test_a_black_picture_is_no_part() -> None:
    assert seen(np.zeros((HEIGHT, WIDTH), np.uint8))


class TestNames:
    """Of a model that calls an object a right kidney with certainty."""

    @pytest.fixture
    def model(self, tiny_host: Host) -> SegSam:
        known = Categories.load()
        names = ("right kidney", "left kidney", "liver", "left ventricle", "spleen")
        items = tuple(known.items[known.index(name)] for name in names)
        rows = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
        categories = Categories(items, rows, "made up")
        return SegSam(tiny_host, categories, card=Card(semantic_is_trained=True))

    def evidence(self, index: int, *, shows: bool, area: int = 10) -> SliceEvidence:
        scores = np.full(6, 0.01, np.float32)
        scores[1 + index] = 0.95
        return replace(SliceEvidence(area, scores), shows_sides=shows)

    def test_a_side_is_named_where_it_is_seen(self, model: SegSam) -> None:
        one = [self.evidence(0, shows=True), self.evidence(0, shows=False, area=9)]
        found = name_object(model, one, requested=None, modality="CT")
        assert found.name == "right kidney"

    def test_elsewhere_both_are_suggested(self, model: SegSam) -> None:
        one = [self.evidence(0, shows=False)]
        found = name_object(model, one, requested=None, modality="CT")
        assert found.name is None
        assert found.notes == (SIDE_NOTE.format(name="right kidney"),)
        assert found.suggestions["left kidney"] == found.suggestions["right kidney"]
        assert list(found.suggestions)[:2] == ["right kidney", "left kidney"]

    @pytest.mark.parametrize(("index", "name"), [(2, "liver"), (3, "left ventricle")])
    def test_what_has_no_side_is_named(self, model: SegSam, index: int, name: str) -> None:
        one = [self.evidence(index, shows=False)]
        found = name_object(model, one, requested=None, modality=None)
        assert found.name == name

    def test_what_is_present_has_no_side_there(self, model: SegSam) -> None:
        found = {"left kidney": 0.9, "liver": 0.8, "left ventricle": 0.7}
        assert without_sides(found, model) == {"liver": 0.8, "left ventricle": 0.7}
