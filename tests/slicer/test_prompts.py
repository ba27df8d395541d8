"""Prompts as plain data: in a request, and stored in a scene."""

from __future__ import annotations

import json

import pytest
from SEGSAMLib.Errors import PromptError
from SEGSAMLib.Values.Geometry import Box
from SEGSAMLib.Values.Prompts import NO_PROMPTS, Point, PromptSet, Scribble

FULL = PromptSet(
    (Point((1, 2, 3)), Point((4, 5, 6), positive=False)),
    (Box((0, 0, 3), (5, 6, 3)), Box((0, 0, 0), (9, 9, 9))),
    (Scribble(((1, 1, 1), (2, 2, 2))), Scribble(((7, 7, 7),), positive=False)),
)


def test_kept_and_read_again() -> None:
    assert PromptSet.from_text(FULL.to_text()) == FULL
    assert PromptSet.from_text(NO_PROMPTS.to_text()) == NO_PROMPTS


def test_the_request_says_everything_once() -> None:
    twice = FULL.plus(Point((1, 1, 1), positive=False), Point((1, 2, 3)))
    points = twice.to_request()["points"]
    assert len({tuple(point["ijk"]) for point in points}) == len(points)
    assert {"ijk": [1, 1, 1], "positive": True} in points  # the scribble came after
    assert json.dumps(twice.to_request())


def test_the_last_word_about_a_voxel_wins() -> None:
    prompts = NO_PROMPTS.plus(Point((1, 1, 1)), Point((1, 1, 1), positive=False), Point((2, 2, 2)))
    assert prompts.all_points == (Point((1, 1, 1), positive=False), Point((2, 2, 2)))


@pytest.mark.parametrize("prompts", [NO_PROMPTS, NO_PROMPTS.plus(Point((1, 1, 1), positive=False))])
def test_what_marks_nothing_is_refused(prompts: PromptSet) -> None:
    assert not prompts.marks_object
    with pytest.raises(PromptError, match="Mark the object first"):
        prompts.to_request()


def test_more_prompts_come_last() -> None:
    point = Point((9, 9, 9))
    assert FULL.plus(point).points == (*FULL.points, point)
    assert FULL.plus(point).boxes == FULL.boxes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        '{"format": 1}',
        '{"format": 1, "points": [[1, 2]], "boxes": [], "scribbles": []}',
        '{"format": 1, "points": [[1, 2, "x", 1]], "boxes": [], "scribbles": []}',
        '{"format": 1, "points": 7, "boxes": [], "scribbles": []}',
        '{"format": 1, "points": [], "boxes": [[1, 2, 3, 4, 5, 6.5]], "scribbles": []}',
        "[" * 100_000,
    ],
)
def test_what_nobody_wrote_is_refused(text: str) -> None:
    with pytest.raises(PromptError, match="cannot be read"):
        PromptSet.from_text(text)


def test_a_newer_format_says_so() -> None:
    with pytest.raises(PromptError, match="newer version"):
        PromptSet.from_text('{"format": 2}')
