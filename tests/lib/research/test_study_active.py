"""Simulated annotators and automatic segmentation, measured on tiny pictures with a tiny model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from segsam.categories import Categories
from segsam.datasets.splits import Split
from segsam.errors import StudyError
from segsam.evaluation.cases import select
from segsam.model import SegSam, build_variant
from segsam.proposals.automatic import Search
from segsam.research.study.active.curves import active_table, cases_needed, comparison, lines_of
from segsam.research.study.active.plan import ActivePlan
from segsam.research.study.active.simulation import Curve, CurvePoint, simulate
from segsam.research.study.automatic import automatic_table, measure_automatic
from segsam.research.study.plots import draw_lines
from segsam.research.study.stored_tables import StoredTable, load_tables, stored_table_lines

from ..conftest import TinyHost
from ..training.test_train_run import write_dataset

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def plan(tmp_path: Path) -> ActivePlan:
    cases = [f"c{number}" for number in range(6)]
    write_dataset(tmp_path / "squares", cases)
    parts = {"train": {"squares": tuple(cases[:4])}, "test": {"squares": tuple(cases[4:])}}
    Split(parts).save(tmp_path / "split.json")
    return ActivePlan(
        dataset="{data}/squares",
        split=str(tmp_path / "split.json"),
        sizes=(1, 2),
        first_steps=1,
        steps=1,
        strategies=("random", "mix"),
        seeds=(0,),
        train={"variant": "segsam", "head": "maskcls", "images_per_step": 1, "device": "cpu"},
    )


@pytest.fixture
def start(tiny_host: TinyHost, five_categories: Categories) -> SegSam:
    return SegSam(tiny_host, five_categories)


def test_curves_start_alike_are_stored_and_continued(
    plan: ActivePlan, start: SegSam, tmp_path: Path
) -> None:
    folders, reports = {"data": str(tmp_path), "out": str(tmp_path / "out")}, list[str]()

    def again(plan: ActivePlan) -> list[Curve]:
        out = tmp_path / "out"
        return simulate(plan, folders, out, tmp_path / "kept", report=reports.append, start=start)

    random, mix = again(plan)
    assert random.points[0] == mix.points[0]
    assert [point.size for point in mix.points] == [1, 2]
    assert mix.points[1].cases[:1] == mix.points[0].cases
    assert set(mix.points[1].cases) <= {f"c{number}" for number in range(4)}
    assert {"dsc_box", "dsc_point", "mdsc_box"} <= set(mix.points[0].metrics)
    lines = len(reports)
    assert again(plan) == [random, mix]
    assert len(reports) == lines, "nothing was done again"
    (tmp_path / "out" / "mix-s0.json").unlink()
    assert again(plan) == [random, mix], "the same seed gives the same curve"
    with pytest.raises(StudyError, match="belongs to another plan"):
        again(plan.model_copy(update={"steps": 2}))
    more = plan.model_copy(update={"sizes": (1, 5)})
    with pytest.raises(StudyError, match="Expected 5 cases to choose from, got 4"):
        simulate(more, folders, tmp_path / "more", None, report=reports.append, start=start)


def test_the_plan_of_the_page_is_read() -> None:
    plan = ActivePlan.load(ROOT / "docs" / "benchmarks" / "active.yaml")
    config = plan.config(seed=2, folders={"data": "D", "out": "O"})
    assert config.datasets == ("D/acdc_cardiac",)
    assert config.seed == 2
    assert len(plan.seeds) >= 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sizes": [4, 2]}, "growing sizes"),
        ({"strategies": ["wisest"]}, "strategies of agreement, diversity"),
        ({"colour": "red"}, "one of the keys dataset, .*, got colour"),
        ({"steps": "many"}, "Expected steps to be a whole number, got 'many'"),
        ({"train": 3}, "Expected train to hold values by name, got 3"),
    ],
    ids=str,
)
def test_what_cannot_be_simulated(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(json.dumps({"dataset": "d", "split": "s", **changes}))
    with pytest.raises(StudyError, match=words):
        ActivePlan.load(path)


def curve(strategy: str, seed: int, *scores: float) -> Curve:
    points = tuple(
        CurvePoint(
            size=size, cases=(), metrics=dict.fromkeys(("dsc_point", "dsc_box", "mdsc_box"), score)
        )
        for size, score in zip((2, 4, 8), scores, strict=True)
    )
    return Curve(strategy=strategy, seed=seed, fingerprint="x", points=points)


class TestTheTable:
    PLAN = ActivePlan(dataset="{data}/a", split="s", sizes=(2, 4, 8), strategies=("random", "mix"))

    def test_cases_needed_are_read_off_straight_lines(self) -> None:
        assert cases_needed((2, 4, 8), (10, 20, 40), 30) == 6
        assert cases_needed((2, 4, 8), (10, 20, 40), 5) == 2
        assert cases_needed((2, 4, 8), (10, 20, 40), 41) is None

    def test_an_advantage_is_claimed_when_it_is_more_than_chance(self) -> None:
        curves = [curve("random", seed, 10, 20, 30 + seed / 10) for seed in range(3)]
        better = [curve("mix", seed, 10, 30, 40 + seed / 10) for seed in (2, 0, 1)]
        said = comparison(self.PLAN, curves + better)
        assert "reaches it with 4.0 cases" in said
        assert "more than chance explains" in said
        noise = [curve("mix", seed, 10, 20, 30 + (seed - 1) * 8) for seed in range(3)]
        assert "no advantage is claimed" in comparison(self.PLAN, curves + noise)
        assert comparison(self.PLAN, curves) == ""
        assert "2 seed(s): too few" in comparison(self.PLAN, curves[:2] + better)

    def test_it_is_stored_and_shown_with_its_picture(self, tmp_path: Path) -> None:
        curves = [curve(name, seed, 10, 20, 30) for name in ("random", "mix") for seed in (0, 1)]
        table = active_table(self.PLAN, curves)
        assert table.rows[0] == ("random, DSC, point", "10.0 ± 0.0", "20.0 ± 0.0", "30.0 ± 0.0")
        table.save(tmp_path, "active")
        (loaded,) = load_tables(tmp_path)
        text = "\n".join(stored_table_lines([loaded], "benchmarks"))
        assert "## Which case to annotate next" in text
        assert "| random, DSC, point | 10.0 ± 0.0 |" in text
        assert "](benchmarks/active.png)" in text
        picture = tmp_path / "active.png"
        draw_lines(picture, [("DSC", lines_of(self.PLAN, curves, "dsc_box"))], x_label="cases")
        assert picture.read_bytes().startswith(b"\x89PNG")

    def test_a_file_that_is_no_table_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "tables").mkdir()
        (tmp_path / "tables" / "bad.json").write_text('{"format": 1}')
        with pytest.raises(
            StudyError, match=r"In bad\.json: Expected values for section, title, .*, got none"
        ):
            load_tables(tmp_path)
        assert load_tables(tmp_path / "none") == ()


def test_automatic_segmentation_is_measured(five_categories: Categories, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = build_variant("segsam", TinyHost(), five_categories, head="maskcls").eval()
    card = replace(model.card, semantic_is_trained=True, presence_is_trained=False)
    model = model.with_card(card)
    write_dataset(tmp_path / "squares", ["a", "b"])
    search = Search(min_certainty=0.0, grid=2)
    found = measure_automatic(model, select([tmp_path / "squares"]), search=search)
    assert {(one.case, one.category) for one in found.scores} == {
        (case, name) for case in "ab" for name in ("liver", "spleen")
    }
    assert all(0 <= one.dice <= 1 for one in found.scores)
    table = automatic_table(found, model, checkpoint="tiny", search=search)
    assert isinstance(table, StoredTable)
    assert [row[0] for row in table.rows] == [
        "squares: liver",
        "squares: spleen",
        "squares: absent categories",
    ]
    assert "decided alone" in table.notes[0]
