"""Confirmed slices, and the request that is made of them."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import pytest
from SEGSAMLib.Errors import PromptError
from SEGSAMLib.Values.Completions import Completion, drawn_axis
from SEGSAMLib.Values.ConfirmedSlices import ConfirmedSlices
from SEGSAMLib.Values.Layers import Layer, Layers, SegmentLabel
from SEGSAMLib.Values.Masks import PackedRegion, Region

SHAPE = (12, 10, 20)
OF_K = ConfirmedSlices(frozenset({(2, 4), (2, 9)}), SHAPE)


def layers(**labels: np.ndarray) -> Layers:
    """Segments of these masks, each in a layer of its own, on the voxels of the volume."""
    frame = tuple(np.eye(4).ravel())
    made = {
        name: SegmentLabel(Layer(mask.astype(np.uint8), (0, 0, 0), np.eye(4), frame), 1)
        for name, mask in labels.items()
    }
    return Layers(made, np.eye(4))


def drawn(*indices: int) -> np.ndarray:
    """A disc on these slices across k."""
    i, j = np.ogrid[: SHAPE[0], : SHAPE[1]]
    found = np.zeros(SHAPE, bool)
    found[..., list(indices)] = (np.hypot(i - 5, j - 5) < 3)[..., None]
    return found


def whole(mask: np.ndarray) -> PackedRegion:
    return PackedRegion.pack(Region((0, 0, 0), mask))


def decoded(mask: dict[str, Any]) -> np.ndarray:
    found = np.zeros(mask["shape_ijk"], bool)
    box = tuple(slice(a, b + 1) for a, b in zip(mask["min_ijk"], mask["max_ijk"], strict=True))
    bits = np.frombuffer(zlib.decompress(base64.b64decode(mask["data"])), np.uint8)
    size = found[box].shape
    found[box] = np.unpackbits(bits, count=int(np.prod(size))).reshape(size)
    return found


def sent(mask: np.ndarray, confirmed: ConfirmedSlices, **more: Any) -> dict[int, Any]:
    """Masks of the slices that a request for a segment holds, by index across k."""
    completion = Completion(layers(one=mask), "one", confirmed, {}, **more)
    found = completion.request()["confirmed"]
    assert {each["axis"] for each in found} == {"k"}
    return {each["index"]: each["mask"] for each in found}


NOTHING = ConfirmedSlices(shape_ijk=SHAPE)


class TestConfirmedSlices:
    def test_text_of_the_scene(self) -> None:
        assert ConfirmedSlices.from_text(OF_K.to_text(), SHAPE) == OF_K
        assert NOTHING.to_text() == ""

    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{", '{"shape":[12,10,20]}', '{"shape":[12,10,20],"slices":[[9,1],[2,99]]}'],
    )
    def test_other_text_confirms_nothing(self, text: str) -> None:
        assert ConfirmedSlices.from_text(text, SHAPE).slices == frozenset()

    def test_slices_of_another_volume_are_others(self) -> None:
        assert not ConfirmedSlices.from_text(OF_K.to_text(), (12, 10, 21)).slices

    def test_toggling(self) -> None:
        assert OF_K.toggled(2, 4).along(2) == (9,)
        assert OF_K.toggled(2, 5).along(2) == (4, 5, 9)
        assert (OF_K.axis, NOTHING.axis) == (2, None)

    def test_parts_of_a_region(self) -> None:
        region = Region((1, 1, 3), np.ones((2, 2, 4), bool))
        assert OF_K.removed_from(region).values[0, 0].tolist() == [True, False, True, True]
        assert OF_K.part_of(region).values[0, 0].tolist() == [False, True, False, False]
        assert region.values.all()
        assert NOTHING.removed_from(region) is region


class TestRequest:
    def test_it_holds_each_slice_as_the_segment_has_it(self) -> None:
        found = sent(drawn(4), OF_K, has_unknown=True)
        assert found[9] is None
        assert np.array_equal(decoded(found[4]), drawn(4))

    def test_drawn_slices_count_as_confirmed(self) -> None:
        assert sorted(sent(drawn(2, 9, 15), NOTHING)) == [2, 9, 15]
        assert drawn_axis(layers(one=drawn(2, 9)), "one") == 2
        assert drawn_axis(layers(one=drawn()), "one") is None
        two_parts = drawn(7)
        two_parts[4:7] = False
        assert sorted(sent(two_parts, NOTHING)) == [7]

    def test_corrected_slices_count_and_others_of_the_model_do_not(self) -> None:
        made = drawn(*range(3, 15))
        now = made.copy()
        now[5:7, 5, 6] = False
        now[..., 12] = False  # erased: the object is not there
        found = sent(now, OF_K, axis=2, results=(whole(made),))
        assert sorted(found) == [4, 6, 9, 12]
        assert found[12] is None

    def test_a_later_result_replaced_its_slices(self) -> None:
        made, later = drawn(*range(3, 15)), np.roll(drawn(7), 1, axis=0)
        now = made.copy()
        now[..., 7] = later[..., 7]
        assert sorted(sent(now, OF_K, axis=2, results=(whole(made), whole(later)))) == [4, 9]

    def test_what_was_painted_across_the_slices_is_not_confirmed(self) -> None:
        made = drawn(*range(3, 15))
        now = made.copy()
        now[5, :, 3:15] = True
        assert sorted(sent(now, OF_K, axis=2, results=(whole(made),))) == [4, 9]

    def test_what_a_tool_made_in_space_is_not_confirmed(self) -> None:
        assert sorted(sent(drawn(*range(3, 15)), OF_K)) == [4, 9]
        with pytest.raises(PromptError, match=r"Confirm a slice of the segment first \(C\)"):
            sent(drawn(*range(3, 15)), NOTHING)

    def test_nothing_is_taken_for_drawn_in_a_loaded_scene(self) -> None:
        assert sorted(sent(drawn(2, 4, 15), OF_K, has_unknown=True)) == [4, 9]

    def test_an_empty_segment_confirms_nothing(self) -> None:
        with pytest.raises(PromptError):
            sent(drawn(), OF_K)

    def test_other_segments(self) -> None:
        other, third = np.roll(drawn(4, 6), 2, axis=0), np.roll(drawn(5), -2, axis=1)
        three = layers(one=drawn(4), other=other, third=third)
        request = Completion(three, "one", OF_K, {"window": "lung"}).request()
        assert np.array_equal(decoded(request["others"]), other | third)
        assert request["window"] == "lung"
        alone = Completion(three, "one", OF_K, {}, keeps_others=False).request()
        assert alone["others"] is None

    def test_voxels_that_another_segment_took_are_no_correction(self) -> None:
        made = drawn(*range(3, 15))
        other = np.zeros(SHAPE, bool)
        other[4:6, 4:6, 6] = True
        two = layers(one=made & ~other, other=other)
        request = Completion(two, "one", OF_K, {}, 2, (whole(made),)).request()
        assert [each["index"] for each in request["confirmed"]] == [4, 9]
