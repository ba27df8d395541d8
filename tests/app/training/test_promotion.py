"""When a version replaces the one before: floor, margin, and what is said about both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from segsam.training.validation import ValidationScore
from segsam_app.training.comparison import (
    CASE_SD,
    OBJECT_SD,
    ONE_SIDED_95,
    UNSEEN_MARGIN,
    Difference,
    differences,
    weigh,
)
from segsam_app.training.promotion import Scores, decide
from segsam_app.versions.record import Evidence

SURE = Evidence(cases=4, slices=90, objects=200, gain=3, margin=1)


def scores(
    before: Mapping[str, float], after: Mapping[str, float], evidence: Evidence | None = SURE
) -> Scores:
    return Scores.compare(before, after, evidence)


def by_prompt(box: Sequence[float], point: Sequence[float]) -> dict[str, list[ValidationScore]]:
    """Scores of objects, two in each slice and four in each case."""
    return {
        prompt: [
            ValidationScore("new 1", 1, value, slice=f"new 1/case{n // 4}/k{n // 2}")
            for n, value in enumerate(values)
        ]
        for prompt, values in (("box", box), ("point", point))
    }


class TestFloor:
    @pytest.mark.parametrize("tolerance", [0.0, 50.0, 100.0])
    @pytest.mark.parametrize(
        ("after", "which"),
        [
            ({"dsc_box": 95.0, "dsc_point": 35.9}, "by point 40.0 before, 35.9 after"),
            ({"dsc_box": 71.9, "dsc_point": 90.0}, "by box 80.0 before, 71.9 after"),
            ({"dsc_box": 0.1, "dsc_point": 0.1}, "by box 80.0 before, 0.1 after and by point 40"),
            ({"dsc_box": 95.0}, "by point 40.0 before, 0.0 after"),
        ],
    )
    def test_it_holds_whatever_tolerance_says(
        self, tolerance: float, after: dict[str, float], which: str
    ) -> None:
        before = {"dsc_box": 80.0, "dsc_point": 40.0}
        promoted, why = decide(scores(before, after), tolerance, "0003")
        assert not promoted
        assert why.startswith(f"the Dice of 0003 is not kept: {which}")
        assert "keeps 90% of each, whatever tolerance says" in why

    def test_names_do_not_make_up_for_it(self) -> None:
        before = {"dsc_box": 80.0, "dsc_point": 40.0, "mdsc_box": 0.0}
        after = {"dsc_box": 60.0, "dsc_point": 40.0, "mdsc_box": 90.0}
        assert not decide(scores(before, after), 100, "0000")[0]

    def test_a_small_fall_is_what_tolerance_allows(self) -> None:
        before, after = {"dsc_box": 80.0, "dsc_point": 40}, {"dsc_box": 79.0, "dsc_point": 39}
        fell = Evidence(cases=4, slices=90, objects=200, gain=-1, margin=0.9)
        assert not decide(scores(before, after, fell), 0, "0000")[0]
        assert not decide(scores(before, after, fell), 1.5, "0000")[0]
        promoted, why = decide(scores(before, after, fell), 2, "0000")
        assert promoted
        assert "(it may fall by 2); the Dice fell by 1.0 points, with a margin of 0.9" in why


class TestMargin:
    BEFORE, AFTER = {"dsc_box": 80.0, "mdsc_box": 0.0}, {"dsc_box": 81.0, "mdsc_box": 50.0}

    def test_a_gain_within_its_margin_does_not_promote(self) -> None:
        """A rise of the mean score by the names alone, 46.6 to 50.8 say, is not enough."""
        few = Evidence(cases=1, slices=8, objects=12, gain=1, margin=2.9)
        promoted, why = decide(scores(self.BEFORE, self.AFTER, few), 0, "0000")
        assert not promoted
        assert why.startswith("the Dice on other patients may be worse than that of 0000: it rose")
        assert "1.0 points, with a margin of 2.9, on 12 objects in 8 slices of 1 held-out" in why
        assert why.endswith("choose the version by hand if it is better, or label more cases")

    def test_a_gain_beyond_it_does(self) -> None:
        promoted, why = decide(scores(self.BEFORE, self.AFTER), 0, "0000")
        assert promoted
        assert why == (
            "the mean score is not worse than that of 0000: 40.0 before, 65.5 after; the Dice "
            "rose by 3.0 points, with a margin of 1.0, on 200 objects in 90 slices of 4 held-out "
            "cases"
        )

    def test_new_names_need_a_point_less_of_it_and_no_fall(self) -> None:
        """The version before gives them to nothing; known names make up for no mask."""
        near = Evidence(cases=1, slices=60, objects=112, gain=0.5, margin=0.9)
        both = scores(self.BEFORE, self.AFTER, near)
        assert not decide(both, 0, "0000")[0]
        promoted, why = decide(both, 0, "0000", ["plica", "uvula"])
        assert promoted
        assert why.endswith("slices of 1 held-out case; new names: plica, uvula")
        for change in ({"margin": 1.6}, {"gain": -0.1, "margin": 0.5}):
            unsure = scores(self.BEFORE, self.AFTER, near.model_copy(update=change))
            assert not decide(unsure, 0, "0000", ["plica"])[0]

    def test_without_objects_nothing_is_promoted(self) -> None:
        promoted, why = decide(scores(self.BEFORE, self.AFTER, None), 100, "0000")
        assert (promoted, why.partition(",")[0]) == (False, "no score could be compared")


class TestEvidence:
    def test_objects_are_compared_one_by_one(self) -> None:
        before = by_prompt([0.8] * 8, [0.5] * 8)
        after = by_prompt([0.9] * 4 + [0.8] * 4, [0.5] * 8)
        found = differences(before, after)
        assert [each.points for each in found] == pytest.approx([5.0] * 4 + [0.0] * 4)
        evidence = weigh(found, held_out=True)
        assert evidence is not None
        assert (evidence.cases, evidence.slices, evidence.objects) == (2, 4, 8)
        assert evidence.gain == 2.5
        expected = max(OBJECT_SD**2 / 8 + CASE_SD**2 / 2, 12.5 / 2) ** 0.5
        assert evidence.margin == pytest.approx(ONE_SIDED_95 * expected, abs=0.006)

    def test_without_a_held_out_case_the_margin_is_wider(self) -> None:
        found = differences(by_prompt([0.5] * 8, [0.5] * 8), by_prompt([0.6] * 8, [0.6] * 8))
        sure, unsure = weigh(found, held_out=True), weigh(found, held_out=False)
        assert sure is not None
        assert unsure is not None
        assert unsure.cases == 0
        assert unsure.margin - sure.margin == pytest.approx(UNSEEN_MARGIN)

    def test_nothing_to_compare(self) -> None:
        assert weigh([], held_out=True) is None
        assert differences(by_prompt([0.5], [0.5]), by_prompt([], [])) == []

    @pytest.mark.parametrize(("cases", "objects"), [(1, 30), (2, 30), (5, 20), (20, 6)])
    def test_a_version_that_is_not_better_is_rarely_promoted(
        self, cases: int, objects: int
    ) -> None:
        """True gain 0, with the spread of objects and of patients that was measured."""
        rng = np.random.default_rng(5)
        promoted = 0
        for _ in range(400):
            found = [
                Difference(f"case{case}", f"case{case}/{n}", float(mean + rng.normal(0, 5.6)))
                for case, mean in enumerate(rng.normal(0, 0.5, cases))
                for n in range(objects)
            ]
            evidence = weigh(found, held_out=True)
            assert evidence is not None
            promoted += evidence.gain > evidence.margin
        assert promoted <= 0.08 * 400
