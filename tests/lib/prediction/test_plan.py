from __future__ import annotations

import numpy as np
import pytest

from segsam.prediction.labels import Region
from segsam.prediction.plan import SIXTH, boxes_of_mask, middle_slices, nearest_slices, plan_axis
from segsam.prompting.prompts import Box, Point, Prompts, SlicePrompts

SOLID = Box((1, 2, 10), (8, 9, 20))
FLAT = Box((1, 2, 30), (8, 9, 30))


def followed(prompts: Prompts, *, propagate: bool | None, depth: int = 50) -> dict[int, list[int]]:
    """Return seed -> slices followed from it; the first candidate of each group is its seed."""
    found: dict[int, list[int]] = {}
    plan = plan_axis(prompts, 2, propagate=propagate)
    seeds = [*plan.prompted, *(min(group) for group in plan.candidates)]
    for part in plan.slices_to_follow(seeds, depth):
        found.setdefault(part.seed, []).extend(part.indices)
    return found


class TestSolidBox:
    def test_without_propagation_every_slice_gets_its_section(self) -> None:
        plan = plan_axis(Prompts(boxes=[SOLID]), 2, propagate=False)
        assert sorted(plan.prompted) == list(range(10, 21))
        assert plan.prompted[12] == SlicePrompts(sections=(SOLID.section(2, 12),))
        assert list(plan.slices_to_follow([12], 50)) == []

    @pytest.mark.parametrize("propagate", [True, None])
    def test_followed_from_its_middle_to_its_ends_and_no_further(
        self, propagate: bool | None
    ) -> None:
        assert followed(Prompts(boxes=[SOLID]), propagate=propagate) == {
            13: [12, 11, 10, 14, 15, 16, 17, 18, 19, 20]
        }

    def test_the_seed_is_chosen_in_the_middle_third(self) -> None:
        plan = plan_axis(Prompts(boxes=[SOLID]), 2, propagate=None)
        assert not plan.prompted
        assert [sorted(group) for group in plan.candidates] == [[13, 14, 15, 16, 17]]
        assert plan.candidates[0][13] == SlicePrompts(sections=(SOLID.section(2, 13),))

    def test_never_more_candidates_than_thirteen(self) -> None:
        chosen = middle_slices(Box((0, 0, 0), (5, 5, 299)), 2)
        assert (len(chosen), chosen[0], chosen[-1]) == (13, 100, 199)
        chosen = middle_slices(Box((0, 0, 0), (5, 5, 299)), 2, SIXTH)
        assert (len(chosen), chosen[0], chosen[-1]) == (13, 50, 249)
        assert middle_slices(Box((0, 0, 4), (5, 5, 5)), 2) == (4, 5)

    def test_a_box_drawn_inside_needs_no_candidates(self) -> None:
        drawn = Box((2, 3, 12), (7, 8, 12))
        plan = plan_axis(Prompts(boxes=[SOLID, drawn]), 2, propagate=None)
        assert sorted(plan.prompted) == [12]
        assert plan.candidates == ()

    def test_points_inside_are_further_seeds(self) -> None:
        prompts = Prompts([Point((4, 4, 12)), Point((4, 4, 19), positive=False)], [SOLID])
        assert followed(prompts, propagate=None) == {
            12: [11, 10],
            13: [14, 15, 16, 17, 18, 19, 20],
        }

    def test_the_limit_holds_all_solid_boxes(self) -> None:
        other = Box((5, 0, 15), (12, 4, 25))
        plan = plan_axis(Prompts(boxes=[SOLID, other]), 2, propagate=None)
        assert plan.limit == Box((1, 0, 10), (12, 9, 25))


class TestFlatPrompts:
    def test_stay_on_their_slices_unless_propagated(self) -> None:
        for propagate in (None, False):
            plan = plan_axis(Prompts(boxes=[FLAT]), 2, propagate=propagate)
            assert sorted(plan.prompted) == [30]
            assert list(plan.slices_to_follow([30], 50)) == []

    def test_propagate_to_both_ends_of_the_volume(self) -> None:
        assert followed(Prompts(boxes=[FLAT]), propagate=True, depth=33) == {
            30: [*range(29, -1, -1), 31, 32]
        }

    def test_two_seeds_meet_halfway(self) -> None:
        prompts = Prompts([Point((0, 0, 3)), Point((0, 0, 8))])
        assert followed(prompts, propagate=True, depth=10) == {
            3: [2, 1, 0, 4, 5],
            8: [7, 6, 9],
        }

    def test_every_other_slice_is_visited_exactly_once(self) -> None:
        prompts = Prompts([Point((0, 0, k)) for k in (0, 1, 7, 20, 21, 49)])
        visited = [k for part in followed(prompts, propagate=True).values() for k in part]
        assert sorted(visited) == sorted(set(range(50)) - {0, 1, 7, 20, 21, 49})


class TestBoxesOfMask:
    def test_one_tight_box_per_slice_of_another_axis(self) -> None:
        mask = np.zeros((10, 11, 12), dtype=bool)
        mask[4:6, 3:8, 2:9] = True
        mask[5, 9, 4] = True
        plan = boxes_of_mask(Region.of_mask(mask), 0)
        assert sorted(plan.prompted) == [4, 5]
        assert plan.prompted[4].boxes == (Box((4, 3, 2), (4, 7, 8)),)
        assert plan.prompted[5].boxes == (Box((5, 3, 2), (5, 9, 8)),)

    def test_nothing_found_prompts_nothing(self) -> None:
        assert not boxes_of_mask(Region.empty((4, 4, 4)), 1).prompted


class TestNearestSlices:
    @pytest.mark.parametrize(
        ("index", "count", "expected"),
        [(2, 9, [2, 3, 1, 4, 0, 5]), (2, 3, [2, 3, 1]), (0, 3, [0, 1, 2]), (5, 3, [5, 4, 3])],
    )
    def test_from_the_middle_to_both_sides(
        self, index: int, count: int, expected: list[int]
    ) -> None:
        assert list(nearest_slices(index, 6, count)) == expected

    def test_an_index_outside_counts_as_the_nearest_inside(self) -> None:
        assert list(nearest_slices(99, 6, 2)) == [5, 4]
        assert list(nearest_slices(-1, 6, 2)) == [0, 1]
