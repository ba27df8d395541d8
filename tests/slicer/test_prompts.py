"""Prompts as plain data: in a request, and stored in a scene."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from SEGSAMLib.Errors import PositionError, PromptError
from SEGSAMLib.Values.Geometry import Box, VolumeGrid
from SEGSAMLib.Values.Masks import Region, part_of
from SEGSAMLib.Values.Outlines import MAX_CORNERS, MAX_POINTS, Lasso, lasso_on_slice
from SEGSAMLib.Values.Prompts import NO_PROMPTS, Point, Prompt, PromptSet, Scribble

SQUARE = ((2, 2, 4), (6, 2, 4), (6, 7, 4), (2, 7, 4))
FULL = PromptSet(
    (
        *(Point((1, 2, 3)), Box((0, 0, 3), (5, 6, 3)), Point((4, 5, 6), positive=False)),
        *(Box((0, 0, 0), (9, 9, 9)), Scribble(((1, 1, 1), (2, 2, 2)))),
        *(Lasso(SQUARE), Box((20, 20, 3), (25, 26, 3), positive=False)),
        *(Lasso(SQUARE, positive=False), Scribble(((7, 7, 7),), positive=False)),
    )
)
BEFORE_LASSOS = (
    '{"format":1,"points":[[1,2,3,1],[4,5,6,0]],"boxes":[[0,0,3,5,6,3]],'
    '"scribbles":[[1,[1,1,1],[2,2,2]],[0,[7,7,7]]]}'
)
"""As the version before wrote it."""


def test_kept_and_read_again() -> None:
    assert PromptSet.from_text(FULL.to_text()) == FULL
    assert PromptSet.from_text(NO_PROMPTS.to_text()) == NO_PROMPTS


def test_what_the_version_before_kept() -> None:
    assert PromptSet.from_text(BEFORE_LASSOS) == PromptSet(
        (
            *(Point((1, 2, 3)), Point((4, 5, 6), positive=False), Box((0, 0, 3), (5, 6, 3))),
            *(Scribble(((1, 1, 1), (2, 2, 2))), Scribble(((7, 7, 7),), positive=False)),
        )
    )


def test_the_request_says_the_sign_of_a_box_only_if_it_is_negative() -> None:
    boxes = FULL.to_request()["boxes"]
    assert boxes == [
        {"min_ijk": [0, 0, 3], "max_ijk": [5, 6, 3]},
        {"min_ijk": [0, 0, 0], "max_ijk": [9, 9, 9]},
        {"min_ijk": [2, 2, 4], "max_ijk": [6, 7, 4]},  # of the lasso
        {"min_ijk": [20, 20, 3], "max_ijk": [25, 26, 3], "positive": False},
    ]


def test_a_negative_box_takes_back_the_points_before_it() -> None:
    inside, after = Point((2, 2, 2)), Point((3, 3, 3))
    box = Box((0, 0, 0), (4, 4, 4), positive=False)
    prompts = NO_PROMPTS.plus(Point((9, 9, 9)), inside, box, after)
    assert prompts.all_points == (Point((9, 9, 9)), after)


def test_one_prompt_is_taken_out() -> None:
    left = FULL.without(2)
    assert left.items == (*FULL.items[:2], *FULL.items[3:])


class TestLassosKeepAResult:
    FILLED = Region((0, 0, 3), np.ones((10, 10, 3), dtype=bool))

    def kept(self, *items: Prompt) -> np.ndarray:
        found = NO_PROMPTS.plus(*items).kept(self.FILLED)
        assert found.min_ijk == (0, 0, 3)
        assert found.values[:, :, [0, 2]].all(), "other slices stay"
        return found.values[:, :, 1]

    def test_to_its_inside_on_its_slice(self) -> None:
        values = self.kept(Lasso(SQUARE))
        assert values[2:7, 2:8].all()
        assert np.count_nonzero(values) == 5 * 6
        assert self.FILLED.values.all(), "the region itself stays as it was"

    def test_to_its_outside_if_it_is_negative(self) -> None:
        values = self.kept(Box((0, 0, 4), (9, 9, 4)), Lasso(SQUARE, positive=False))
        assert not values[2:7, 2:8].any()
        assert np.count_nonzero(values) == 100 - 5 * 6

    def test_and_to_boxes_beside_it(self) -> None:
        values = self.kept(Lasso(SQUARE), Box((8, 8, 4), (9, 9, 4)))
        assert np.count_nonzero(values) == 5 * 6 + 4

    def test_unless_a_click_beside_it_says_more(self) -> None:
        assert self.kept(Lasso(SQUARE), Point((9, 9, 4))).all()
        assert not self.kept(Lasso(SQUARE), Point((9, 9, 3))).all()

    def test_nothing_else_changes_a_result(self) -> None:
        prompts = NO_PROMPTS.plus(*(each for each in FULL.items if not isinstance(each, Lasso)))
        assert prompts.kept(self.FILLED) is self.FILLED


class TestDrawingALasso:
    GRID = VolumeGrid.of((40, 30, 8), np.diag([-1.0, -1.0, 3.0, 1.0]))

    def drawn(self, centre_ijk: tuple[float, float, float], radius: float, count: int) -> Lasso:
        turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
        circle = np.stack([np.cos(turns), np.sin(turns), np.zeros(count)], axis=1) * radius
        return lasso_on_slice(self.GRID, self.GRID.ras(circle + centre_ijk))

    def test_it_lies_on_its_slice(self) -> None:
        lasso = self.drawn((20, 15, 4.2), 8, 400)
        assert (lasso.axis, lasso.index) == (2, 4)
        assert len(lasso.path_ijk) <= MAX_CORNERS
        i, j = np.ogrid[:40, :30]
        circle = ((i - 20) ** 2 + (j - 15) ** 2) <= 8.5**2
        filled = lasso.filled()
        found = part_of(filled, Region((0, 0, 4), np.zeros((40, 30, 1), bool)))[:, :, 0]
        assert np.count_nonzero(found != circle) < 0.08 * np.count_nonzero(circle)

    def test_its_points_lie_inside(self) -> None:
        for radius in (1, 3, 8, 13):
            lasso = self.drawn((20, 15, 4), radius, 60)
            region = lasso.filled()
            assert 1 <= len(lasso.points) <= MAX_POINTS
            for voxel in lasso.points:
                place = tuple(np.subtract(voxel, region.min_ijk))
                assert region.values[place]
        assert np.allclose(lasso.points[0], (20, 15, 4), atol=2)
        assert replace(lasso, positive=False).points == ()

    def test_it_ends_at_the_volume(self) -> None:
        box = self.drawn((2, 15, 4), 8, 100).box
        assert box.min_ijk[0] == 0

    @pytest.mark.parametrize("path", [[(5, 5, 4)], [(5, 5, 4), (9, 9, 4)], [(5, 5, 4)] * 9])
    def test_a_line_has_no_inside(self, path: list[tuple[int, int, int]]) -> None:
        with pytest.raises(PositionError, match="no area"):
            lasso_on_slice(self.GRID, self.GRID.ras(path))

    def test_it_is_in_the_volume(self) -> None:
        with pytest.raises(PositionError, match="outside the volume"):
            self.drawn((20, 15, 12), 8, 50)


def test_the_request_says_everything_once() -> None:
    twice = FULL.plus(Point((1, 1, 1), positive=False), Point((1, 2, 3)))
    points = twice.to_request()["points"]
    assert len({tuple(point["ijk"]) for point in points}) == len(points)
    assert {"ijk": [1, 1, 1], "positive": False} in points  # it came after the scribble
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
        '{"format": 2, "prompts": [["sphere", 1, 1, 2, 3]]}',
        '{"format": 2, "prompts": [["box", 1, 1, 2, 3]]}',
        '{"format": 2, "prompts": [["lasso", 1]]}',
        '{"format": 2, "prompts": [[]]}',
        "[" * 100_000,
    ],
)
def test_what_nobody_wrote_is_refused(text: str) -> None:
    with pytest.raises(PromptError, match="cannot be read"):
        PromptSet.from_text(text)


def test_a_newer_format_says_so() -> None:
    with pytest.raises(PromptError, match="newer version"):
        PromptSet.from_text('{"format": 3}')
