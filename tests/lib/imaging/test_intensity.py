"""Intensity: Hounsfield windows, percentiles, colour; one answer for all 48 storage orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segsam.errors import VolumeError
from segsam.imaging.intensity import CT_WINDOWS, Intensity
from segsam.imaging.volume import Volume


def volume_of(values: Any, **more: Any) -> Volume:
    return Volume.from_array(np.asarray(values), **more)


class TestWindows:
    def test_ct_is_shown_in_the_soft_tissue_window(self) -> None:
        ct = volume_of(np.zeros((2, 2, 2), np.int16), modality="CT")
        assert Intensity.for_volume(ct) == Intensity("window", -160.0, 240.0)

    def test_a_preset_by_name(self) -> None:
        ct = volume_of(np.zeros((2, 2, 2), np.int16), modality="CT")
        assert Intensity.for_volume(ct, "lung") == Intensity("window", -1350.0, 150.0)

    @pytest.mark.parametrize("name", CT_WINDOWS)
    def test_presets_are_ranges(self, name: str) -> None:
        centre, width = CT_WINDOWS[name]
        assert width > 0
        rule = Intensity.for_volume(volume_of(np.zeros((2, 2, 2), np.int16)), name)
        assert (rule.low + rule.high) / 2 == centre

    def test_an_own_range_applies_to_any_modality(self) -> None:
        mr = volume_of(np.zeros((2, 2, 2), np.int16), modality="MR")
        assert Intensity.for_volume(mr, (10, 90)) == Intensity("window", 10.0, 90.0)

    def test_an_unknown_preset_lists_the_known_ones(self) -> None:
        with pytest.raises(VolumeError, match=r"no CT window called 'kidney'.*soft-tissue, lung"):
            Intensity.for_volume(volume_of(np.zeros((2, 2, 2))), "kidney")

    @pytest.mark.parametrize("window", [(5, 5), (9, 1), (np.nan, 1), (0, np.inf)])
    def test_impossible_ranges(self, window: tuple[float, float]) -> None:
        with pytest.raises(VolumeError, match=r"finite window .* low below high"):
            Intensity.for_volume(volume_of(np.zeros((2, 2, 2))), window)

    def test_colour_has_no_window(self) -> None:
        colour = np.zeros((2, 2, 1, 3), np.uint8)
        colour[..., 0] = 9
        with pytest.raises(VolumeError, match="this image has colours"):
            Intensity.for_volume(volume_of(colour), "lung")


class TestPercentiles:
    def test_of_the_voxels_that_are_not_zero(self) -> None:
        values = np.zeros((10, 10, 20))
        values[:5] = np.linspace(100, 300, 1000).reshape(5, 10, 20)
        rule = Intensity.for_volume(volume_of(values))
        expected = np.percentile(values[values != 0], [0.5, 99.5])
        assert (rule.kind, rule.low, rule.high) == ("percentile", *expected)

    def test_eight_bit_pictures_follow_the_same_rule(self) -> None:
        values = np.arange(256, dtype=np.uint8).reshape(16, 16)
        rule = Intensity.for_volume(volume_of(values))
        assert rule.kind == "percentile"
        assert 1 < rule.low < 4
        assert 251 < rule.high < 255

    def test_a_mask_as_image_uses_its_whole_range(self) -> None:
        values = np.zeros((4, 4, 4), np.uint8)
        values[1:3] = 1
        rule = Intensity.for_volume(volume_of(values))
        assert rule.apply(values).max() == 255
        assert rule.apply(values).min() == 0

    @pytest.mark.parametrize("value", [0, 7, -3.5, 1e308])
    def test_constant_images_are_black(self, value: float) -> None:
        volume = volume_of(np.full((3, 3, 3), value))
        assert not Intensity.for_volume(volume).apply(volume.voxels).any()

    def test_values_as_wide_as_double_precision(self) -> None:
        values = (np.linspace(-1, 1, 1000) * 1e308).reshape(10, 10, 10)
        volume = volume_of(values)
        shown = Intensity.for_volume(volume).apply(values)
        assert shown[0, 0, 0] == 0
        assert shown[9, 9, 9] == 255
        assert 126 <= shown.mean() <= 129

    def test_do_not_depend_on_the_storage_order(
        self, oblique: Volume, storage_order: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("segsam.imaging.intensity._SAMPLE_LIMIT", 50)
        assert Intensity.for_volume(storage_order.stored(oblique)) == Intensity.for_volume(oblique)

    def test_a_large_volume_is_sampled_to_nearly_the_same_rule(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        values = np.random.default_rng(0).normal(500, 100, (40, 40, 40)).astype(np.float32)
        full = Intensity.for_volume(volume_of(values))
        monkeypatch.setattr("segsam.imaging.intensity._SAMPLE_LIMIT", 8000)
        sampled = Intensity.for_volume(volume_of(values))
        assert sampled != full
        assert abs(sampled.low - full.low) < 10
        assert abs(sampled.high - full.high) < 10


class TestApplying:
    def test_clips_and_cuts_off_the_fraction(self) -> None:
        rule = Intensity("window", 0.0, 255.0)
        values = np.array([-5.0, 0.4, 0.6, 127.2, 254.6, 300.0])
        assert rule.apply(values).tolist() == [0, 0, 0, 127, 254, 255]
        assert rule.apply(values).dtype == np.uint8

    @pytest.mark.parametrize("name", ["i1", "u1", "i2", "u2", "i4", "u8", "f4", "f8"])
    def test_every_type_gives_the_same(self, name: str) -> None:
        rule = Intensity("window", 10.0, 100.0)
        values = np.array([0, 10, 55, 100, 120])
        assert rule.apply(values.astype(name)).tolist() == [0, 0, 127, 255, 255]

    def test_colour_passes(self) -> None:
        colour = np.random.default_rng(0).integers(0, 255, (4, 5, 1, 3)).astype(np.uint8)
        rule = Intensity.for_volume(volume_of(colour))
        assert rule.kind == "colour"
        assert np.array_equal(rule.apply(colour), colour)

    def test_shape_is_kept(self) -> None:
        assert Intensity("window", 0.0, 1.0).apply(np.zeros((2, 0, 3))).shape == (2, 0, 3)


def test_keys_tell_rules_apart() -> None:
    rules = [
        Intensity("window", 0.0, 1.0),
        Intensity("percentile", 0.0, 1.0),
        Intensity("window", 0.0, 1.0000000000000002),
        Intensity("colour", 0.0, 255.0),
    ]
    assert len({rule.key for rule in rules}) == len(rules)
    assert Intensity("window", 0.0, 1.0).key == rules[0].key


@pytest.mark.parametrize("shape", [(7, 5), (1, 40), (40, 1), (4, 3, 6)])
def test_large_slices_are_mapped_in_parts_to_the_same_values(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(4).normal(50, 90, shape)
    for inverted in (False, True):
        mapping = Intensity("window", -10.0, 99.5, inverted)
        whole = mapping.apply(values)
        monkeypatch.setattr("segsam.imaging.intensity._AT_ONCE", 8)
        assert np.array_equal(mapping.apply(values), whole)
        monkeypatch.undo()
