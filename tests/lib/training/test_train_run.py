"""`segsam train` on generated images: every variant learns, stops, goes on, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
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
from segsam.cli.train import train as train_command
from segsam.datasets.folder import open_dataset
from segsam.datasets.splits import TRAIN, Split
from segsam.errors import CategoryError, OutputError, TrainingError
from segsam.model import VARIANTS, Host, PromptTensors, SegSam, build_variant, read_card
from segsam.model.readout import resize_logits
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.training import initial_model, loop, teacher_masks, validation
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.initial_model import build_model
from segsam.training.negative_prompts import ENDED, TAUGHT, UNLABELLED
from segsam.training.sample_gradients import SampleGradients
from segsam.training.samples import Sample, cut_case, dataset_classes
from segsam.training.sharded_samples import write_run_shards
from segsam.training.targets import build_targets
from segsam.training.teacher_masks import Teacher

from .test_negative_prompts import ended_sample


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
        "threads": 1,
    }
    return TrainConfig.model_validate(record | changes)


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


FULL = {
    "steps": 8,
    "checkpoint_every": 3,
    "validate_every": 4,
    "weight_average": 0.9,
    "correction_rounds": 1,
    "correction_share": 0.5,
    "points_per_round": [1, 3],
    "warmup_steps": 2,
    "clip_norm": 1.0,
    "weight_decay": 0.01,
    "validation_share": 0.3,
}
"""Everything that a run has to remember."""


@pytest.fixture
def six_cases(tmp_path: Path) -> Path:
    cases = [f"ABD_00{patient}_{index}" for patient in range(3) for index in range(2)]
    return write_dataset(tmp_path / "squares", cases)


def in_a_process(config: Any, folder: Path, *arguments: str, ranks: int = 1) -> int:
    """Run the tiny training of `data/train_tiny.py`; its return code."""
    file = folder / "config.json"
    file.write_text(config.to_json())
    starter = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    script = str(Path(__file__).parent / "train_tiny.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(starter if ranks > 1 else []), script, str(file), *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def same_files(wanted: Path, found: Path) -> None:
    first, second = load_file(wanted / "model.safetensors"), load_file(found / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name in ("log.csv", "validation.csv"):
        assert (wanted / name).read_text() == (found / name).read_text()


@pytest.mark.slow
def test_killed_and_resumed_equals_unbroken(six_cases: Path, tmp_path: Path, start: Starts) -> None:
    loop.train(run(six_cases, tmp_path / "whole", **FULL), start=start())
    config = run(six_cases, tmp_path / "broken", **FULL)
    assert in_a_process(config, tmp_path, "5") == -signal.SIGKILL
    assert not (tmp_path / "broken" / "model.safetensors").exists()
    resumed = loop.train(config, start=start(), resume=True)
    assert resumed.encoded == 0, "embeddings were kept"
    same_files(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize(("moment", "steps"), [("after step", 2), ("in step", 2), ("judging", 4)])
def test_asked_to_stop_it_saves_at_once(
    six_cases: Path,
    tmp_path: Path,
    start: Starts,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    steps: int,
) -> None:
    """Neither the rest of a step nor that of a validation is waited for, and both are done anew."""
    whole = FULL | {"images_per_step": 2}
    loop.train(run(six_cases, tmp_path / "whole", **whole), start=start())
    config = run(six_cases, tmp_path / "broken", **whole | {"checkpoint_every": 100})
    signals = iter([signal.SIGTERM])
    add, score = SampleGradients.add, validation._score

    def adding(self: Any, sample: Any, *, step: int, place: int, share: float) -> Any:
        if moment == "in step" and (step, place) == (2, 0):
            for number in signals:
                signal.raise_signal(number)
        return add(self, sample, step=step, place=place, share=share)

    def scoring(*arguments: Any, **more: Any) -> Any:
        if moment == "judging":
            for number in signals:
                signal.raise_signal(number)
        return score(*arguments, **more)

    def ask(done: int, total: int, what: str) -> None:
        if moment == "after step" and what.startswith("loss") and done == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(SampleGradients, "add", adding)
    monkeypatch.setattr(validation, "_score", scoring)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, start=start(), progress=ask)
    lines = (tmp_path / "broken" / "log.csv").read_text().splitlines()
    assert lines[-1].startswith(f"{steps},")
    assert not (tmp_path / "broken" / "validation.csv").read_text()
    loop.train(config, start=start(), resume=True)
    same_files(tmp_path / "whole", tmp_path / "broken")


def test_a_run_does_not_go_on_with_other_labels(data: Path, tmp_path: Path, start: Starts) -> None:
    config = run(data, tmp_path / "run", steps=4, checkpoint_every=1)

    def stop(done: int, total: int, what: str) -> None:
        if what.startswith("loss") and done == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        loop.train(config, start=start(), progress=stop)
    file = data / "labels" / "ABD_001_1.png"
    before = file.read_bytes()
    label = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(file), np.array([0, 2, 1], np.uint8)[label])
    with pytest.raises(TrainingError, match="are not those that it began with"):
        loop.train(config, start=start(), resume=True)
    file.write_bytes(before)
    assert loop.train(config, start=start(), resume=True).steps == 4


@pytest.mark.slow
def test_two_processes_equal_one_with_the_doubled_batch(
    six_cases: Path, tmp_path: Path, start: Starts
) -> None:
    changes = {"steps": 4, "images_per_step": 4, "correction_rounds": 1, "validation_share": 0.3}
    loop.train(run(six_cases, tmp_path / "one", **changes), start=start())
    config = run(six_cases, tmp_path / "two", **changes)
    assert in_a_process(config, tmp_path, ranks=2) == 0
    losses = []
    for name in ("one", "two"):
        rows = (tmp_path / name / "log.csv").read_text().splitlines()[1:]
        losses.append([float(row.split(",")[3]) for row in rows])
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert json.loads((tmp_path / "two" / "report.json").read_text())["steps"] == 4


def test_the_best_is_kept_and_nothing_better_ends_the_run(
    six_cases: Path, tmp_path: Path, start: Starts
) -> None:
    changes = {"steps": 12, "validate_every": 2, "patience": 2, "validation_share": 0.3}
    # A rate this high makes every later validation worse than the first good one.
    config = run(six_cases, tmp_path / "run", learning_rate=0.5, **changes)
    report = loop.train(config, start=start())
    table = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    scores = {int(row.split(",")[0]): float(row.split(",")[1]) for row in table[1:]}
    assert report.steps < 12
    assert report.steps == report.best_step + 4
    assert max(scores, key=lambda step: scores[step]) == report.best_step
    again = loop.train(config, start=start(), resume=True)
    assert (again.steps, again.best_step) == (report.steps, report.best_step)
    best = torch.load(tmp_path / "run" / "best.pt", weights_only=True)
    saved = load_file(report.checkpoint)
    assert all(torch.equal(saved[name], best[name]) for name in saved if name in best)


def test_it_ends_when_its_time_is_up(six_cases: Path, tmp_path: Path, start: Starts) -> None:
    config = run(six_cases, tmp_path / "run", steps=50, minutes=1e-9, validation_share=0.3)
    report = loop.train(config, start=start())
    assert report.steps == 2, "the first one, and the last, which is measured"
    assert report.best_step == 2
    assert "dsc_box" in report.metrics


def test_a_split_file_is_honoured(six_cases: Path, tmp_path: Path, start: Starts) -> None:
    cases = [f"ABD_00{patient}_{index}" for patient in range(3) for index in range(2)]
    split = Split({"train": {"squares": tuple(cases[:1])}, "test": {"squares": tuple(cases[1:])}})
    split.save(tmp_path / "given.json")
    config = run(six_cases, tmp_path / "run", split=str(tmp_path / "given.json"))
    assert loop.train(config, start=start()).slices == {"train": 1, "validation": 0}
    assert Split.load(tmp_path / "run" / "split.json") == split
    write_dataset(tmp_path / "more" / "bars", ["a"])
    changes = {"datasets": [str(six_cases), str(tmp_path / "more" / "bars")]}
    config = run(six_cases, tmp_path / "x", split=str(tmp_path / "given.json"), **changes)
    with pytest.raises(
        TrainingError, match=r"Expected 1 cases of bars in .*, got 0: .* is missing"
    ):
        loop.train(config, start=start())


def test_coarser_grid_other_choices_and_all_categories(
    data: Path, tmp_path: Path, start: Starts
) -> None:
    changes = {"grid": 4, "head": "maskcls", "model": {"depth": 1}, "categories": "all"}
    report = loop.train(run(data, tmp_path / "run", **changes), start=start())
    card = read_card(report.checkpoint)
    assert (card.config.grid, card.config.head, card.config.depth) == (4, "maskcls", 1)
    assert len(card.categories) == 5


def test_from_a_checkpoint_of_the_same_variant_all_is_taken(
    data: Path, tmp_path: Path, start: Starts
) -> None:
    begun = start()
    first = build_model(run(data, tmp_path / "a", categories="all"), begun, [])
    second = build_model(run(data, tmp_path / "b"), first, [open_dataset(data)])
    wanted, found = first.state_dict(), second.state_dict()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert len(second.categories) == 5, "it keeps what it knows"
    other = build_model(run(data, tmp_path / "c", variant="so"), first, [open_dataset(data)])
    assert other.text_enhancement is None


def test_kinds_of_boxes_are_learnt_on_top_of_what_is_there(
    data: Path, tmp_path: Path, start: Starts
) -> None:
    before = build_model(run(data, tmp_path / "a"), start(), [open_dataset(data)])
    changes = {"model": {"box_kinds": True}, "loose_share": 0.5, "neighbour_share": 0.5}
    told = run(data, tmp_path / "b", point_share=0.0, **changes)
    begun = build_model(told, before, [open_dataset(data)])
    assert begun.box_kinds is not None
    assert not begun.box_kinds.offsets.any()
    old = before.state_dict()
    assert all(torch.equal(old[name], begun.state_dict()[name]) for name in old)

    report = loop.train(told, start=before)
    offsets = load_file(report.checkpoint)["box_kinds.offsets"]
    assert offsets.abs().amax(dim=(1, 2)).min() > 0, "each kind"
    assert read_card(report.checkpoint).config.box_kinds


def test_boxes_of_volumes_are_kept_to_volumes(data: Path, tmp_path: Path, start: Starts) -> None:
    changes = {"model": {"box_kinds": True}, "loose_share": 0.5, "neighbour_share": 0.5}
    flat = run(data, tmp_path / "run", point_share=0.0, volumes_of=["PET"], **changes)
    report = loop.train(flat, start=start())
    offsets = load_file(report.checkpoint)["box_kinds.offsets"]
    assert not offsets.any(), "its pictures are of no such modality"


def test_copies_are_learnt_from_and_limits_hold(
    six_cases: Path, tmp_path: Path, start: Starts
) -> None:
    changes = {"augmented_copies_of": {"squares": 2}, "validation_share": 0.3}
    report = loop.train(run(six_cases, tmp_path / "run", **changes), start=start())
    assert report.slices == {"train": 12, "validation": 2}
    for key in ("augmented_copies_of", "mirrored_copies_of", "slices_per_volume_of"):
        with pytest.raises(TrainingError, match=f"in {key}, got 'circles'"):
            loop.train(run(six_cases, tmp_path / key, **{key: {"circles": 1}}), start=start())


def test_masks_without_a_name_train_outlines_and_no_name(tmp_path: Path, start: Starts) -> None:
    labels = {"1": "liver", "2": "upper vertebra"}
    folder = write_dataset(tmp_path / "squares", ["ABD_001_1", "ABD_002_1"], labels)
    report = loop.train(run(folder, tmp_path / "run"), start=start())
    card = read_card(report.checkpoint)
    assert [one.name for one in card.categories] == ["liver"]
    dataset = open_dataset(folder)
    model = build_model(run(folder, tmp_path / "other"), start(), [dataset])
    (one, *_) = cut_case(
        run(folder, tmp_path / "other"), dataset, dataset.cases[0], part="train", input_size=32
    )
    classes = dataset_classes([dataset], model.categories)[dataset.name]
    image, prompted = Sample.of(one, dataset, classes, key="k").annotated(model)
    assert one.prompted == (1, 2)
    assert [int(image.classes[index]) for index in prompted] == [1, 0]
    targets = build_targets([image], [prompted], model.config)
    assert targets.masks[1, 0].sum() == (one.labels == 2).sum() == 96, (
        "the mask is a target of the interactive decoder"
    )
    assert targets.classes.tolist() == [1, 0]
    assert targets.annotated.tolist() == [[True], [True]]


def test_data_without_any_name_need_a_vocabulary(tmp_path: Path, start: Starts) -> None:
    labels = {"1": "air cavity", "2": "object 2"}
    folder = write_dataset(tmp_path / "squares", ["ABD_001_1", "ABD_002_1"], labels)
    with pytest.raises(TrainingError, match="Expected a label with a name to learn, got masks"):
        loop.train(run(folder, tmp_path / "run"), start=start())
    report = loop.train(run(folder, tmp_path / "all", categories="all"), start=start())
    assert report.slices["train"] == 2


def test_from_shards_it_learns_the_same(six_cases: Path, tmp_path: Path, start: Starts) -> None:
    changes = {
        "augmented_copies_of": {"squares": 1},
        "validation_share": 0.3,
        "balance": 0.5,
        "steps": 3,
    }
    from_folders = run(six_cases, tmp_path / "folders", **changes)
    wanted = loop.train(from_folders, start=start())
    shards = tmp_path / "shards"
    count = write_run_shards(from_folders, shards, input_size=32, progress=lambda *_: None)
    assert count == 10
    with pytest.raises(OutputError, match="new or empty folder for shards, got folders with"):
        write_run_shards(
            from_folders, tmp_path / "folders", input_size=32, progress=lambda *_: None
        )
    config = run(six_cases, tmp_path / "sharded", **changes)
    found = loop.train(
        config.model_copy(update={"datasets": (), "shards": str(shards)}), start=start()
    )
    assert found.slices == wanted.slices == {"train": 8, "validation": 2}
    same_files(tmp_path / "folders", tmp_path / "sharded")
    card = read_card(found.checkpoint)
    assert (card.training_data, "CC0" in card.licence) == (("squares",), True)


def test_bfloat16_and_the_board(data: Path, tmp_path: Path, start: Starts) -> None:
    config = run(data, tmp_path / "run", precision="bf16", tensorboard=True)
    report = loop.train(config, start=start())
    assert all(value.dtype != torch.bfloat16 for value in load_file(report.checkpoint).values())
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    with pytest.raises(TrainingError, match="Cannot compute on the device 'abacus'"):
        loop.train(run(data, tmp_path / "x", device="abacus"), start=start())


def test_an_encoder_that_learns_is_encoded_live(data: Path, tmp_path: Path, start: Starts) -> None:
    begun = start()
    begun.host.image_encoder.requires_grad_(True)
    before = begun.host.image_encoder[0].weight.clone()  # type: ignore[index]
    report = loop.train(run(data, tmp_path / "run"), start=begun)
    after = load_file(report.checkpoint)["host.image_encoder.0.weight"]
    assert not torch.equal(before, after)
    assert report.encoded == 0


def test_the_split_is_kept_and_measured(six_cases: Path, tmp_path: Path, start: Starts) -> None:
    report = loop.train(run(six_cases, tmp_path / "run", validation_share=0.3), start=start())
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


class TestRefusals:
    def test_unknown_labels(self, tmp_path: Path, start: Starts) -> None:
        data = write_dataset(tmp_path / "squares", ["a"], {"1": "livre", "2": "spleen"})
        for categories in ("data", "all"):
            config = run(data, tmp_path / categories, categories=categories)
            with pytest.raises(CategoryError, match=r"'livre'; the nearest are 'liver'"):
                loop.train(config, start=start())

    def test_files_of_others(self, data: Path, tmp_path: Path, start: Starts) -> None:
        (tmp_path / "run").mkdir()
        for name in ("split.json", "config.json", "best.pt", "model.json"):
            file = tmp_path / "run" / name
            file.write_text("{}")
            with pytest.raises(TrainingError, match=f"got run with {name}, which the run would"):
                loop.train(run(data, tmp_path / "run"), start=start())
            assert file.read_text() == "{}"
            file.unlink()

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
    monkeypatch.setattr(initial_model, "load_pretrained", lambda *_, **__: start())
    path = tmp_path / "run.yaml"
    path.write_text(f"datasets: ['{data}']\nout: '{tmp_path / 'run'}'\nsteps: 2\n")
    app = typer.Typer()
    app.command()(train_command)
    small = ["--set", "variant=so", "--set", "images_per_step=1"]
    small += ["--json", str(tmp_path / "r.json")]
    result = CliRunner().invoke(app, [str(path), *small])
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["steps"] == 2
    assert read_card(record["checkpoint"]).variant == "so"
    result = CliRunner().invoke(app, [str(path), *small, "--resume"])
    assert result.exit_code == 0, result.output


def test_ctrl_c_says_how_to_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(initial_model, "load_pretrained", interrupted)
    path = tmp_path / "run.yaml"
    path.write_text(f"datasets: ['{data}']\nout: '{tmp_path / 'run'}'\n")
    app = typer.Typer()
    app.command()(train_command)
    result = CliRunner().invoke(app, [str(path)])
    assert result.exit_code == 130
    assert "--resume continues there" in result.output


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"end_share": 1.0}, ENDED), ({"end_share": 0, "unlabelled_share": 1.0}, UNLABELLED)],
)
def test_their_gradients(
    changes: dict[str, float],
    name: str,
    start: Starts,
    tmp_path: Path,
) -> None:
    """Of places without a label, only names and presence learn."""
    origin = start()
    model = build_variant("segsam", origin.host, origin.categories, head="maskcls").train()
    store = EmbeddingStore(tmp_path, model)
    one = ended_sample(key=store.add(np.zeros((32, 32, 3), np.uint8)))
    if name == UNLABELLED:
        one = replace(one, ended=())
    taught = TrainConfig.model_validate({"out": "x", "datasets": ["x"], **changes})
    terms = SampleGradients(model, store, taught).add(one, step=0, place=0, share=1.0)
    assert terms[name] == terms["total"] > 0
    hypernetworks = model.host.mask_decoder.output_hypernetworks_mlps
    drew = [value.grad for value in hypernetworks.parameters() if value.grad is not None]
    assert any(bool(each.abs().sum() > 0) for each in drew) is (name == ENDED)
    assert model.semantic_decoder is not None
    learnt = [value.grad for value in model.semantic_decoder.parameters()]
    assert any(each is not None and bool(each.abs().sum() > 0) for each in learnt)


def test_a_run_learns_what_its_teacher_draws_in_places_without_a_label(
    data: Path, start: Starts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher draws once for each slice; the run has the very masks that it gives a user."""
    teacher = start().eval()
    monkeypatch.setattr(teacher_masks, "load_pretrained", lambda name: teacher)
    changes = {"teacher": "tiny", "teacher_boxes_of": {"squares": 4}, "teacher_share": 1.0}
    config = run(data, tmp_path / "run", **changes)
    loop.train(config, start=start())
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert all(float(row[TAUGHT]) > 0 for row in csv.DictReader(log))
    files = EmbeddingFiles(tmp_path / "run" / "embeddings")
    one = next(cut_case(config, open_dataset(data), "ABD_001_1", part=TRAIN, input_size=32))
    with monkeypatch.context() as patch:
        patch.setattr(teacher, "encode", None)
        taught = Teacher(config, files, input_size=32).masks_of(one, "squares")
    assert taught is not None
    features = teacher.encode(teacher.host.prepare(one.picture)[None])
    decoded = teacher.decode_batch(features, PromptTensors(boxes_px=taught.boxes_px))
    right = resize_logits(decoded.binary_logits, (32, 32))[:, 0] > 0
    masks = taught.masks(np.arange(len(taught.boxes_px)), (32, 32))
    assert (masks == right.numpy()).all()
    with pytest.raises(TrainingError, match="teacher for slices of 64 pixels"):
        Teacher(config, files, input_size=64)


def test_a_run_with_a_learning_encoder_augments_and_resumes_to_the_same(
    data: Path,
    start: Starts,
    tmp_path: Path,
) -> None:
    """Statistics of batch norms stay as they came; the encoder's weights change."""
    changes: dict[str, Any] = {
        "encoder_learning_rate": 1e-3, "augment_share": 0.7, "unlabelled_share": 0.3, "steps": 4,
        "checkpoint_every": 2,
    }  # fmt: skip
    origin = start()
    before = {name: value.clone() for name, value in origin.host.image_encoder.state_dict().items()}
    loop.train(run(data, tmp_path / "a", **changes), start=origin)
    after = origin.host.image_encoder.state_dict()
    for name, value in before.items():
        is_statistic = "running" in name or "num_batches" in name
        assert torch.equal(after[name], value) is is_statistic, name

    def stop(done: int, total: int, what: str) -> None:
        if what.startswith("loss") and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(run(data, tmp_path / "b", **changes), start=start(), progress=stop)
    resumed = start()
    loop.train(run(data, tmp_path / "b", **changes), start=resumed, resume=True)
    for name, value in resumed.host.image_encoder.state_dict().items():
        assert torch.equal(value, after[name]), name


def test_a_grown_checkpoint_has_its_own_names_and_the_datas(
    data: Path,
    start: Starts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin = start()
    model = build_variant("segsam", origin.host, origin.categories.only(["liver", "nerve"]))
    vocabulary: Callable[[], Categories] = lambda: origin.categories  # noqa: E731
    monkeypatch.setattr(initial_model.Categories, "load", vocabulary)
    grown: SegSam = initial_model.with_names(model, [open_dataset(data)])
    assert grown.categories.names == ("liver", "nerve", "spleen")
    assert initial_model.with_names(grown, [open_dataset(data)]) is grown
