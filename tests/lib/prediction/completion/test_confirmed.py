from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segsam.errors import PromptError
from segsam.prediction.completion.confirmed import ConfirmedSlices

SHAPE = (6, 5, 4)


def plane(*shape: int, at: tuple[int, int] = (1, 1)) -> np.ndarray[Any, Any]:
    made = np.zeros(shape, np.uint8)
    made[at] = 1
    return made


def test_letters_and_numbers_name_the_same_axes() -> None:
    by_letter = ConfirmedSlices.of({("k", 2): plane(6, 5)}, SHAPE)
    by_number = ConfirmedSlices.of({(2, 2): plane(6, 5)}, SHAPE)
    assert list(by_letter.planes) == list(by_number.planes) == [(2, 2)]
    assert by_letter.along(2)[2][1, 1]
    with pytest.raises(PromptError, match="each confirmed slice once"):
        ConfirmedSlices.of({("k", 2): plane(6, 5), (2, 2): plane(6, 5)}, SHAPE)


@pytest.mark.parametrize(
    ("planes", "sentence"),
    [
        ({}, "at least one confirmed slice that shows the object, got 0"),
        ({("k", 1): np.zeros((6, 5), np.uint8)}, "got 1 without any pixel"),
        ({("k", 4): plane(6, 5)}, "Expected confirmed slices 0 to 3 across k, got 4"),
        ({("k", -1): plane(6, 5)}, "0 to 3 across k, got -1"),
        ({("k", 1.0): plane(6, 5)}, "as a whole number, got 1.0"),
        ({("x", 1): plane(6, 5)}, "across the axis i, j or k, got 'x'"),
        ({("k", 1): plane(5, 6)}, "Expected 6 x 5 pixels on the confirmed slice k = 1, got 5 x 6"),
        ({("j", 1): plane(6, 5)}, "Expected 6 x 4 pixels on the confirmed slice j = 1"),
        ({("k", 1): plane(6, 5).astype(float)}, "a mask of whole numbers"),
    ],
)
def test_what_is_refused(planes: dict[Any, Any], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        ConfirmedSlices.of(planes, SHAPE)


def test_a_picture_has_nothing_to_complete() -> None:
    with pytest.raises(PromptError, match="got a picture"):
        ConfirmedSlices.of({("k", 0): plane(6, 5)}, (6, 5, 1))


def test_planes_that_contradict_each_other_are_refused() -> None:
    across_k, across_i = plane(6, 5, at=(3, 2)), plane(5, 4, at=(2, 1))
    ConfirmedSlices.of({("k", 1): across_k, ("i", 3): across_i}, SHAPE)
    with pytest.raises(PromptError, match=r"k = 1 and i = 3|i = 3 and k = 1") as refused:
        ConfirmedSlices.of({("k", 1): across_k, ("i", 3): plane(5, 4, at=(1, 1))}, SHAPE)
    assert "differ in 2 voxels" in str(refused.value)


def test_a_sparse_volume_gives_the_axis_with_the_fewest_slices() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 1:4, 1] = 7
    labels[2:4, 1:3, 3] = 7
    labels[0, 0, 0] = 3
    found = ConfirmedSlices.of_labels(labels, 7)
    assert (found.main_axis, sorted(found.along(2))) == (2, [1, 3])
    assert np.array_equal(found.put_into(np.zeros(SHAPE, np.bool_)), labels == 7)
    assert sorted(ConfirmedSlices.of_labels(labels, 7, "i").along(0)) == [1, 2, 3]
    with pytest.raises(PromptError, match="with the label value 9, got none"):
        ConfirmedSlices.of_labels(labels, 9)
    with pytest.raises(PromptError, match="got 0, which is the background"):
        ConfirmedSlices.of_labels(labels, 0)


def test_an_object_of_two_parts_on_one_slice_is_drawn_across_that_slice() -> None:
    labels = np.zeros((40, 30, 12), np.uint8)
    labels[3:9, 10:20, 5] = labels[25:33, 10:20, 5] = 1
    assert ConfirmedSlices.of_labels(labels, 1).along(2).keys() == {5}


def test_confirmed_planes_replace_what_was_drawn() -> None:
    found = ConfirmedSlices.of({("k", 1): plane(6, 5), ("k", 3): np.zeros((6, 5), int)}, SHAPE)
    drawn = np.ones(SHAPE, np.bool_)
    put = found.put_into(drawn)
    assert (np.count_nonzero(put[..., 1]), np.count_nonzero(put[..., 3])) == (1, 0)
    assert put[..., [0, 2]].all()
    assert drawn.all()
    assert np.array_equal(found.known().any(axis=(0, 1)), [False, True, False, True])


def test_one_more_replaces_the_one_of_its_place() -> None:
    first = ConfirmedSlices.of({("k", 1): plane(6, 5)}, SHAPE)
    second = first.with_one(2, 1, plane(6, 5, at=(4, 4)) != 0)
    assert second.planes[2, 1][4, 4]
    assert not second.planes[2, 1][1, 1]
    assert first.planes[2, 1][1, 1]
