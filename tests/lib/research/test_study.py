"""Plans, results, tables, targets and the page of a study, on invented numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from segsam.categories.category import PAPER_MODALITIES
from segsam.errors import OutputError, StudyError
from segsam.model import VARIANTS
from segsam.research.study import tables
from segsam.research.study.markdown import cell_text, table_lines, target_lines
from segsam.research.study.measured_study import MeasuredStudy, SeedMean, difference
from segsam.research.study.paper import BY_VARIANT
from segsam.research.study.plan import Study, load_study
from segsam.research.study.report import check_report, make_page, write_report
from segsam.research.study.results import Result, load_results
from segsam.research.study.stored import insert_folders, remove_folders
from segsam.research.study.targets import TARGETS
from segsam.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[3]
RUNS = """
split: split.json
train: {datasets: ["{data}/a"], steps: 100, images_per_step: 4, model: {reduction: pooled}}
unet: {seconds: 5}
evaluate: {prompts: [box, point]}
runs:
- {name: as_it_comes, checkpoint: litemedsam, tables: {methods: as it comes}}
- name: baseline
  train: {variant: baseline}
  seeds: [0, 1]
  tables: {methods: fine-tuned, ladder: Baseline}
- {name: sem, train: {variant: baseline_sem}, tables: {ladder: BaselineSem, semantic: BaselineSem}}
- name: full
  train: {variant: segsam}
  seeds: [0, 1]
  tables: {methods: SEG-SAM, ladder: SEG-SAM, semantic: SEG-SAM, grid: 64 x 64, shipped: shipped}
- {name: other, train: {variant: segsam, grid: 16, model: {depth: 1}}, tables: {grid: 16 x 16}}
- {name: unetr, unet: {network: unetr}, tables: {semantic: UNETR, hosts: none}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return written(tmp_path, RUNS)


def written(folder: Path, text: str) -> Study:
    path = folder / "study.yaml"
    path.write_text(text)
    return load_study(path)


def evaluation(dsc: float | None, mdsc: float | None) -> dict[str, Any]:
    """The same score for every modality."""
    score = {"dsc": dsc, "mdsc": mdsc, "category_accuracy_in_modality": 96.0}
    return {
        "average": score | {"dsc_95": [70, 90]},
        "modalities": {name: dict(score) for name in PAPER_MODALITIES},
        "datasets": {"hippocampus": {**score, "volume_dice": 87.5}},
    }


def result_of(study: Study, id: str, box: float, **changes: Any) -> Result:
    entry = next(one for one in study.entries if one.id == id)
    made = Result(
        id=entry.id,
        run=entry.run,
        kind=entry.kind,
        seed=entry.seed,
        fingerprint=entry.fingerprint,
        config=entry.config,
        facts={
            "commit": "abc",
            "split_sha256": "12",
            "threads": 1,
            "processor": "one of a kind, 2 cores",
            "torch": "2.14",
        },
        training={"steps": 100, "training_seconds": 50.0, "slices": {"train": 400}},
        cost={"ms_per_prompt": 10.0, "decoder_parameters": 4_000_000},
        evaluations={"box": evaluation(box, box - 2), "point": evaluation(box - 10, None)},
        calibration={},
    )
    return made.model_copy(update=changes)


class TestPlan:
    def test_runs_over_a_base(self, study: Study) -> None:
        ids = [entry.id for entry in study.entries]
        assert ids[:4] == ["as_it_comes", "baseline-s0", "baseline-s1", "sem-s0"]
        full = next(entry for entry in study.entries if entry.id == "other-s0")
        assert full.config["steps"] == 100
        assert full.config["model"] == {"reduction": "pooled", "depth": 1}, "joined key by key"
        unetr = study.entries[-1]
        assert unetr.config == {"datasets": ["{data}/a"], "seconds": 5, "network": "unetr"}
        assert [row.label for row in study.rows_of("grid")] == ["64 x 64", "16 x 16"]
        assert study.entries[0].evaluations.checkpoint == "litemedsam"

    def test_a_fingerprint_means_the_same_run(self, study: Study, tmp_path: Path) -> None:
        again = written(tmp_path, RUNS.replace("fine-tuned", "another label"))
        assert [one.fingerprint for one in study.entries] == [
            one.fingerprint for one in again.entries
        ]
        quiet = written(tmp_path, RUNS.replace("steps: 100", "steps: 100, threads: 1"))
        assert study.entries[1].fingerprint == quiet.entries[1].fingerprint
        shared = written(tmp_path, RUNS.replace("name: full", "name: full\n  processes: 2"))
        assert {one.processes for one in shared.entries if one.run == "full"} == {2}
        assert [one.fingerprint for one in study.entries] == [
            one.fingerprint for one in shared.entries
        ]
        changed = written(tmp_path, RUNS.replace("steps: 100", "steps: 101"))
        assert study.entries[1].fingerprint != changed.entries[1].fingerprint
        assert study.entries[0].fingerprint == changed.entries[0].fingerprint

    def test_folders_there_and_back(self) -> None:
        folders = {"data": "/d", "out": "/d/out"}
        plain = {"a": ["{data}/x", 3], "b": {"c": "{out}/y"}}
        there = insert_folders(plain, folders)
        assert there == {"a": ["/d/x", 3], "b": {"c": "/d/out/y"}}
        assert remove_folders(there, folders) == plain

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            ("split:", "spilt:", "got spilt. The nearest is split"),
            (
                "name: sem",
                "name: baseline, seeds: [1]",
                "a different name for each run, got baseline-s1",
            ),
            (
                "checkpoint: litemedsam",
                "seeds: [0]",
                "Expected one of train, unet, average, checkpoint",
            ),
            (
                "tables: {grid: 16 x 16}",
                "tables: {gird: a}",
                "Expected the keys of tables to be 'methods', .*, got 'gird'",
            ),
            ("seeds: [0, 1]", "seeds: [a]", "Expected seeds.0 to be a whole number, got 'a'"),
            (
                "prompts: [box, point]",
                "prompts: [line]",
                "In the run as_it_comes: Expected evaluate.prompts.0 to be 'box' or 'point'",
            ),
            (
                "evaluate: {",
                "evaluate: {speed: 1, ",
                "the keys evaluate.part, .*, got evaluate.speed",
            ),
            ("name: as_it_comes", "nome: a", "keys name, .*, got nome. The nearest is name"),
            (
                "train: {variant: baseline}",
                "train: baseline",
                "Expected train to hold values by name, got 'baseline'",
            ),
            ("unet: {seconds: 5}", "unet: 5", "Expected unet to hold values by name, got 5"),
            (
                "name: sem,",
                "name: sem, processes: 0,",
                "In the run sem: Expected processes to be greater than or equal to 1, got 0",
            ),
            ("name: unetr,", "name: unetr, processes: 2,", "one process for the kind unet, got 2"),
        ],
    )
    def test_refusals(self, tmp_path: Path, old: str, new: str, match: str) -> None:
        assert old in RUNS
        with pytest.raises(StudyError, match=match):
            written(tmp_path, RUNS.replace(old, new, 1))

    def test_no_file_and_no_list(self, tmp_path: Path) -> None:
        with pytest.raises(StudyError, match="Cannot read the file"):
            load_study(tmp_path / "none.yaml")
        with pytest.raises(StudyError, match="Expected runs to be a list, got 3"):
            written(tmp_path, "runs: 3")


class TestResults:
    def test_there_and_back(self, study: Study, tmp_path: Path) -> None:
        made = result_of(study, "full-s0", 80.123456789)
        path = made.save(tmp_path / "results")
        found = load_results(tmp_path / "results")["full-s0"]
        assert found.average("box", "dsc") == 80.123457
        assert found.average("point", "mdsc") is None
        assert found.average("none", "mdsc") is None
        assert found.dataset_score("box", "volume_dice", "hippocampus") == 87.5
        assert found.seconds_per_step == 0.5
        assert found.minutes_per_epoch == pytest.approx(0.5 * 100 / 60)
        written_at = path.stat().st_mtime_ns
        made.save(tmp_path / "results")
        assert path.stat().st_mtime_ns == written_at, "unchanged, so not written"

    def test_what_is_no_result(self, tmp_path: Path) -> None:
        assert load_results(tmp_path / "none") == {}
        (tmp_path / "a.json").write_text('{"format": 1, "id": "a"}')
        with pytest.raises(
            StudyError, match=r"In a\.json: Expected values for run, .*, calibration, got none"
        ):
            load_results(tmp_path)
        (tmp_path / "a.json").write_text('{"format": 2}')
        with pytest.raises(StudyError, match=r"Expected format 1 in a\.json"):
            load_results(tmp_path)
        (tmp_path / "a.json").write_text("{")
        with pytest.raises(StudyError, match=r"Cannot read .*/a\.json"):
            load_results(tmp_path)


@pytest.fixture
def measured(study: Study) -> MeasuredStudy:
    found = [
        result_of(study, "as_it_comes", 75, training={}),
        result_of(study, "baseline-s0", 79),
        result_of(study, "baseline-s1", 81),
        result_of(study, "sem-s0", 78),
        result_of(study, "full-s0", 84),
        result_of(study, "full-s1", 86),
        result_of(study, "unetr-s0", 0, evaluations={"none": evaluation(None, 60)}, cost={}),
    ]
    return MeasuredStudy(study, {one.id: one for one in found})


class TestTables:
    def test_mean_and_spread_over_seeds(self, measured: MeasuredStudy) -> None:
        found = measured.average("full", "box", "dsc")
        assert found == SeedMean(85, pytest.approx(2**0.5), 2)
        assert measured.average("sem", "box", "dsc") == SeedMean(78, None, 1)
        assert measured.average("other", "box", "dsc") is None
        gain = difference(found, measured.average("baseline", "box", "dsc"))
        assert gain == SeedMean(5, pytest.approx(2), 2)
        assert difference(found, None) is None

    def test_a_partner_is_trained_in_the_same_way(self, measured: MeasuredStudy) -> None:
        assert measured.partner("full", "baseline") == "baseline"
        assert measured.partner("other", "baseline") is None
        assert measured.partner("full", "so") is None

    def test_methods(self, measured: MeasuredStudy) -> None:
        table = tables.methods_table(measured, "box")
        assert table.headings == ("", *PAPER_MODALITIES, "average", "95 %", "paper")
        assert [row.label for row in table.rows] == [
            "as it comes",
            "fine-tuned",
            "SEG-SAM",
            "SEG-SAM minus fine-tuned",
        ]
        assert table.rows[3].signed
        assert cell_text(table.rows[3].cells[-3], signed=True) == "+5.00 ± 2.00"
        assert table.rows[0].cells[-2] == "70.0 to 90.0"
        assert [row.cells[-1] for row in table.rows] == ["", "77.30", "81.46", "+4.16"]
        assert tables.methods_table(measured, "point").rows[1].cells[-1] == "65.45"

    def test_names(self, measured: MeasuredStudy) -> None:
        rows = {row.label: row for row in tables.semantic_table(measured).rows}
        assert rows["UNETR"].cells[-3] == SeedMean(60, None, 1), "the prompt is none"
        assert rows["BaselineSem"].cells[-3] == SeedMean(76, None, 1)
        assert rows["SEG-SAM minus BaselineSem"].cells[-3] == SeedMean(7, None, 1)

    def test_ladder_grid_hosts_and_rows(self, measured: MeasuredStudy) -> None:
        ladder = tables.ladder_table(measured)
        assert ladder.rows[0].cells[1:4:2] == ("77.30", "")
        grid = tables.grid_table(measured)
        assert grid.rows[0].cells[3] == SeedMean(0.5, 0.0, 2)
        assert grid.rows[1].cells == (None,) * 5
        assert tables.hosts_table(measured).rows[0].cells == (None,) * 4
        runs = {row.label: row.cells for row in tables.runs_table(measured, "study.yaml").rows}
        assert runs["full"][0] == "0, 1"
        assert runs["full"][-1] == (
            "`segsam study run study.yaml --data DATA --out RUNS --only full`"
        )
        assert runs["other"][0] is None
        other = result_of(measured.study, "sem-s0", 78, fingerprint="another")
        cells = (
            tables.runs_table(MeasuredStudy(measured.study, {other.id: other}), "study.yaml")
            .rows[2]
            .cells
        )
        assert cells[0] == "0 (the study has another configuration now)"

    def test_the_papers_rows_are_variants_of_segsam(self) -> None:
        assert set(BY_VARIANT) <= set(VARIANTS)
        assert BY_VARIANT["segsam"].figure("box", "mdsc") == 80.90
        assert BY_VARIANT["segsam"].figure("none", "mdsc") is None

    def test_cells_as_text(self) -> None:
        assert cell_text(None) == "—"
        assert cell_text("as it is") == "as it is"
        assert (
            cell_text(SeedMean(1234.5, None, 1)) == "1,234"
            or cell_text(SeedMean(1234.5, None, 1)) == "1,235"
        )
        assert cell_text(SeedMean(-1.0, None, 1), signed=True) == "-1.00"

    def test_a_table_without_rows(self) -> None:
        assert "No rows." in table_lines(tables.Table("title", ("a",), ()))


class TestTargets:
    def test_each_is_measured_from_results(self, measured: MeasuredStudy) -> None:
        means = [target.measure(measured) for target in TARGETS]
        values = [None if one is None else one.mean for one in means]
        assert [None if one is None else round(one, 3) for one in values] == [
            85, 5, 10, 75, 83, 7, 87.5, None, 96, 0.833, 0.833
        ]  # fmt: skip
        verdicts = [one.verdict(value) for one, value in zip(TARGETS, values, strict=True)]
        assert verdicts.count("reached") == 9
        assert verdicts[6:8] == ["missed", "not measured"]
        assert "| 87.50 ± 0.00 | **missed** |" in target_lines(measured, TARGETS)[8]

    def test_without_results(self, study: Study) -> None:
        empty = MeasuredStudy(study, {})
        assert all(target.measure(empty) is None for target in TARGETS)
        assert "| — | not measured |" in target_lines(empty, TARGETS)[2]

    def test_without_a_shipped_row(self, tmp_path: Path) -> None:
        lone = written(tmp_path, "runs: [{name: a, checkpoint: litemedsam}]")
        assert all(target.measure(MeasuredStudy(lone, {})) is None for target in TARGETS)

    def test_an_epoch_is_timed_by_the_run_that_was_made_for_it(self, tmp_path: Path) -> None:
        timed = "- {name: timed, processes: 2, train: {steps: 9}, tables: {epoch: two processes}}"
        study = written(tmp_path, RUNS + timed)
        fast = result_of(study, "timed-s0", 0, training={"steps": 9, "training_seconds": 9})
        training = {**fast.training, "slices": {"train": 400}}
        fast = fast.model_copy(update={"training": training})
        both = {one.id: one for one in (fast, result_of(study, "full-s0", 84))}
        assert TARGETS[-1].measure(MeasuredStudy(study, both)) == SeedMean(
            pytest.approx(400 / 4 / 60), None, 1
        )

    def test_at_most(self, measured: MeasuredStudy) -> None:
        slow = result_of(
            measured.study, "full-s0", 84, training={"steps": 1, "training_seconds": 99}
        )
        assert slow.minutes_per_epoch is None, "the number of slices is not known"
        minutes = TARGETS[-1]
        assert minutes.verdict(5.1) == "missed"
        assert minutes.verdict(5) == "reached"


def measured_bin(confidence: float, accuracy: float) -> dict[str, float]:
    return {"confidence": confidence, "accuracy": accuracy, "objects": 3}


class TestReport:
    @pytest.mark.parametrize("ids", [[], ["as_it_comes"], ["full-s0", "other-s0", "unetr-s0"]])
    def test_any_subset_gives_a_page(self, study: Study, ids: list[str]) -> None:
        results = {id: result_of(study, id, 80) for id in ids}
        page = make_page(MeasuredStudy(study, results), "docs/study.yaml")
        assert page.text.startswith("# Benchmarks")
        assert "segsam study run docs/study.yaml --data DATA" in page.text
        assert "None" not in page.text
        assert page.pictures == (("grid.png",) if len(ids) == 3 else ())

    def test_written_and_checked(self, measured: MeasuredStudy, tmp_path: Path) -> None:
        for one in measured.results.values():
            one.save(tmp_path / "results")
        calibration = {
            "temperature": 1.5,
            "test": {
                "before": {"ece": 0.2, "bins": [measured_bin(0.9, 0.7)]},
                "after": {
                    "ece": 0.05,
                    "accuracy": 0.7,
                    "objects": 3,
                    "bins": [measured_bin(0.8, 0.7)],
                },
                "agreement": {
                    "box": {"rho": 0.61, "objects": 3},
                    "point": {"rho": None, "objects": 2},
                },
            },
            "pairs": [[0.9, 0.95], [0.5, 0.4]],
        }
        calibrated = measured.results["full-s0"].model_copy(update={"calibration": calibration})
        calibrated.save(tmp_path / "results")
        files = (tmp_path / "study.yaml", tmp_path / "results", tmp_path / "page.md")
        with pytest.raises(StudyError, match="run: segsam study report"):
            check_report(*files)
        assert write_report(*files) == ["grid.png", "reliability.png", "agreement.png"]
        check_report(*files)
        for name in ("reliability.png", "agreement.png"):
            picture = tmp_path / "benchmarks" / name
            assert cv2.imread(str(picture)).shape[0] > 200
            assert picture.stat().st_size < 60_000
        text = files[2].read_text()
        assert "is 20.00 % before and 5.00 % after it, over 3 objects" in text
        assert "is 0.61 with box prompts (3 objects), — with point prompts" in text
        (tmp_path / "benchmarks" / "agreement.png").unlink()
        with pytest.raises(StudyError, match=r"Missing beside page\.md: agreement\.png"):
            check_report(*files)

    def test_the_curve_is_drawn(self, study: Study, tmp_path: Path) -> None:
        for id in ("full-s0", "other-s0"):
            result_of(study, id, 80).save(tmp_path / "results")
        files = (tmp_path / "study.yaml", tmp_path / "results", tmp_path / "page.md")
        assert write_report(*files) == ["grid.png"]
        assert (tmp_path / "benchmarks" / "grid.png").stat().st_size < 60_000
        write_report(*files)
        with pytest.raises(OutputError, match=r"grid\.png would be replaced, and is not of p\.md"):
            write_report(*files[:2], tmp_path / "p.md")
        files[2].write_text("My notes")
        with pytest.raises(OutputError, match=r"of this command to replace, got .*page\.md"):
            write_report(*files)
        assert files[2].read_text() == "My notes"


class TestTheRepositorysOwn:
    def test_the_page_is_up_to_date(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(ROOT)
        docs = Path("docs")
        check_report(
            docs / "benchmarks" / "study.yaml",
            docs / "benchmarks" / "results",
            docs / "benchmarks.md",
        )

    def test_every_run_could_begin(self) -> None:
        study = load_study(ROOT / "docs" / "benchmarks" / "study.yaml")
        trained = [entry for entry in study.entries if entry.kind == "train"]
        assert trained
        for entry in trained:
            TrainConfig.model_validate({**entry.config, "out": "x", "seed": entry.seed})
        variants = {str(entry.config.get("variant", "segsam")) for entry in trained}
        assert {"baseline", "baseline_sem", "segsam"} <= variants

    def test_results_name_no_machines_folder_and_are_small(self) -> None:
        for path in (ROOT / "docs" / "benchmarks" / "results").glob("*.json"):
            text = path.read_text(encoding="utf-8")
            assert len(text) < 300_000
            assert '"/' not in text, f"{path.name} names a folder of a machine"
            assert json.loads(text)["id"] == path.stem

    def test_it_is_plain_yaml(self) -> None:
        text = (ROOT / "docs" / "benchmarks" / "study.yaml").read_text(encoding="utf-8")
        assert set(yaml.safe_load(text)) == {"split", "train", "unet", "evaluate", "runs"}
