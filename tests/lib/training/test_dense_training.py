"""Training of the dense semantic head: it finds what it was shown, goes on after a stop, and keeps
what it knew."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segsam.categories import Categories
from segsam.errors import TrainingError
from segsam.imaging.volume import Volume
from segsam.model import Host, SegSam, load_pretrained
from segsam.model.dense_head import DenseHead
from segsam.training import initial_model, loop
from segsam.training.config import TrainConfig
from segsam.training.dense_rows import RowSlices, fit_rows
from segsam.training.dense_training import (
    FINDING,
    STATE,
    DenseTargets,
    category_map,
    dense_loss,
    rarest_shown,
)
from segsam.training.samples import Sample
from segsam.training.sharded_samples import write_run_shards
from segsam.training.targets import NO_CLASS, AnnotatedImage

from .test_train_run import Starts, run, start, write_dataset

__all__ = ["start"]
NO_LIVER = {"1": "", "2": "spleen"}
DENSE = {"steps": 1, "dense_images": 2, "dense_rate": 3e-3, "example_slices": 0}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "squares", ["ABD_001_1", "ABD_002_1", "ABD_003_1"])


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two volumes of six slices, 4 mm apart, with a block on four of them."""
    folder = tmp_path / "blocks"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for case in range(2):
        labels = np.zeros((32, 32, 6), np.uint8)
        labels[6 + case : 20, 5:16, 1:5] = 1
        noise = np.random.default_rng(case).integers(0, 40, labels.shape)
        voxels = (labels * np.int16(200) + noise).astype(np.int16)
        for part, content in (("images", voxels), ("labels", labels)):
            Volume.from_array(content, np.diag([1.0, 1.0, 4.0, 1.0])).save(
                folder / part / f"B_{case}_1.nii.gz"
            )
    record = {"name": "blocks", "modality": "MR", "licence": "CC0", "labels": {"1": "liver"}}
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


def image(numbers: list[int], masks: torch.Tensor, annotated: list[bool]) -> AnnotatedImage:
    return AnnotatedImage(masks, torch.tensor(numbers), torch.tensor(annotated))


class TestTargets:
    def test_a_cell_has_the_share_that_the_category_covers(self) -> None:
        masks = torch.zeros(3, 8, 8, dtype=torch.bool)
        masks[0, :4, :4] = True  # category 0, a whole cell of 4 x 4 pixels
        masks[1, 4:8, 6:8] = True  # category 0 too, half a cell
        masks[2] = True  # an object without a name
        found = category_map(image([1, 1, 0], masks, [True, False]), 2)
        assert found.tolist() == [[[1.0, 0.0], [0.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]]

    def test_what_is_not_annotated_has_no_gradient(self) -> None:
        logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
        maps = torch.zeros(1, 2, 4, 4)
        maps[:, :, :2] = 1
        dense_loss(logits, DenseTargets(maps, torch.tensor([[True, False]]))).backward()
        assert logits.grad is not None
        assert logits.grad[0, 0].abs().min() > 0
        assert logits.grad[0, 1].abs().max() == 0

    def test_what_was_known_of_it_before_is_its_target(self) -> None:
        logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
        targets = DenseTargets(torch.zeros(1, 2, 4, 4), torch.tensor([[True, False]]))
        dense_loss(logits, targets, torch.full((1, 2, 4, 4), 0.9)).backward()
        assert logits.grad is not None
        assert logits.grad[0, 1].max() < 0, "pulled up to what the head said before"
        assert logits.grad[0, 0].min() > 0


def maps_of(model: SegSam, path: Path) -> torch.Tensor:
    """Return the probabilities (K, m, m) of the dense head on a picture."""
    import cv2

    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    with torch.inference_mode():
        features = model.encode(model.host.prepare(picture)[None])
        maps = model.category_maps(features)
    assert maps is not None
    return maps[0].sigmoid()


def learnt(report: Any) -> SegSam:
    """Return a run's checkpoint on the tiny host."""
    return load_pretrained(report.checkpoint)


@pytest.fixture(autouse=True)
def tiny_hosts(tiny_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints of the tiny host be loaded."""
    import segsam.model.checkpoint as module

    monkeypatch.setattr(module, "HOSTS", {tiny_host.facts.name: type(tiny_host)})


def test_it_learns_where_each_category_is(data: Path, tmp_path: Path, start: Starts) -> None:
    report = loop.train(run(data, tmp_path / "run", **DENSE | {"dense_steps": 60}), start=start())
    model = learnt(report)
    liver, spleen = maps_of(model, data / "images" / "ABD_001_1.png")[:2]
    side = liver.shape[-1]
    rows = torch.arange(side) * 32 / side
    assert liver[(rows > 8) & (rows < 14)].amax(dim=1).min() > 0.5
    assert liver[rows > 24].max() < 0.5
    assert spleen[(rows > 23) & (rows < 26)].amax(dim=1).min() > 0.5
    assert spleen[rows < 14].max() < 0.5


def test_a_stopped_run_goes_on_where_it_was(volumes: Path, tmp_path: Path, start: Starts) -> None:
    """With the same slices beside those that are drawn, and the same ones alone."""
    changes = DENSE | {"dense_steps": 6, "checkpoint_every": 2}
    whole = loop.train(run(volumes, tmp_path / "whole", **changes), start=start())
    config = run(volumes, tmp_path / "broken", **changes)

    def stop(done: int, total: int, what: str) -> None:
        if what.startswith(FINDING) and done == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        loop.train(config, start=start(), progress=stop)
    assert not (tmp_path / "broken" / "model.safetensors").exists()
    steps: list[int] = []
    again = loop.train(
        config,
        start=start(),
        resume=True,
        progress=lambda done, _, what: steps.append(done) if what.startswith(FINDING) else None,
    )
    assert steps == [3, 4, 5, 6], "from the state after two steps"
    first, second = learnt(whole).state_dict(), learnt(again).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["dense_head.beside.join.weight"].abs().max() > 0


def test_slices_beside_those_chosen_are_encoded_for_it(
    volumes: Path, tmp_path: Path, start: Starts
) -> None:
    one_each = DENSE | {"dense_steps": 2, "slices_per_volume": 1}
    report = loop.train(run(volumes, tmp_path / "with", **one_each), start=start())
    assert report.encoded == 2 * 3
    alone = loop.train(
        run(volumes, tmp_path / "alone", **one_each, dense_beside=False), start=start()
    )
    assert alone.encoded == 2
    assert learnt(alone).state_dict()["dense_head.beside.join.weight"].abs().max() == 0
    config = run(volumes, tmp_path / "sharded", **one_each)
    write_run_shards(config, tmp_path / "shards", input_size=32, progress=lambda *_: None)
    sharded = config.model_copy(update={"datasets": (), "shards": str(tmp_path / "shards")})
    same = learnt(loop.train(sharded, start=start())).state_dict()
    assert all(torch.equal(same[k], v) for k, v in learnt(report).state_dict().items())


def test_the_sides_are_read_alike_and_none_is_zero() -> None:
    torch.manual_seed(0)
    head = DenseHead(3, 16)
    image, beside = torch.rand(2, 16, 8, 8), torch.rand(2, 2, 16, 8, 8)
    alone = head(image)
    assert torch.equal(head(image, beside), alone), "before it is trained"
    torch.nn.init.normal_(head.beside.join.weight)
    assert not torch.allclose(head(image, beside), alone, atol=1e-3)
    assert torch.allclose(head(image, beside.flip(1)), head(image, beside), atol=1e-6)
    assert torch.equal(head(image, torch.zeros_like(beside)), alone)
    first = torch.cat([beside[:, :1], torch.zeros_like(beside[:, :1])], dim=1)
    assert torch.allclose(head(image, beside[:, :1]), head(image, first), atol=1e-6)


def test_slices_are_drawn_by_the_rarest_category_that_they_show() -> None:
    def sample(*values: int) -> Sample:
        labels = np.array([values], np.uint8)
        return Sample("d/c/0", "d", "CT", "", labels, (), {1: 4, 2: 9, 3: NO_CLASS})

    groups = rarest_shown([sample(0, 1), sample(1, 2), sample(1, 3), sample(0, 0)])
    assert groups == ["d 4", "d 9", "d 4", "d"]


def test_its_minutes_end_it_and_are_remembered(data: Path, tmp_path: Path, start: Starts) -> None:
    said: list[str] = []
    config = run(data, tmp_path / "run", **DENSE | {"dense_steps": 5000, "dense_minutes": 0.01})
    loop.train(config, start=start(), progress=lambda done, total, what: said.append(what))
    found = [what for what in said if what.startswith(FINDING)]
    assert 0 < len(found) < 1000
    assert found[-1].endswith("0 min 0 s left")
    assert torch.load(tmp_path / "run" / STATE)["seconds"] >= 0.6


def test_a_damaged_state_is_told(data: Path, tmp_path: Path, start: Starts) -> None:
    config = run(data, tmp_path / "run", **DENSE | {"dense_steps": 2})
    loop.train(config, start=start())
    (tmp_path / "run" / STATE).write_bytes(b"rubbish")
    with pytest.raises(TrainingError, match=r"Cannot resume from dense\.pt in run: it is damaged"):
        loop.train(config, start=start(), resume=True)


def test_others_are_kept_when_it_learns_one_more(data: Path, tmp_path: Path, start: Starts) -> None:
    """A second training on spleens alone leaves the liver where it was."""
    first = loop.train(run(data, tmp_path / "one", **DENSE | {"dense_steps": 60}), start=start())
    spleens = write_dataset(tmp_path / "spleens", ["ABD_004_1", "ABD_005_1"], NO_LIVER)
    begun = learnt(first)
    before = maps_of(begun, spleens / "images" / "ABD_004_1.png")
    config = run(spleens, tmp_path / "two", **DENSE | {"dense_steps": 30, "categories": "all"})
    after = maps_of(learnt(loop.train(config, start=begun)), spleens / "images" / "ABD_004_1.png")
    assert (after[0] - before[0]).abs().mean() < 0.05
    assert ((after[0] > 0.5) != (before[0] > 0.5)).float().mean() < 0.05


def test_a_new_category_is_found_before_the_first_step() -> None:
    """The last layer is fitted to what the others taught; no other row changes."""
    torch.manual_seed(1)
    head = DenseHead(4, 16).eval()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    embedding, maps = torch.randn(6, 16, 8, 8), torch.zeros(6, 2, 16, 16)
    embedding[:, :, 1:5, 2:4] += 2 * torch.randn(16)[:, None, None]
    maps[:, 0, 2:10, 4:8] = 1
    beside = torch.zeros(6, 2, 16, 8, 8)
    fit_rows(head, [2, 3], [RowSlices(embedding, beside, maps, torch.ones(6, 2) > 0)])
    found, true = head(embedding, beside)[:, 2] > 0, maps[:, 0] > 0
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.7
    for name, value in head.state_dict().items():
        same = slice(None) if not name.startswith("categories") else [0, 1, 3]
        assert torch.equal(value[same], before[name][same]), "nor that of what no slice shows"


def test_a_new_head_without_steps_is_refused(data: Path, tmp_path: Path, start: Starts) -> None:
    config = run(data, tmp_path / "run", model={"dense_head": True})
    with pytest.raises(TrainingError, match="dense_steps above 0 to train a new dense head, got 0"):
        loop.train(config, start=start())


def test_a_checkpoints_own_head_stays_without_steps(
    data: Path, tmp_path: Path, start: Starts
) -> None:
    first = loop.train(run(data, tmp_path / "one", **DENSE | {"dense_steps": 4}), start=start())
    begun = learnt(first)
    head = {name: value.clone() for name, value in begun.dense_head.state_dict().items()}  # type: ignore[union-attr]
    config = run(
        data, tmp_path / "two", steps=2, weight_decay=0.1, weight_average=0.9,
        example_slices=0,
    )  # fmt: skip
    kept = learnt(loop.train(config, start=begun)).dense_head
    assert kept is not None
    assert all(torch.equal(value, head[name]) for name, value in kept.state_dict().items())


def test_the_mirrored_side_is_told_apart(five_categories: Categories) -> None:
    """The head knows where a cell lies: the same embedding everywhere gives other maps."""
    torch.manual_seed(0)
    head = DenseHead(len(five_categories), 16)
    maps = head(torch.ones(1, 16, 8, 8))
    assert maps.shape == (1, 5, 16, 16)
    assert not torch.allclose(maps, maps.flip(-1), atol=1e-3)


def test_its_configuration_is_part_of_the_run() -> None:
    config = TrainConfig(out="x", datasets=("y",), dense_steps=5)
    assert config.model_choices()["dense_head"] is True
    assert "dense_head" not in TrainConfig(out="x", datasets=("y",)).model_choices()


def test_a_head_whose_encoder_is_trained_on_is_left_out(
    data: Path, tmp_path: Path, start: Starts
) -> None:
    """The other weights are taken all the same."""
    first = loop.train(run(data, tmp_path / "one", **DENSE | {"dense_steps": 2}), start=start())
    begun = learnt(first)
    config = run(data, tmp_path / "two", encoder_learning_rate=1e-4)
    assert initial_model.takes_all_weights(config, begun)
    model = initial_model.build_model(config, begun, ())
    assert model.dense_head is None
    own = begun.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())


def test_without_epochs_the_head_alone_is_trained(
    data: Path, tmp_path: Path, start: Starts
) -> None:
    begun = learnt(loop.train(run(data, tmp_path / "one", **DENSE), start=start()))
    before = {name: value.clone() for name, value in begun.state_dict().items()}
    config = run(data, tmp_path / "two", **DENSE | {"steps": 0, "epochs": 0, "dense_steps": 2})
    report = loop.train(config, start=begun)
    assert (report.steps, report.first_loss) == (0, None)
    after = learnt(report).state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert set(after) - set(before) == {name for name in after if name.startswith("dense_head.")}
