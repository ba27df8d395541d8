"""Stock dialect, with the weaknesses of the stock module corrected."""

from __future__ import annotations

from typing import Any

import pytest

from segsam.errors import PromptError
from segsam.prompting.prompts import Box, Point, Prompts
from segsam.types import PropagateChoice
from segsam_app.errors import RequestError
from segsam_app.inference.dialects import ImageRequest, read_request

SHAPE = (64, 48, 8)


def click(**params: Any) -> ImageRequest:
    return read_request(params).for_image(SHAPE)


def test_points_inside_and_outside() -> None:
    asked = click(label="spleen", foreground=[[10, 20, 3]], background=[[1, 2, 3]])
    assert asked.prompts == Prompts(points=(Point((10, 20, 3)), Point((1, 2, 3), positive=False)))
    assert (asked.label, asked.form, asked.axis) == ("spleen", "volume", None)


def test_a_box_is_sorted_and_clamped() -> None:
    asked = click(roi=[40, 10, 50, -3, 5, 2])
    assert asked.prompts == Prompts(boxes=(Box((10, 0, 2), (40, 47, 5)),))


def test_points_and_a_box_are_one_prompt() -> None:
    asked = click(foreground=[[20, 20, 3]], roi=[10, 40, 10, 30, 2, 4])
    assert asked.prompts.points == (Point((20, 20, 3)),)
    assert asked.prompts.boxes == (Box((10, 10, 2), (40, 30, 4)),)


def test_points_are_filtered_by_slice_even_by_slice_0() -> None:
    points = [[1, 1, 0], [2, 2, 3]]
    asked = click(foreground=points, background=[[3, 3, 3], [4, 4, 0]], slice=0)
    assert [point.ijk for point in asked.prompts.points] == [(1, 1, 0), (4, 4, 0)]
    assert asked.axis == "k"


def test_a_slice_inside_the_box_cuts_it() -> None:
    asked = click(roi=[10, 40, 10, 30, 2, 4], slice=3)
    assert asked.prompts.boxes == (Box((10, 10, 3), (40, 30, 3)),)
    assert asked.notes == ()


def test_a_flat_box_wins_over_a_slice_in_millimetres() -> None:
    asked = click(roi=[10, 40, 10, 30, 2, 2], foreground=[[20, 20, 2], [9, 9, 5]], slice=152)
    assert asked.prompts.boxes == (Box((10, 10, 2), (40, 30, 2)),)
    assert [point.ijk for point in asked.prompts.points] == [(20, 20, 2)]
    assert asked.notes == ("slice 152 is not the box's slice 2; the box was used",)


def test_a_slice_outside_a_deep_box_is_ignored() -> None:
    asked = click(roi=[10, 40, 10, 30, 2, 4], slice=152)
    assert asked.prompts.boxes == (Box((10, 10, 2), (40, 30, 4)),)
    assert asked.notes == ("slice 152 is not in the box's slices 2 to 4; all were used",)


def test_the_models_options_are_read() -> None:
    asked = click(foreground=[[1, 2, 3]], axis="j", propagate=True, result_extension=".nii.gz")
    assert (asked.axis, asked.propagate, asked.extension) == ("j", True, ".nii.gz")


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("in boxes", None),
        ("always", True),
        ("never", False),
        ("memory", "memory"),
        (None, None),
    ],
)
def test_propagation_is_chosen_by_words(option: str | None, meant: PropagateChoice | None) -> None:
    assert click(foreground=[[1, 2, 3]], propagate=option).propagate == meant


def test_other_keys_of_clients_have_no_effect() -> None:
    plain = click(foreground=[[1, 2, 3]])
    crowded = click(
        foreground=[[1, 2, 3]],
        roi=[],
        model="other",
        image="case0",
        device="cuda:9",
        client_id="user-xyz",
        reset_state=True,
        label_info=[{"name": "a", "idx": 1}],
        save_label=True,
        label_tag="original",
        logging="bogus",
        timeout="never",
        result_dtype="uint8",
        description="",
    )
    assert crowded == plain


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"foreground": [[1, 2]]}, r"three finite indices \[i, j, k\], got \[1\.0, 2\.0\]"),
        ({"roi": [1, 2, 3]}, r"six finite numbers"),
        ({"roi": [1, 2, 3, 4, 5, float("inf")]}, r"six finite numbers"),
        ({"roi": [64, 90, 0, 5, 0, 5]}, r"outside the image: 64 to 90 along i.*0 to 63"),
        ({"foreground": [[1, 2, 3]], "slice": 5}, r"no point lies on slice 5.*slices \[3\]"),
    ],
)
def test_impossible_prompts_are_refused(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        click(**params)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        (
            {"foregrund": []},
            r"one of the keys .*model, image.*got foregrund. The nearest is foreground",
        ),
        ({"foreground": "all"}, r"Expected foreground to be a list, got 'all'"),
        ({"result_extension": ".exe"}, r"Expected result_extension to be .*got '\.exe'"),
        ({"axis": "x"}, r"Expected axis to be .*got 'x'"),
    ],
)
def test_an_invalid_key_is_refused_by_name(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        click(**params)


def test_a_request_without_prompts_is_refused_by_the_library() -> None:
    with pytest.raises(PromptError, match="at least one point or box"):
        click().prompts.checked(SHAPE)
