"""Our dialect: validated strictly, and refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from segsam.errors import PromptError
from segsam.prompting.prompts import Box, Point, Prompts
from segsam_app.errors import RequestError
from segsam_app.inference.dialects import ImageRequest, read_request
from segsam_app.strict_json import read_object

SHAPE = (64, 64, 8)
POINTS = {"points": [{"ijk": [1, 2, 3], "positive": False}, {"ijk": [4, 5, 3]}]}


def click(**params: Any) -> ImageRequest:
    return read_request(params).for_image(SHAPE)


def test_the_defaults_are_one_binary_mask_as_a_volume() -> None:
    assert click(prompts=POINTS) == ImageRequest(
        Prompts(points=(Point((1, 2, 3), positive=False), Point((4, 5, 3))))
    )


def test_every_key_is_read() -> None:
    box = {"boxes": [{"min_ijk": [0, 0, 2], "max_ijk": [9, 9, 2]}]}
    asked = click(
        prompts=box,
        axis="k",
        propagate=True,
        decoder="semantic",
        category="liver",
        window=[-160, 240],
        result="region",
        request_id="r-1",
        client_id=None,
    )
    assert asked.prompts == Prompts(boxes=(Box((0, 0, 2), (9, 9, 2)),))
    assert (asked.axis, asked.propagate, asked.decoder) == ("k", True, "semantic")
    assert (asked.category, asked.label) == ("liver", None)
    assert asked.window == (-160.0, 240.0)
    assert (asked.form, asked.request_id) == ("region", "r-1")


def test_a_box_may_be_outside_the_object() -> None:
    box = {"min_ijk": [0, 0, 2], "max_ijk": [9, 9, 2]}
    asked = click(prompts={**POINTS, "boxes": [{**box, "positive": False}]})
    assert asked.prompts.negative_boxes == (Box((0, 0, 2), (9, 9, 2)),)
    assert asked.prompts.boxes == ()


def test_a_window_may_be_named() -> None:
    assert click(prompts=POINTS, window="lung").window == "lung"


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        (
            {"image": "/etc/passwd"},
            r"Expected one of the keys .*prompts, axis, propagate.*got image",
        ),
        ({"propogate": True}, r"got propogate. The nearest is propagate"),
        ({"axis": "x"}, r"Expected axis to be 'auto'.*got 'x'"),
        ({"propagate": "yes"}, r"Expected propagate to be true or false or 'memory', got 'yes'"),
        ({"decoder": 3}, r"Expected decoder to be .*got 3"),
        ({"result": "mesh"}, r"Expected result to be 'slice'.*got 'mesh'"),
        ({"request_id": "x" * 300}, r"Expected request_id to have at most 200 characters"),
        ({"request_id": "a/b"}, r"without '/' as request_id, got the character '/'"),
        ({"window": {"a": 1}}, r"Expected window to be text or a list, got "),
        ({"window": [240, -160]}, r"window must be a preset's name or \[low, high\]"),
        ({"window": [1.0]}, r"window must be"),
        ({"window": "sunset"}, r"unknown window 'sunset'; known: .*lung"),
        ({"roi": [1, 2, 3, 4, 5, 6]}, r"prompts and roi are of two dialects"),
    ],
)
def test_an_invalid_key_is_refused_by_name(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        click(prompts=POINTS, **params)


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ({"points": [{"ijk": [1, 2]}]}, r"three whole numbers"),
        ({"lines": []}, r"got 'lines'"),
        (None, r"to be an object"),
    ],
)
def test_invalid_prompts_are_refused_by_the_library(prompts: object, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        click(prompts=prompts)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", r"params is not JSON: .* from character 1 on"),
        ("[1]", r"must be a JSON object, got an array"),
        ("null", r"got null"),
        ("true", r"got a boolean"),
        ("3", r"got a number"),
        ('"a"', r"got a string"),
        ('{"window": [NaN, 1]}', r"params holds NaN"),
        ("[" * 100_000, r"nested too deeply"),
    ],
)
def test_only_a_json_object_is_read(text: str, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        read_object(text)


def test_no_params_are_an_empty_object() -> None:
    assert read_object("") == {}
