"""`segsam evaluate` and `segsam calibrate`: arguments, files and exit codes."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
import typer
from typer.testing import CliRunner

from segsam.categories import Categories
from segsam.cli.evaluate import calibrate, evaluate
from segsam.errors import EvaluationError, OutputError, RuntimeChoiceError, SegSamError
from segsam.model import Card, Host, SegSam, build_variant, read_card, save_checkpoint

app = typer.Typer()
app.command()(evaluate)
app.command()(calibrate)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "squares"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(3):
        label = np.zeros((32, 32), dtype=np.uint8)
        label[6 + number : 18, 5:16] = 1
        label[22:28, 10:26] = 2
        cv2.imwrite(str(folder / "images" / f"{number}.png"), label * 90)
        cv2.imwrite(str(folder / "labels" / f"{number}.png"), label)
    record = {"name": "squares", "modality": "CT", "labels": {"1": "liver", "2": "spleen"}}
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def trained(
    tiny_host: Host, five_categories: Categories, monkeypatch: pytest.MonkeyPatch
) -> SegSam:
    """Load this model whatever the name: a tiny host is in no file."""
    torch.manual_seed(1)
    model = build_variant("segsam", tiny_host, five_categories, head="maskcls").eval()
    model = model.with_card(replace(model.card, semantic_is_trained=True))

    def loaded(name: str | None = None) -> SegSam:
        return model

    monkeypatch.setattr("segsam.model.load_pretrained", loaded)
    return model


def call(*words: str | Path, exit_code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if exit_code == 0 and result.exception is not None:
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result


@pytest.mark.parametrize("odd", ["not numbers", "another shape", "a folder"])
def test_an_odd_embedding_is_computed_anew(
    data: Path, trained: SegSam, tmp_path: Path, odd: str
) -> None:
    for number in (1, 2):
        (data / "images" / f"{number}.png").unlink()
        (data / "labels" / f"{number}.png").unlink()
    result = tmp_path / "out.json"
    words = ("evaluate", data, "--prompt", "box", "--embeddings", tmp_path / "kept")
    call(*words, "--json", result)
    wanted = json.loads(result.read_text())["average"]
    (file,) = (tmp_path / "kept").iterdir()
    embedding = safetensors.torch.load_file(file)["embedding"]
    if odd == "a folder":
        file.unlink()
        file.mkdir()
    else:
        changed = embedding * torch.nan if odd == "not numbers" else embedding[..., 1:]
        safetensors.torch.save_file({"embedding": changed.contiguous()}, file)
    for encoded in (1, 0):
        call(*words, "--json", result)
        found = json.loads(result.read_text())
        assert (found["encoded"], found["average"]) == (encoded, wanted)


def test_cases_with_empty_labels_are_counted(data: Path, trained: SegSam) -> None:
    cv2.imwrite(str(data / "labels" / "0.png"), np.zeros((32, 32), np.uint8))
    told = call("evaluate", data, "--prompt", "box", "--slices", "1")
    assert "Left out: 1 of 3 cases, whose labels hold no object" in told.output


def test_the_result_is_written(data: Path, trained: SegSam, tmp_path: Path) -> None:
    result = tmp_path / "out.json"
    rows = tmp_path / "rows.csv"
    shown = call(
        "evaluate", data, "--prompt", "box", "--checkpoint", "litemedsam", "--json", result,
        "--objects", rows, "--embeddings", tmp_path / "kept",
    )  # fmt: skip
    record = json.loads(result.read_text())
    assert set(record) >= {"datasets", "modalities", "average", "checkpoint", "host", "seed"}
    assert (record["checkpoint"], record["host"], record["seed"]) == ("litemedsam", "tiny", 0)
    assert record["datasets"]["squares"]["objects"] == 6
    assert 0 <= record["average"]["dsc"] <= 100
    assert f"{record['average']['dsc']:.2f}" in shown.output
    with rows.open() as file:
        written = list(csv.DictReader(file))
    mean = 100 * np.mean([float(row["dsc"]) for row in written])
    assert record["datasets"]["squares"]["dsc"] == pytest.approx(mean, abs=1e-3)
    assert {row["name"] for row in written} == {"liver", "spleen"}


def test_bad_targets_are_refused_before_the_work(data: Path, trained: SegSam) -> None:
    base = ("evaluate", data, "--prompt", "box")
    with pytest.raises(OutputError, match=r"ending in \.npz or \.csv"):
        call(*base, "--objects", data / "rows.txt")
    with pytest.raises(OutputError, match=r"The folder of .*out\.json does not exist"):
        call(*base, "--json", data / "nowhere" / "out.json")
    with pytest.raises(OutputError, match="is a folder"):
        call(*base, "--json", data)
    with pytest.raises(RuntimeChoiceError, match="Expected exact or fast as precision, got 'auto'"):
        call(*base, "--precision", "auto")  # figures must not depend on the machine's speed
    with pytest.raises(EvaluationError, match="box or point"):
        call("evaluate", data, "--prompt", "scribble")
    call("evaluate", data, exit_code=2)  # no prompt


def test_an_interrupted_run_writes_nothing(
    data: Path, trained: SegSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(trained.host, "prepare", interrupted)
    call("evaluate", data, "--prompt", "box", "--json", tmp_path / "out.json", exit_code=130)
    assert not (tmp_path / "out.json").exists()


def test_a_case_that_cannot_be_read_stops_it(data: Path, trained: SegSam, tmp_path: Path) -> None:
    (data / "images" / "1.png").write_bytes(b"nothing")
    with pytest.raises(SegSamError, match="The case squares/1 cannot be measured"):
        call("evaluate", data, "--prompt", "box", "--json", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_the_card_takes_the_temperature(data: Path, trained: SegSam, tmp_path: Path) -> None:
    weights = save_checkpoint(trained, tmp_path / "model.safetensors", Card("tiny"))
    for prompt in ("box", "point"):
        call("evaluate", data, "--prompt", prompt, "--objects", tmp_path / f"{prompt}.npz")
    shown = call(
        "calibrate", tmp_path / "box.npz", tmp_path / "point.npz", "--on", tmp_path / "box.npz",
        "--write", weights, "--json", tmp_path / "calibration.json",
    )  # fmt: skip
    record = json.loads((tmp_path / "calibration.json").read_text())
    assert read_card(weights).temperature == record["temperature"]
    assert set(record["validation"]["agreement"]) == {"box", "point"}
    assert set(record["test"]["agreement"]) == {"box"}
    assert record["validation"]["after"]["nll"] <= record["validation"]["before"]["nll"]
    assert "calibration error" in shown.output
    with pytest.raises(EvaluationError, match=r"got no file none\.npz"):
        call("calibrate", tmp_path / "none.npz")
    with pytest.raises(EvaluationError, match=r"different files of objects, got box\.npz twice"):
        call("calibrate", tmp_path / "box.npz", tmp_path / "box.npz")


def test_names_are_counted_as_a_user_sees_them(data: Path, trained: SegSam, tmp_path: Path) -> None:
    """An object whose name the checkpoint cannot give counts as unknown."""
    record = json.loads((data / "dataset.json").read_text())
    record["labels"] = {"1": "liver", "2": "something else"}
    (data / "dataset.json").write_text(json.dumps(record))
    call(
        "evaluate", data, "--prompt", "box", "--json", tmp_path / "out.json", "--objects",
        tmp_path / "rows.csv",
    )  # fmt: skip
    found = json.loads((tmp_path / "out.json").read_text())
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["named"] for row in rows} <= {"0", "1"}
    known = [row for row in rows if row["category"] != "0"]
    other = [row for row in rows if row["category"] == "0"]
    expected = {
        "known": {
            "objects": 3,
            "named": sum(row["named"] == "1" for row in known),
            "right": sum(row["named"] == "1" and row["found"] == row["category"] for row in known),
        },
        "unknown": {"objects": 3, "named": sum(row["named"] == "1" for row in other)},
    }
    assert found["names"] == found["datasets"]["squares"]["names"] == expected


def test_a_memory_of_examples_is_written_and_names_by_it(
    data: Path, trained: SegSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import segsam.model.checkpoint as module

    weights = save_checkpoint(trained, tmp_path / "model.safetensors", Card("tiny", True))
    many = tmp_path / "many"
    shutil.copytree(data, many)
    for number in range(3, 24):
        for part in ("images", "labels"):
            shutil.copy(many / part / f"{number % 3}.png", many / part / f"{number}.png")
    rows = tmp_path / "rows.npz"
    call("evaluate", many, "--prompt", "box", "--objects", rows)
    monkeypatch.setattr(module, "HOSTS", {**module.HOSTS, "tiny": type(trained.host)})
    monkeypatch.setattr("segsam.evaluation.naming.load_pretrained", module.load_pretrained)
    shown = call(
        "calibrate", rows, "--examples", rows, "--on", rows, "--write", weights, "--json",
        tmp_path / "naming.json",
    )  # fmt: skip
    again = module.load_pretrained(weights)
    assert again.memory is not None
    assert again.naming_rule is not None
    record = json.loads((tmp_path / "naming.json").read_text())
    names = again.card.naming["names"]
    assert again.card.naming == {**record["naming"], "names": names}
    assert {one: names[one]["objects"] for one in names} == {"liver": 24, "spleen": 24}
    assert sum(one["named"] for one in names.values()) == record["test"]["names"]["known"]["named"]
    assert names["liver"]["data"] == ["squares"]
    assert again.card.naming["objects"]["known"] == 48
    assert record["test"]["names"]["known"]["objects"] == 48
    assert "of 48 known objects named" in shown.output
    with pytest.raises(EvaluationError, match="Expected --examples for a checkpoint with a memory"):
        call("calibrate", rows, "--write", weights)
    call("evaluate", data, "--prompt", "box", "--objects", tmp_path / "rows.csv")
    with pytest.raises(EvaluationError, match="objects with descriptions"):
        call("calibrate", tmp_path / "rows.csv", "--examples", tmp_path / "rows.csv")
