"""`segsam train` on generated images: every variant learns, stops, goes on, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import typer
from safetensors.torch import load_file
from typer.testing import CliRunner

from segsam.categories import Categories
from segsam.errors import CategoryError, CheckpointError, TrainingError
from segsam.model import VARIANTS, Host, SegSam, read_card
from segsam.train_cli import train as train_command
from segsam.training import loop, starting
from segsam.training.config import config_from, load_config
from segsam.training.simulation import inner_points, jittered_box
from segsam.training.targets import annotate


def write_dataset(folder: Path, cases: list[str], labels: dict[str, str] | None = None) -> Path:
    """Bright squares (1) and darker bars (2) on dark ground, a place of its own for each case."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number, case in enumerate(cases):
        label = np.zeros((32, 32), dtype=np.uint8)
        label[6 + number % 3 : 18, 5:16] = 1
        label[22:28, 10 : 26 + number % 3] = 2
        picture = np.array([20, 220, 120], dtype=np.uint8)[label]
        picture += np.tile(np.arange(8, dtype=np.uint8), 4)
        cv2.imwrite(str(folder / "images" / f"{case}.png"), picture)
        cv2.imwrite(str(folder / "labels" / f"{case}.png"), label)
    names = labels or {"1": "liver", "2": "spleen"}
    record = {"name": folder.name, "modality": "CT", "licence": "CC0", "labels": names}
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "squares", ["ABD_001_1", "ABD_002_1"])


Starts = Callable[..., SegSam]


@pytest.fixture
def start(tiny_host: Host, five_categories: Categories) -> Starts:
    """The same tiny host each time it is called, under any host's name."""
    state = {name: value.clone() for name, value in tiny_host.state_dict().items()}

    def made(host_name: str = "") -> SegSam:
        host = type(tiny_host)()
        host.load_state_dict(state)
        if host_name:
            host.facts = replace(host.facts, name=host_name)
        return SegSam(host, five_categories)

    return made


def run(data: Path, out: Path, **changes: Any) -> Any:
    record = {
        "datasets": [str(data)],
        "out": str(out),
        "steps": 2,
        "images_per_step": 1,
        "prompts_per_image": 2,
        "jitter_px": 1,
        "validation_share": 0,
        "tensorboard": False,
    }
    return config_from(record | changes)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_every_variant_learns(variant: str, data: Path, tmp_path: Path, start: Starts) -> None:
    begun = start(VARIANTS[variant].host)
    before = {name: value.clone() for name, value in begun.host.state_dict().items()}
    report = loop.train(run(data, tmp_path / "run", variant=variant), start=begun)
    card = read_card(report.checkpoint)
    assert card.variant == variant
    assert card.semantic_is_trained is VARIANTS[variant].semantics
    assert card.training_data == ("squares",)
    assert "CC0" in card.licence
    learnt = load_file(report.checkpoint)
    moved = {name for name in before if not torch.equal(before[name], learnt[f"host.{name}"])}
    assert any(name.startswith("mask_decoder") for name in moved)
    assert not any(name.startswith("image_encoder") for name in moved)
    assert report.encoded == 2
    lines = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert lines[0].startswith("step,learning_rate,host_learning_rate,total,focal,dice")
    assert len(lines) == 3


def test_the_loss_falls(data: Path, tmp_path: Path, start: Starts) -> None:
    config = run(data, tmp_path / "run", steps=40, learning_rate=2e-3, images_per_step=2)
    report = loop.train(config, start=start())
    assert report.first_loss is not None
    assert report.last_loss is not None
    assert report.last_loss < 0.7 * report.first_loss


def test_resumed_equals_unbroken(data: Path, tmp_path: Path, start: Starts) -> None:
    whole = loop.train(run(data, tmp_path / "whole", steps=5), start=start())
    config = run(data, tmp_path / "broken", steps=5, checkpoint_every=2)

    def stop(done: int, total: int, what: str) -> None:
        if what.startswith("loss") and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(config, start=start(), progress=stop)
    resumed = loop.train(config, start=start(), resume=True)
    assert resumed.encoded == 0, "embeddings were kept"
    wanted, found = load_file(whole.checkpoint), load_file(resumed.checkpoint)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "broken")]
    assert logs[0] == logs[1]


def test_an_encoder_that_learns_is_encoded_live(data: Path, tmp_path: Path, start: Starts) -> None:
    begun = start()
    begun.host.image_encoder.requires_grad_(True)
    before = begun.host.image_encoder[0].weight.clone()  # type: ignore[index]
    report = loop.train(run(data, tmp_path / "run"), start=begun)
    after = load_file(report.checkpoint)["host.image_encoder.0.weight"]
    assert not torch.equal(before, after)
    assert report.encoded == 0


def test_the_split_is_kept_and_measured(tmp_path: Path, start: Starts) -> None:
    cases = [f"ABD_00{patient}_{index}" for patient in range(3) for index in range(2)]
    data = write_dataset(tmp_path / "squares", cases)
    report = loop.train(run(data, tmp_path / "run", validation_share=0.3), start=start())
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert [len(split["parts"][part]["squares"]) for part in ("train", "validation")] == [4, 2]
    assert report.slices == {"train": 4, "validation": 2}
    averages = {name for name in report.metrics if "/" not in name}
    measures = {"dsc", "mdsc", "accuracy"}
    assert averages == {f"{one}_{prompt}" for one in measures for prompt in ("box", "point")}
    assert {"dsc_box/CT", "mdsc_point/squares"} <= set(report.metrics)
    card = read_card(report.checkpoint)
    assert card.metrics["validation_dsc_box"] == round(report.metrics["dsc_box"], 2)
    assert [one.name for one in card.categories] == ["liver", "spleen"]


def test_small_objects_are_not_prompted_but_present() -> None:
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[:20, :20] = 1
    labels[40, 40:46] = 2
    image, values = annotate(labels, {1: 3, 2: 1, 4: 5}, side=64, categories=5)
    assert values == [1, 2]
    assert image.classes.tolist() == [3, 1]
    assert image.annotated.tolist() == [True, False, True, False, True]


def test_simulated_prompts_are_seeded_and_inside() -> None:
    mask = np.zeros((32, 32), dtype=np.bool_)
    mask[4:20, 6:12] = True
    tight = jittered_box(mask, np.random.default_rng(0), 0)
    assert tight.tolist() == [6, 4, 11, 19]
    for seed in range(20):
        box = jittered_box(mask, np.random.default_rng(seed), 5)
        assert np.abs(box - tight).max() <= 5
        assert box[0] <= box[2]
        assert np.array_equal(box, jittered_box(mask, np.random.default_rng(seed), 5))
        points = inner_points(mask, np.random.default_rng(seed), 3).astype(int)
        assert mask[points[:, 1], points[:, 0]].all()
        assert points[:, 0].min() >= 7, "off the edge"


class TestRefusals:
    def test_unknown_keys(self, tmp_path: Path) -> None:
        path = tmp_path / "run.yaml"
        path.write_text("datasets: [a]\nout: b\n")
        assert load_config(path, ["variant=so_co", "loss.alignment=1e-1"]).variant == "so_co"
        with pytest.raises(TrainingError, match=r"Unknown key rate; the known ones are .*learning"):
            load_config(path, ["rate=1"])
        with pytest.raises(TrainingError, match=r"Unknown key loss\.focus"):
            load_config(path, ["loss.focus=1"])
        with pytest.raises(TrainingError, match="Expected int as steps, got 'many'"):
            load_config(path, ["steps=many"])
        with pytest.raises(TrainingError, match="Expected key=value"):
            load_config(path, ["steps"])
        with pytest.raises(CheckpointError, match="Expected one of baseline"):
            load_config(path, ["variant=none"])
        with pytest.raises(TrainingError, match="point_share between 0 and 1"):
            load_config(path, ["point_share=2"])
        with pytest.raises(TrainingError, match="weight of 0 or more"):
            load_config(path, ["loss.dice=-1"])

    def test_unknown_labels(self, tmp_path: Path, start: Starts) -> None:
        data = write_dataset(tmp_path / "squares", ["a"], {"1": "livre", "2": "spleen"})
        for categories in ("data", "all"):
            config = run(data, tmp_path / categories, categories=categories)
            with pytest.raises(CategoryError, match=r"'livre'; the nearest are 'liver'"):
                loop.train(config, start=start())

    def test_another_run(self, data: Path, tmp_path: Path, start: Starts) -> None:
        with pytest.raises(TrainingError, match=r"no last\.pt"):
            loop.train(run(data, tmp_path / "run"), start=start(), resume=True)
        loop.train(run(data, tmp_path / "run"), start=start())
        with pytest.raises(TrainingError, match="a run in run already"):
            loop.train(run(data, tmp_path / "run"), start=start())
        with pytest.raises(TrainingError, match="another configuration"):
            loop.train(run(data, tmp_path / "run", seed=1), start=start(), resume=True)
        (tmp_path / "run" / "last.pt").write_bytes(b"PK damaged")
        with pytest.raises(TrainingError, match="Cannot resume"):
            loop.train(run(data, tmp_path / "run"), start=start(), resume=True)


def test_the_command(
    data: Path, tmp_path: Path, start: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The registry of hosts knows published sizes only, none of which a test can train.
    monkeypatch.setattr(starting, "load_pretrained", lambda *_, **__: start())
    path = tmp_path / "run.yaml"
    path.write_text(f"datasets: ['{data}']\nout: '{tmp_path / 'run'}'\nsteps: 2\n")
    app = typer.Typer()
    app.command()(train_command)
    small = ["--set", "variant=so", "--set", "images_per_step=1", "--json", str(tmp_path / "r")]
    result = CliRunner().invoke(app, [str(path), *small])
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "r").read_text())
    assert record["steps"] == 2
    assert read_card(record["checkpoint"]).variant == "so"
    result = CliRunner().invoke(app, [str(path), *small, "--resume"])
    assert result.exit_code == 0, result.output


def test_ctrl_c_says_how_to_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(starting, "load_pretrained", interrupted)
    path = tmp_path / "run.yaml"
    path.write_text(f"datasets: ['{data}']\nout: '{tmp_path / 'run'}'\n")
    app = typer.Typer()
    app.command()(train_command)
    result = CliRunner().invoke(app, [str(path)])
    assert result.exit_code == 130
    assert "--resume goes on from there" in result.output
