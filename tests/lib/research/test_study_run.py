"""`segsam study run`: what is missing is done, once, and results are stored. A script refolders
`segsam` itself, which takes long to start; one test runs the real commands.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segsam.errors import StudyError
from segsam.research.study import steps
from segsam.research.study.measured_study import MeasuredStudy
from segsam.research.study.plan import Entry, Study, load_study
from segsam.research.study.report import make_page
from segsam.research.study.results import load_results
from segsam.research.study.runner import ChildProcesses, run_study
from segsam.research.study.steps import StudyFolders, steps_of, write_config
from segsam.training.config import TrainConfig

STUDY = """
split: split.json
train: {datasets: ["{data}/a"], steps: 10}
evaluate: {prompts: [box], slices: 2, limit: 3}
runs:
- {name: host, checkpoint: litemedsam}
- {name: so, train: {variant: so}, seeds: [0, 1]}
- {name: net, unet: {network: unetr, seconds: 1}}
- {name: packaged, train: {variant: segsam}, evaluate: {checkpoint: segsam, propagated: true}}
"""
STAND_IN = """
import json, os, pathlib, sys
words = sys.argv[1:]
with open("calls.txt", "a") as file:
    file.write(" ".join(words[:2]) + " " + os.environ.get("OMP_NUM_THREADS", "-") + "\\n")
if pathlib.Path("fail").is_file() and words[0] == pathlib.Path("fail").read_text():
    sys.exit("Error: the disk is full.")
score = {"dsc": 80.0, "mdsc": None}
evaluation = {"average": score, "checkpoint": words[-1]}
if words[0] == "train":
    out = pathlib.Path(json.loads(pathlib.Path(words[1]).read_text())["out"])
    (out / "last.pt").touch()
    made, record = out / "report.json", {"steps": 10, "training_seconds": 5.0}
else:
    made = pathlib.Path(words[words.index("--json") + 1])
    record = {"evaluate": evaluation, "cost": {"ms_per_prompt": 1.0}}.get(words[0], {})
    if words[0] == "study":
        record = {"ms_per_prompt": 1.0}
        if words[1] == "unet":
            record = {"training": {"steps": 3}, "cost": {}, "evaluation": evaluation}
made.write_text(json.dumps(record))
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolders:
    """A folder to work in, with a stand-in for the program."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(steps, "SEGSAM", (sys.executable, str(script)))
    (tmp_path / "split.json").write_text("{}")
    (tmp_path / "study.yaml").write_text(STUDY)
    return StudyFolders(tmp_path / "data", tmp_path / "runs", tmp_path / "results")


@pytest.fixture
def study(folders: StudyFolders) -> Study:
    return load_study("study.yaml")


def entry_of(study: Study, id: str) -> Entry:
    return next(entry for entry in study.entries if entry.id == id)


def silent(line: str) -> None:
    """Ignore a report."""


def calls() -> list[str]:
    path = Path("calls.txt")
    return path.read_text().splitlines() if path.is_file() else []


def test_what_a_trained_run_consists_of(study: Study, folders: StudyFolders) -> None:
    entry = entry_of(study, "so-s1")
    training, cost, box = steps_of(entry, study, folders)
    folder = folders.out / "so-s1"
    assert training.arguments == ("train", str(folder / "run.yaml"))
    assert training.makes == (folder / "report.json",)
    assert cost.arguments[:3] == ("study", "cost", str(folder / "model.safetensors"))
    assert box.arguments == (
        *("evaluate", str(folders.data / "a"), "--prompt", "box", "--decoder", "both"),
        *("--seed", "0", "--checkpoint", str(folder / "model.safetensors")),
        *("--split", "split.json:test", "--slices", "2", "--limit", "3"),
        *("--embeddings", str(folders.out / "embeddings"), "--json", str(folder / "box.json")),
    )
    write_config(entry, study, folders)
    config = TrainConfig.model_validate(json.loads((folder / "run.yaml").read_text()))
    assert (config.variant, config.seed, config.split) == ("so", 1, "split.json")
    assert config.datasets == (str(folders.data / "a"),)
    (folder / "last.pt").touch()
    assert steps_of(entry, study, folders)[0].arguments[-1] == "--resume"


def test_a_training_is_shared_out_to_processes(study: Study, folders: StudyFolders) -> None:
    alone = steps_of(entry_of(study, "so-s1"), study, folders)
    entry = replace(entry_of(study, "so-s1"), processes=2)
    training, *measuring = steps_of(entry, study, folders)
    by_itself = alone[0].command
    launcher = training.command[: -len(by_itself)]
    assert training.command[-len(by_itself) :] == by_itself
    assert launcher[1:3] == ("-m", "torch.distributed.run")
    assert launcher[-3:] == ("--nproc-per-node", "2", "--no-python")
    assert [step.command for step in measuring] == [step.command for step in alone[1:]]


def test_a_packaged_checkpoint_is_measured_in_place_of_the_run(
    study: Study, folders: StudyFolders
) -> None:
    training, _, evaluation = steps_of(entry_of(study, "packaged-s0"), study, folders)
    assert training.arguments[0] == "train"
    box = evaluation.arguments
    assert box[box.index("--checkpoint") + 1] == "segsam"
    assert "--propagated" in box


def test_an_average_is_made_of_runs_and_then_measured(
    folders: StudyFolders, tmp_path: Path
) -> None:
    file = tmp_path / "means.yaml"
    rows = '- {name: mean, average: ["{out}/so-s0", "{out}/so-s1"], tables: {shipped: Mean}}'
    file.write_text(f"{STUDY}{rows}\n")
    study = load_study(file)
    average, cost, *_ = steps_of(entry_of(study, "mean"), study, folders)
    out, made = folders.out, folders.out / "mean" / "model.safetensors"
    sources = tuple(str(out / name / "model.safetensors") for name in ("so-s0", "so-s1"))
    assert average.arguments == ("models", "average", *sources, "--output", str(made))
    assert average.makes == (made,)
    assert cost.arguments[2] == str(made)
    write_config(entry_of(study, "mean"), study, folders)
    write_config(entry_of(study, "mean"), study, folders)
    file.write_text(f"{STUDY}{rows.replace('so-s1', 'packaged-s0')}\n")
    with pytest.raises(StudyError, match=r"mean was started with another configuration \(of\)"):
        write_config(entry_of(load_study(file), "mean"), study, folders)
    file.write_text(f'{STUDY}- {{name: mean, average: ["{{out}}/so-s0"]}}\n')
    with pytest.raises(
        StudyError, match="In the run mean: Expected average to have at least 2 values"
    ):
        load_study(file)


def test_everything_is_done_once(study: Study, folders: StudyFolders) -> None:
    lines: list[str] = []
    outcomes = run_study(study, folders, report=lines.append)
    assert [one.id for one in outcomes] == ["host", "so-s0", "so-s1", "net-s0", "packaged-s0"]
    assert not any(one.error for one in outcomes)
    assert len(calls()) == 2 + 3 + 3 + 1 + 3
    assert all(call.endswith(" -") for call in calls()), "threads as the machine has them"
    assert "so-s0: train" in lines
    results = load_results(folders.results)
    assert set(results) == {one.id for one in outcomes}
    assert results["so-s1"].training["steps"] == 10
    assert results["so-s1"].average("box", "dsc") == 80
    assert results["net-s0"].average("none", "dsc") == 80
    text = (folders.results / "so-s0.json").read_text()
    assert str(folders.out) not in text
    assert "{out}/so-s0/box.json" in text
    run_study(study, folders, report=silent)
    assert len(calls()) == 12, "nothing is done again"


def test_a_clone_with_results_does_nothing(study: Study, folders: StudyFolders) -> None:
    run_study(study, folders, only=["so-s0"], report=silent)
    elsewhere = StudyFolders(folders.data, folders.out / "elsewhere", folders.results)
    lines: list[str] = []
    run_study(study, elsewhere, only=["so-s0"], report=lines.append)
    assert lines == ["so-s0: its result is stored"]
    Path("study.yaml").write_text(STUDY.replace("steps: 10", "steps: 11"))
    run_study(load_study("study.yaml"), elsewhere, only=["so-s0"], report=silent)
    assert len(calls()) == 6, "another configuration is another run"


def test_two_at_a_time_have_a_thread_each(study: Study, folders: StudyFolders) -> None:
    outcomes = run_study(study, folders, only=["so"], jobs=2, report=silent)
    assert [one.id for one in outcomes] == ["so-s0", "so-s1"]
    assert all(call.endswith(" 1") for call in calls())
    assert load_results(folders.results)["so-s0"].facts["threads"] == 1


def test_a_failure_is_reported_and_does_not_stop_the_others(
    study: Study, folders: StudyFolders
) -> None:
    Path("fail").write_text("train")
    outcomes = run_study(study, folders, only=["host", "so-s0", "net"], report=silent)
    assert [bool(one.error) for one in outcomes] == [False, True, False]
    assert "could not train (exit code 1): Error: the disk is full." in outcomes[1].error
    Path("fail").unlink()
    outcomes = run_study(study, folders, only=["so-s0"], report=silent)
    assert not outcomes[0].error
    Path("fail").write_text("evaluate")
    outcomes = run_study(study, folders, only=["so-s1"], report=silent)
    assert outcomes[0].error
    stored = load_results(folders.results)["so-s1"]
    assert stored.training["steps"] == 10, "what there is is stored"
    assert not stored.evaluations


def test_a_run_that_changed_is_refused(study: Study, folders: StudyFolders) -> None:
    entry = entry_of(study, "so-s0")
    write_config(entry, study, folders)
    folder = folders.of(entry)
    config = TrainConfig.model_validate(json.loads((folder / "run.yaml").read_text()))
    begun = json.loads(config.to_json()) | {"threads": 7}
    (folder / "config.json").write_text(json.dumps(begun))
    write_config(entry, study, StudyFolders(Path("moved"), folders.out, folders.results))
    Path("study.yaml").write_text(STUDY.replace("steps: 10", "steps: 11"))
    changed = load_study("study.yaml")
    with pytest.raises(StudyError, match=r"so-s0 was started with another configuration \(steps\)"):
        write_config(entry_of(changed, "so-s0"), changed, folders)


def test_an_unknown_run(study: Study, folders: StudyFolders) -> None:
    with pytest.raises(StudyError, match="Expected runs of host, so, net, packaged, got sos"):
        run_study(study, folders, only=["sos", "net"], report=silent)


def test_running_processes_are_terminated(tmp_path: Path) -> None:
    script = "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(60)"
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", _STOPPED_BY_A_SIGNAL.format(script=script)], cwd=tmp_path
    )
    while not (tmp_path / "begun").exists() and time.monotonic() - began < 400:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(50) == 3
    processes = ChildProcesses()
    with processes.ended_at_exit():
        assert processes.run([sys.executable, "-c", ""], tmp_path / "log.txt") == 0
    with pytest.raises(StudyError, match="was stopped"):
        processes.run([sys.executable, "-c", ""], tmp_path / "log.txt")


def test_a_command_that_is_stopped_did_not_fail(tmp_path: Path) -> None:
    processes, begun = ChildProcesses(), tmp_path / "begun"
    script = f"import time; open({str(begun)!r}, 'w').close(); time.sleep(100)"
    with ThreadPoolExecutor(1) as pool:
        with processes.ended_at_exit():
            running = pool.submit(processes.run, [sys.executable, "-c", script], tmp_path / "log")
            while not begun.exists():
                time.sleep(0.02)
        with pytest.raises(StudyError, match="The study was stopped"):
            running.result()


_STOPPED_BY_A_SIGNAL = """
import pathlib, signal, sys
from concurrent.futures import ThreadPoolExecutor
from segsam.research.study.runner import ChildProcesses
signal.signal(signal.SIGTERM, signal.default_int_handler)
processes = ChildProcesses()
command = [sys.executable, "-c", {script!r}]
try:
    with ThreadPoolExecutor(1) as pool, processes.ended_at_exit():
        list(pool.map(lambda one: processes.run(one, pathlib.Path("log.txt")), [command]))
except KeyboardInterrupt:
    sys.exit(3)
"""


def write_pictures(folder: Path) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for case in ("a", "b", "c"):
        label = np.zeros((48, 48), dtype=np.uint8)
        label[10:30, 8:28] = 1
        cv2.imwrite(str(folder / "images" / f"{case}.png"), 40 + 150 * label)
        cv2.imwrite(str(folder / "labels" / f"{case}.png"), label)
    record: dict[str, Any] = {"name": "a", "modality": "CT", "licence": "CC0"}
    (folder / "dataset.json").write_text(json.dumps(record | {"labels": {"1": "liver"}}))


@pytest.mark.slow
def test_the_real_commands(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data" / "a")
    parts = {"train": {"a": ["a"]}, "validation": {"a": ["c"]}, "test": {"a": ["b"]}}
    (tmp_path / "split.json").write_text(json.dumps({"seed": 0, "parts": parts}))
    (tmp_path / "study.yaml").write_text(
        "split: split.json\n"
        'train: {datasets: ["{data}/a"], steps: 1, images_per_step: 1, prompts_per_image: 1,'
        " head: maskcls, grid: 16, tensorboard: false}\n"
        "evaluate: {prompts: [box]}\n"
        "runs: [{name: segsam, train: {variant: segsam}, tables: {shipped: SEG-SAM}}]\n"
    )
    command = [sys.executable, "-c", "from segsam.cli.app import main; main()", "study", "run"]
    options = ["study.yaml", "--data", "data", "--out", "runs", "--results", "results"]
    done = subprocess.run(
        [*command, *options],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    log = tmp_path / "runs" / "segsam-s0" / "log.txt"
    assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
    result = load_results(tmp_path / "results")["segsam-s0"]
    assert result.steps == 1
    assert result.average("box", "dsc") is not None
    assert result.average("box", "mdsc") is not None
    assert result.trained_parameters_in_millions is not None
    assert result.trained_parameters_in_millions > 4
    assert result.minutes_per_epoch is not None
    assert 0.05 <= result.calibration["temperature"] <= 20
    assert len(result.calibration["pairs"]) == 1
    page = make_page(
        MeasuredStudy(load_study(tmp_path / "study.yaml"), {result.id: result}), "study.yaml"
    )
    assert page.pictures == ("reliability.png", "agreement.png")
