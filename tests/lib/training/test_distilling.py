"""`segsam distill`: a student of LiteMedSAM learns, goes on after a stop, and can be used."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from segsam.cli.app import app
from segsam.errors import CheckpointError, TrainingError
from segsam.model import Host, SegSam, load_pretrained
from segsam.model.hosts import SegSamFast
from segsam.training.config import TrainConfig
from segsam.training.distillation import DistillReport, distil
from segsam.training.run_data import RunData
from segsam.training.samples import cut_case
from segsam.training.slice_images import SliceImages
from segsam.training.student import build_student, embedding_distance


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "discs"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(3):
        label = np.zeros((48, 40), dtype=np.uint8)
        cv2.circle(label, (20, 20 + 4 * number), 10, 1, -1)
        cv2.imwrite(str(folder / "images" / f"ABD_00{number}_1.png"), 40 + 150 * label)
        cv2.imwrite(str(folder / "labels" / f"ABD_00{number}_1.png"), label)
    record = {"name": "discs", "modality": "CT", "licence": "CC0", "labels": {"1": "liver"}}
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def teacher() -> SegSam:
    return load_pretrained("litemedsam")


def a_run(data: Path, out: Path, steps: int) -> TrainConfig:
    return TrainConfig(
        out=str(out),
        datasets=(str(data),),
        embeddings=str(data.parent / "embeddings"),
        steps=steps,
        images_per_step=1,
        learning_rate=1e-3,
        validation_share=0.34,
        tensorboard=False,
        threads=1,
        weight_average=0.5,
    )


def taught(config: TrainConfig, teacher: SegSam, *, resume: bool = False) -> DistillReport:
    said: list[str] = []
    return distil(
        config,
        student="segsam_fast",
        resume=resume,
        start=teacher,
        progress=lambda done, total, what: said.append(what),
    )


@pytest.fixture(scope="module")
def unbroken(data: Path, teacher: SegSam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    taught(a_run(data, out, 4), teacher)
    return out


def test_a_student_learns_and_is_a_checkpoint(unbroken: Path, teacher: SegSam) -> None:
    report = json.loads((unbroken / "report.json").read_text())
    assert (report["steps"], report["slices"]) == (4, {"train": 2, "validation": 1})
    lines = (unbroken / "log.csv").read_text().splitlines()
    names = lines[0].split(",")
    first, last = (float(line.split(",")[names.index("unexplained")]) for line in lines[1:5:3])
    assert last < 0.9 * first
    model = load_pretrained(report["checkpoint"])
    assert isinstance(model.host, SegSamFast)
    assert model.grid == 32
    ours, theirs = model.host.mask_decoder.state_dict(), teacher.host.mask_decoder.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    features = model.encode(model.host.prepare(np.full((256, 200, 3), 90, np.uint8))[None])
    assert features.embedding.shape == (1, 256, 32, 32)


def test_a_student_begins_with_what_its_teacher_says_of_half_the_size(teacher: SegSam) -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    begun = build_student(teacher, "segsam_fast").eval().host.image_encoder
    with torch.no_grad():
        half = teacher.host.image_encoder(F.avg_pool2d(image, 2))
        assert torch.allclose(begun(image), half, atol=1e-4)


def test_stopped_and_resumed_is_the_same(
    unbroken: Path, data: Path, teacher: SegSam, tmp_path: Path
) -> None:
    config = a_run(data, tmp_path / "broken", 4)

    def stop_after_two(done: int, total: int, what: str) -> None:
        if what.startswith("unexplained") and done == 2:
            raise KeyboardInterrupt

    config = config.model_copy(update={"checkpoint_every": 1})
    with pytest.raises(KeyboardInterrupt):
        distil(config, student="segsam_fast", start=teacher, progress=stop_after_two)
    before = torch.load(tmp_path / "broken" / "last.pt", weights_only=True)["seconds"]
    assert taught(config, teacher, resume=True).seconds > before > 0
    whole = torch.load(unbroken / "last.pt", weights_only=True)["encoder"]
    again = torch.load(tmp_path / "broken" / "last.pt", weights_only=True)["encoder"]
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    with pytest.raises(TrainingError, match="another configuration"):
        taught(config.model_copy(update={"learning_rate": 2e-3}), teacher, resume=True)
    with pytest.raises(TrainingError, match="There is a run in broken already"):
        taught(config, teacher)
    (tmp_path / "broken" / "last.pt").write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"Cannot resume from last\.pt"):
        taught(config, teacher, resume=True)


def test_pictures_are_what_was_cut(unbroken: Path, data: Path) -> None:
    source = RunData.of(a_run(data, unbroken, 4))
    kept = SliceImages(unbroken)
    assert {part: len(places) for part, places in kept.parts.items()} == {
        "train": 2,
        "validation": 1,
    }
    assert kept.datasets == ["discs"] * 3
    cut = {
        part: [
            one.picture
            for case in source.split.cases(part, "discs")
            for one in cut_case(source.config, source.datasets[0], case, part=part, input_size=256)
        ]
        for part in kept.parts
    }
    for part, places in kept.parts.items():
        assert [kept[place].shape for place in places] == [(256, 213, 3)] * len(places)
        assert all((kept[a] == b).all() for a, b in zip(places, cut[part], strict=True))


def test_the_distance_of_embeddings() -> None:
    wanted = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    same = embedding_distance(wanted, wanted)
    assert same["unexplained"].item() == 0
    assert same["unlike"].item() == pytest.approx(0, abs=1e-6)
    mean = wanted.mean(dim=(0, 2, 3), keepdim=True).expand_as(wanted)
    assert embedding_distance(mean, wanted)["unexplained"].item() == pytest.approx(1, abs=1e-4)


def test_students_that_cannot_be(teacher: SegSam, tiny_host: Host) -> None:
    with pytest.raises(CheckpointError, match=r"Expected one of .*segsam_fast.*, got 'nobody'"):
        build_student(teacher, "nobody")
    with pytest.raises(CheckpointError, match="Expected a student with the input size"):
        build_student(SegSam(tiny_host, teacher.categories), "segsam_fast")


def test_the_command_says_what_is_wrong(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(f"datasets: [{data}]\nout: {tmp_path / 'out'}\nsteps: 1\n")
    found = CliRunner().invoke(app, ["distill", str(file), "--resume", "--set", "steps=none"])
    assert isinstance(found.exception, TrainingError)
    assert "Expected steps to be a whole number" in str(found.exception)
