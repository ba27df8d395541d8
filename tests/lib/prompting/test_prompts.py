"""Prompts: strict parsing, checks against the volume, sections by slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segsam.errors import PromptError
from segsam.prompting.parsing import MAX_PROMPTS
from segsam.prompting.prompts import Box, Point, Prompts, SlicePrompts

SHAPE = (20, 30, 40)


def checked(*points: Point, boxes: tuple[Box, ...] = (), shape: Any = SHAPE) -> Any:
    return Prompts(points, boxes).checked(shape)


class TestFromJson:
    def test_everything(self) -> None:
        prompts = Prompts.from_json(
            {
                "points": [{"ijk": [1, 2, 3]}, {"ijk": [4, 5, 6], "positive": False}],
                "boxes": [{"min_ijk": [1, 2, 3], "max_ijk": [4, 5, 6]}],
            }
        )
        assert prompts == Prompts(
            [Point((1, 2, 3)), Point((4, 5, 6), positive=False)], [Box((1, 2, 3), (4, 5, 6))]
        )
        assert Prompts.from_json(prompts.to_json()) == prompts

    def test_a_box_may_be_negative(self) -> None:
        corners = {"min_ijk": [1, 2, 3], "max_ijk": [4, 5, 6]}
        value = {"boxes": [{**corners, "positive": False}, {**corners, "positive": True}]}
        prompts = Prompts.from_json(value)
        box = Box((1, 2, 3), (4, 5, 6))
        assert prompts == Prompts(boxes=[box], negative_boxes=[box])
        assert Prompts.from_json(prompts.to_json()) == prompts
        with pytest.raises(PromptError, match=r"boxes\[0\].positive to be true or false, got 1"):
            Prompts.from_json({"boxes": [{**corners, "positive": 1}]})

    def test_an_empty_object_gives_no_prompts(self) -> None:
        assert Prompts.from_json({}) == Prompts()

    def test_whole_floats_are_whole(self) -> None:
        point = Prompts.from_json({"points": [{"ijk": [1.0, 2, 3.0]}]}).points[0]
        assert point.ijk == (1, 2, 3)
        assert all(type(index) is int for index in point.ijk)

    @pytest.mark.parametrize(
        ("value", "sentence"),
        [
            (None, "Expected prompts to be an object with points, boxes, got None"),
            ([1], r"prompts to be an object .* got \[1\]"),
            ("x", "prompts to be an object"),
            ({"point": []}, "only the keys points, boxes in prompts, got 'point'"),
            ({"__proto__": 1}, "got '__proto__'"),
            ({"points": {}}, "points to be a list, got {}"),
            ({"points": "abc"}, "points to be a list, got 'abc'"),
            ({"points": [[1, 2, 3]]}, r"points\[0\] to be an object with ijk, positive"),
            ({"points": [{}]}, r"ijk in points\[0\], got none"),
            ({"points": [{"ijk": [1, 2]}]}, r"points\[0\].ijk as three whole numbers .* \[1, 2\]"),
            ({"points": [{"ijk": [1, 2, 3, 4]}]}, "three whole numbers"),
            ({"points": [{"ijk": [1, 2, 3.5]}]}, r"three whole numbers .* 3\.5 in \[1, 2, 3\.5\]"),
            ({"points": [{"ijk": [1, 2, float("nan")]}]}, "whole numbers .* got nan in"),
            ({"points": [{"ijk": [1, 2, float("inf")]}]}, "whole numbers .* got inf in"),
            ({"points": [{"ijk": [1, 2, True]}]}, "whole numbers .* got True in"),
            ({"points": [{"ijk": [1, 2, "3"]}]}, "whole numbers .* got '3' in"),
            ({"points": [{"ijk": [1, 2, None]}]}, "whole numbers .* got None in"),
            ({"points": [{"ijk": "123"}]}, "three whole numbers"),
            ({"points": [{"ijk": [1, 2, 3], "positive": 1}]}, "positive to be true or false"),
            ({"points": [{"ijk": [1, 2, 3], "label": 1}]}, "ijk, positive in .* got 'label'"),
            ({"boxes": [{"min_ijk": [1, 2, 3]}]}, r"max_ijk in boxes\[0\], got none"),
            ({"boxes": [{"min_ijk": 1, "max_ijk": 2}]}, r"boxes\[0\].min_ijk as three whole"),
            ({"boxes": 5}, "boxes to be a list, got 5"),
        ],
    )
    def test_anything_else_is_refused_by_name(self, value: object, sentence: str) -> None:
        with pytest.raises(PromptError, match=sentence):
            Prompts.from_json(value)

    def test_a_million_points_are_refused_before_they_are_read(self) -> None:
        with pytest.raises(PromptError, match=f"at most {MAX_PROMPTS} points, got 1000000"):
            Prompts.from_json({"points": [None] * 1_000_000})

    def test_huge_numbers_do_not_fill_the_sentence(self) -> None:
        with pytest.raises(PromptError) as caught:
            Prompts.from_json({"points": [{"ijk": ["9" * 10_000, 2, 3]}]})
        assert len(str(caught.value)) < 400

    def test_huge_whole_numbers_are_refused_as_outside(self) -> None:
        with pytest.raises(PromptError, match="inside a volume, got"):
            Prompts.from_json({"points": [{"ijk": [10**400, 2, 3]}]}).checked(SHAPE)
        with pytest.raises(PromptError, match="inside a volume, got a very long int"):
            Prompts.from_json({"points": [{"ijk": [10**5000, 2, 3.5]}]})

    def test_deep_nesting_does_not_fill_the_sentence(self) -> None:
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(PromptError) as caught:
            Prompts.from_json({"points": [{"ijk": [1, 2, deep]}]})
        assert len(str(caught.value)) < 400


class TestFromText:
    def test_everything(self) -> None:
        prompts = Prompts.from_text(["1,2,3", "4, 5, 6,-", "7,8,9,+"], ["1,2,3,4,5,6"])
        assert [point.positive for point in prompts.points] == [True, False, True]
        assert prompts.points[1].ijk == (4, 5, 6)
        assert prompts.boxes == (Box((1, 2, 3), (4, 5, 6)),)
        negative = Prompts.from_text(["1,2,3"], ["1,2,3,4,5,6, -"])
        assert negative.negative_boxes == prompts.boxes
        assert negative.boxes == ()

    @pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "1,2,3,-,-", "1 2 3"])
    def test_other_forms_of_points_are_refused(self, text: str) -> None:
        with pytest.raises(PromptError, match="a point as i,j,k or i,j,k,-"):
            Prompts.from_text([text])

    @pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5,6,7", "1,2,3,4,5,6,-,-"])
    def test_other_forms_of_boxes_are_refused(self, text: str) -> None:
        with pytest.raises(PromptError, match="a box as i0,j0,k0,i1,j1,k1"):
            Prompts.from_text([], [text])

    @pytest.mark.parametrize("number", ["x", "1.5", "nan", "inf", "", "1e999"])
    def test_other_numbers_are_refused(self, number: str) -> None:
        with pytest.raises(PromptError, match="Expected whole numbers"):
            Prompts.from_text([f"1,2,{number}"])


class TestConstruction:
    def test_lists_become_tuples_and_numpy_numbers_become_ints(self) -> None:
        prompts = Prompts([Point(np.array([1, 2, 3]).tolist())], [])
        assert prompts.points == (Point((1, 2, 3)),)
        point = Point((np.int64(1), np.float32(2.0), np.uint8(3)))
        assert point.ijk == (1, 2, 3)
        assert all(type(index) is int for index in point.ijk)

    def test_hashable(self) -> None:
        assert len({Prompts([Point((1, 2, 3))]), Prompts((Point((1, 2, 3)),))}) == 1

    @pytest.mark.parametrize("ijk", [(1, 2), (1.5, 2, 3), "123", 5, None])
    def test_a_point_is_three_whole_numbers(self, ijk: Any) -> None:
        with pytest.raises(PromptError, match="three whole numbers"):
            Point(ijk)

    def test_positive_is_true_or_false(self) -> None:
        with pytest.raises(PromptError, match=r"true or false as .* got 1"):
            Point((1, 2, 3), 1)  # type: ignore[arg-type]

    def test_too_many(self) -> None:
        with pytest.raises(PromptError, match=f"at most {MAX_PROMPTS} boxes"):
            Prompts(boxes=[Box((0, 0, 0), (1, 1, 1))] * (MAX_PROMPTS + 1))


class TestChecks:
    def test_valid_prompts_are_unchanged(self) -> None:
        prompts = Prompts(
            [Point((0, 0, 0)), Point((19, 29, 39), False)], [Box((0, 0, 0), (5, 5, 5))]
        )
        assert prompts.checked(SHAPE) == (prompts, ())

    def test_nothing(self) -> None:
        with pytest.raises(PromptError, match="at least one point or box"):
            checked()

    def test_only_negative(self) -> None:
        with pytest.raises(PromptError, match=r"positive point or a box, got 1 negative"):
            checked(Point((1, 1, 1), positive=False))

    def test_a_negative_point_beside_a_box_is_fine(self) -> None:
        _, notes = checked(Point((1, 1, 1), positive=False), boxes=(Box((0, 0, 0), (5, 5, 5)),))
        assert notes == ()

    def test_a_negative_box_is_checked_as_others_are(self) -> None:
        whole, outside = Box((0, 0, 0), (19, 29, 39)), Box((5, 5, 5), (25, 9, 9))
        prompts, notes = Prompts(boxes=(whole,), negative_boxes=(outside,)).checked(SHAPE)
        assert prompts == Prompts((), (whole,), (Box((5, 5, 5), (19, 9, 9)),))
        assert "was clipped to (5, 5, 5) ... (19, 9, 9)" in notes[0]
        with pytest.raises(PromptError, match=r"got 0 negative point\(s\) and 1 negative box"):
            Prompts(negative_boxes=(outside,)).checked(SHAPE)
        with pytest.raises(PromptError, match=r"\(6, 6, 6\) is positive and lies in the negative"):
            Prompts((Point((6, 6, 6)),), (), (outside,)).checked(SHAPE)

    def test_a_negative_box_prompts_no_slice(self) -> None:
        flat, other = Box((0, 0, 3), (5, 5, 3)), Box((2, 2, 7), (4, 4, 9))
        prompts = Prompts(boxes=(flat,), negative_boxes=(other,))
        assert prompts.slices_along(2) == (3,)
        assert prompts.flat_axis == 2

    def test_a_voxel_is_inside_or_outside(self) -> None:
        same = Point((1, 2, 3))
        assert checked(same, same)[1] == ()
        with pytest.raises(PromptError, match=r"point \(1, 2, 3\) is positive and negative: expec"):
            checked(same, Point((1, 2, 4), positive=False), Point((1, 2, 3), positive=False))

    @pytest.mark.parametrize(
        ("ijk", "axis"),
        [((20, 0, 0), "i must be 0 to 19"), ((0, -1, 0), "j must be"), ((0, 0, 40), "k must be")],
    )
    def test_outside_by_one(self, ijk: tuple[int, int, int], axis: str) -> None:
        with pytest.raises(PromptError, match=r"outside the volume of 20x30x40") as caught:
            checked(Point(ijk))
        assert str(ijk) in str(caught.value)
        assert axis in str(caught.value)

    def test_reversed(self) -> None:
        with pytest.raises(PromptError, match=r"reversed along j: min 9 is above max 3"):
            checked(boxes=(Box((1, 9, 1), (5, 3, 5)),))

    @pytest.mark.parametrize("box", [Box((20, 0, 0), (25, 5, 5)), Box((0, 0, -9), (5, 5, -1))])
    def test_wholly_outside(self, box: Box) -> None:
        with pytest.raises(PromptError, match="lies wholly outside the volume of 20x30x40"):
            checked(boxes=(box,))

    def test_a_box_partly_outside_is_clipped_with_a_note(self) -> None:
        prompts, notes = checked(boxes=(Box((-3, 2, 30), (5, 40, 45)), Box((0, 0, 0), (1, 1, 1))))
        assert prompts.boxes[0] == Box((0, 2, 30), (5, 29, 39))
        assert len(notes) == 1
        assert "was clipped to (0, 2, 30) ... (5, 29, 39)" in notes[0]
        assert "20x30x40" in notes[0]

    def test_a_line_is_no_box(self) -> None:
        with pytest.raises(PromptError, match="degenerate: it is one voxel thick along i and k"):
            checked(boxes=(Box((3, 2, 5), (3, 9, 5)),))

    def test_a_box_that_clipping_made_a_line(self) -> None:
        with pytest.raises(PromptError, match=r"degenerate \(within the volume\)"):
            checked(boxes=(Box((-5, 2, 5), (0, 9, 5)),))

    def test_one_voxel_is_no_box(self) -> None:
        with pytest.raises(PromptError, match="thick along i and j and k"):
            checked(boxes=(Box((3, 3, 3), (3, 3, 3)),))

    def test_thin_is_fine_where_the_volume_is(self) -> None:
        box = Box((0, 0, 2), (0, 0, 8))
        assert checked(boxes=(box,), shape=(1, 1, 40))[0].boxes == (box,)
        with pytest.raises(PromptError, match="degenerate"):
            checked(boxes=(box,), shape=(1, 30, 40))


class TestBox:
    box = Box((0, 0, 0), (9, 9, 3))

    def test_intersection_and_iou(self) -> None:
        other = Box((5, 5, 2), (14, 14, 2))
        assert self.box.intersection(other) == Box((5, 5, 2), (9, 9, 2))
        assert self.box.iou(other) == 25 / (400 + 100 - 25)
        assert self.box.iou(self.box) == 1

    def test_boxes_that_share_no_voxel(self) -> None:
        other = Box((0, 0, 4), (9, 9, 5))
        assert self.box.intersection(other) is None
        assert self.box.iou(other) == 0

    def test_both_corners_are_inside(self) -> None:
        assert self.box.contains((0, 0, 0))
        assert self.box.contains((9, 9, 3))
        assert not self.box.contains((9, 9, 4))


class TestSlices:
    prompts = Prompts(
        [Point((1, 2, 3)), Point((4, 5, 6)), Point((7, 8, 9), positive=False)],
        [Box((0, 0, 5), (9, 9, 7))],
    )

    def test_prompted_slices(self) -> None:
        assert self.prompts.slices_along(2) == (3, 5, 6, 7)
        assert Prompts([Point((1, 2, 3))]).slices_along(0) == (1,)

    def test_prompts_on_a_slice(self) -> None:
        there = self.prompts.on_slice(2, 6)
        section = Box((0, 0, 6), (9, 9, 6))
        assert there == SlicePrompts((Point((4, 5, 6)),), sections=(section,))
        assert self.prompts.on_slice(2, 9).points == (Point((7, 8, 9), positive=False),)
        assert self.prompts.on_slice(2, 12) == SlicePrompts()

    def test_sections_across_other_axes(self) -> None:
        assert self.prompts.on_slice(0, 3).sections == (Box((3, 0, 5), (3, 9, 7)),)

    def test_a_box_drawn_on_the_slice_is_not_a_section(self) -> None:
        drawn = Box((1, 1, 4), (5, 5, 4))
        assert Prompts(boxes=[drawn]).on_slice(2, 4) == SlicePrompts(boxes=(drawn,))

    def test_lone_points(self) -> None:
        assert self.prompts.on_slice(2, 3).is_lone_point
        assert not self.prompts.on_slice(2, 6).is_lone_point
        assert not self.prompts.on_slice(2, 9).is_lone_point
        assert not SlicePrompts().is_lone_point

    @pytest.mark.parametrize(
        ("boxes", "axis"),
        [
            ([], None),
            ([Box((0, 0, 5), (9, 9, 5))], 2),
            ([Box((3, 0, 0), (3, 9, 9))], 0),
            ([Box((0, 0, 5), (9, 9, 7))], None),
            ([Box((0, 0, 5), (9, 9, 5)), Box((1, 1, 8), (4, 4, 8))], 2),
            ([Box((0, 0, 5), (9, 9, 5)), Box((3, 1, 8), (3, 4, 9))], None),
            ([Box((0, 0, 5), (9, 9, 5)), Box((0, 0, 5), (9, 9, 7))], None),
            ([Box((0, 0, 2), (0, 0, 8))], None),
        ],
    )
    def test_the_axis_of_flat_boxes(self, boxes: list[Box], axis: int | None) -> None:
        assert Prompts(boxes=boxes).flat_axis == axis
