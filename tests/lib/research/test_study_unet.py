"""Networks without prompts: training slices, loss, training and scoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from segsam.categories import Categories
from segsam.datasets.folder import open_dataset
from segsam.datasets.splits import Split
from segsam.errors import TrainingError
from segsam.evaluation.cases import select
from segsam.research.study.unet.config import UNetConfig
from segsam.research.study.unet.loss import IGNORED, partial_loss
from segsam.research.study.unet.networks import build_network
from segsam.research.study.unet.run import run_unet
from segsam.research.study.unet.scoring import evaluate_network, winning_margin
from segsam.research.study.unet.slices import Augmentation, categories_of, training_slices
from segsam.research.study.unet.training import UNetRun

PARTS = {
    "train": {"squares": ["a", "b"], "bars": ["a"]},
    "test": {"squares": ["c"], "bars": ["b"]},
}


def write_dataset(folder: Path, cases: str, labels: dict[str, str], modality: str) -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number, case in enumerate(cases):
        label = np.zeros((48, 64), dtype=np.uint8)
        label[8 : 24 + number, 6:26] = 1
        if len(labels) > 1:
            label[30:44, 30:60] = 2
        picture = np.array([20, 220, 120], dtype=np.uint8)[label]
        cv2.imwrite(str(folder / "images" / f"{case}.png"), picture)
        cv2.imwrite(str(folder / "labels" / f"{case}.png"), label)
    record = {"name": folder.name, "modality": modality, "licence": "CC0", "labels": labels}
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two data sets; the spleen is annotated in the second one only."""
    return [
        write_dataset(tmp_path / "squares", "abc", {"1": "liver", "2": "polyp"}, "CT"),
        write_dataset(tmp_path / "bars", "ab", {"1": "spleen"}, "MR"),
    ]


@pytest.fixture
def split(tmp_path: Path) -> Path:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"seed": 0, "parts": PARTS}))
    return path


def config(folders: list[Path], split: Path, out: Path, **changes: Any) -> Any:
    record = {
        "network": "unetr",
        "datasets": [str(folder) for folder in folders],
        "split": str(split),
        "out": str(out),
        "seconds": 1e6,
        "steps": 4,
        "images_per_step": 2,
    }
    return UNetConfig.model_validate(record | changes)


class TestSlices:
    def test_one_list_of_classes(self, folders: list[Path], split: Path) -> None:
        datasets = [open_dataset(folder) for folder in folders]
        categories = categories_of(datasets)
        assert set(categories.names) == {"liver", "polyp", "spleen"}
        slices = training_slices(datasets, Split.load(split), categories, {})
        assert [one.dataset for one in slices] == ["squares", "squares", "bars"]
        numbers = {name: k + 1 for k, name in enumerate(categories.names)}
        assert set(np.unique(slices[0].numbers)) == {0, numbers["liver"], numbers["polyp"]}
        assert set(np.unique(slices[2].numbers)) == {0, numbers["spleen"]}
        competing = slices[2].competing.nonzero()[:, 0].tolist()
        assert competing == [0, numbers["spleen"]]
        assert slices[0].picture.shape == (192, 256, 1), "grey is kept once"
        prepared = slices[0].network_input()
        assert prepared.shape == (3, 256, 256)
        assert (float(prepared.min()), float(prepared.max())) == (0, 1)
        assert not prepared[:, 192:].any(), "padding"
        assert slices[0].target().shape == (1, 256, 256)

    def test_masks_without_a_name_are_ignored(self, folders: list[Path], split: Path) -> None:
        record = json.loads((folders[0] / "dataset.json").read_text())
        record["labels"]["2"] = "upper vertebra"
        (folders[0] / "dataset.json").write_text(json.dumps(record))
        datasets = [open_dataset(folder) for folder in folders]
        categories = categories_of(datasets)
        assert set(categories.names) == {"liver", "spleen"}
        one = training_slices(datasets, Split.load(split), categories, {})[0]
        assert set(np.unique(one.numbers)) == {0, categories.index("liver") + 1, IGNORED}
        assert one.competing.sum() == 2
        _, targets = Augmentation().batch([one], 3)
        assert set(targets.unique().tolist()) <= {0, categories.index("liver") + 1, IGNORED}
        found = evaluate_network(
            Answers(1, len(categories) + 1),
            categories,
            select(folders, split=f"{split}:test"),
            progress=lambda *_: None,
        )
        scores = {each.name: each.mdsc for each in found.objects}
        assert scores["upper vertebra"] is None
        assert scores["liver"] is not None

    def test_nothing_to_learn_from(self, folders: list[Path]) -> None:
        datasets = [open_dataset(folder) for folder in folders]
        with pytest.raises(TrainingError, match="Expected slices of these data sets"):
            training_slices(datasets, Split({}), categories_of(datasets), {})

    def test_variation_is_seeded_and_keeps_classes(self, folders: list[Path], split: Path) -> None:
        datasets = [open_dataset(folder) for folder in folders]
        slices = training_slices(datasets, Split.load(split), categories_of(datasets), {})
        first = Augmentation().batch(slices, 3)
        again = Augmentation().batch(slices, 3)
        other = Augmentation().batch(slices, 4)
        assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
        assert not torch.equal(first[0], other[0])
        assert first[0].shape == (3, 3, 256, 256)
        assert first[1].dtype == torch.int64
        for row, one in enumerate(slices):
            assert set(first[1][row].unique().tolist()) <= set(np.unique(one.numbers).tolist())


class TestLoss:
    def test_what_was_not_looked_for_says_nothing(self) -> None:
        torch.manual_seed(0)
        logits = torch.randn(3, 4, 8, 8, requires_grad=True)
        target = torch.randint(0, 2, (3, 8, 8))
        competing = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1]]).bool()
        partial_loss(logits, target, competing).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        felt = logits.grad.abs().sum((2, 3)) > 0
        assert torch.equal(felt, competing)

    def test_ignored_pixels_say_nothing(self) -> None:
        torch.manual_seed(0)
        logits = torch.randn(2, 3, 8, 8, requires_grad=True)
        target = torch.randint(0, 3, (2, 8, 8))
        target[0, 2:5] = IGNORED
        competing = torch.ones(2, 3).bool()
        loss = partial_loss(logits, target, competing)
        loss.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        felt = logits.grad.abs().sum(1) > 0
        assert torch.equal(felt, target != IGNORED)
        changed = logits.detach().clone()
        changed[0, :, 2:5] = torch.randn(3, 3, 8)
        assert torch.equal(partial_loss(changed, target, competing), loss.detach())

    def test_it_falls_to_nothing(self) -> None:
        target = torch.zeros(1, 8, 8, dtype=torch.long)
        target[0, 2:6, 2:6] = 2
        right = 30 * nn.functional.one_hot(target, 3).permute(0, 3, 1, 2).float()
        competing = torch.tensor([[True, False, True]])
        assert float(partial_loss(right, target, competing)) < 1e-3
        assert float(partial_loss(-right, target, competing)) > 1


class Colours(nn.Module):
    """Small network that distinguishes classes by brightness."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, channels, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(pictures)
        return logits


def small() -> Colours:
    torch.manual_seed(0)
    return Colours(4)


class TestTraining:
    def test_resumed_equals_unbroken(
        self, folders: list[Path], split: Path, tmp_path: Path
    ) -> None:
        datasets = [open_dataset(folder) for folder in folders]
        slices = training_slices(datasets, Split.load(split), categories_of(datasets), {})
        whole = UNetRun(config(folders, split, tmp_path / "whole"), small())
        whole.train(slices, lambda *_: None)
        assert whole.spent.step == 4

        def stop(done: int, total: int, what: str) -> None:
            if what.startswith("step 2"):
                broken._save()
                raise KeyboardInterrupt

        broken = UNetRun(config(folders, split, tmp_path / "broken"), small())
        with pytest.raises(KeyboardInterrupt):
            broken.train(slices, stop)
        resumed = UNetRun(config(folders, split, tmp_path / "broken"), small())
        assert resumed.spent.step == 2
        resumed.train(slices, lambda *_: None)
        for one, two in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
            assert torch.allclose(one, two, atol=1e-6)
        again = UNetRun(config(folders, split, tmp_path / "broken"), small())
        assert again.is_done
        with pytest.raises(TrainingError, match="another configuration"):
            UNetRun(config(folders, split, tmp_path / "broken", seed=1), small())
        (tmp_path / "broken" / "last.pt").write_bytes(b"PK damaged")
        with pytest.raises(TrainingError, match="damaged"):
            UNetRun(config(folders, split, tmp_path / "broken"), small())

    def test_a_time_that_is_over(self, folders: list[Path], split: Path, tmp_path: Path) -> None:
        run = UNetRun(config(folders, split, tmp_path / "run", seconds=0, steps=0), small())
        assert run.is_done

    @pytest.mark.parametrize("name", ["dynunet", "unetr"])
    def test_a_run_of_the_real_networks(
        self, name: str, folders: list[Path], split: Path, tmp_path: Path
    ) -> None:
        chosen = config(folders, split, tmp_path / name, network=name, steps=1, images_per_step=1)
        record = run_unet(chosen, lambda *_: None)
        assert record["training"]["steps"] == 1
        assert record["training"]["slices"] == {"train": 3}
        assert record["cost"]["parameters"] > 1e6
        evaluation = record["evaluation"]
        assert set(evaluation["modalities"]) == {"CT", "MR"}
        assert evaluation["average"]["dsc"] is None
        assert 0 <= evaluation["average"]["mdsc"] <= 100
        assert evaluation["datasets"]["squares"]["objects"] == 2
        json.dumps(record, allow_nan=False)


class Answers(nn.Module):
    """Network that gives one class to every bright pixel."""

    def __init__(self, number: int, channels: int) -> None:
        super().__init__()
        self.number, self.channels = number, channels

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(pictures), self.channels, *pictures.shape[2:])
        logits[:, self.number] = torch.where(pictures[:, 0] > 0.7, 5.0, -5.0)
        return logits


class TestScoring:
    def test_only_the_right_name_counts(self, folders: list[Path], split: Path) -> None:
        datasets = [open_dataset(folder) for folder in folders]
        categories: Categories = categories_of(datasets)
        liver = categories.index("liver") + 1
        found = evaluate_network(
            Answers(liver, len(categories) + 1),
            categories,
            select(folders, split=f"{split}:test"),
            progress=lambda *_: None,
        )
        scores = {one.name: one.mdsc for one in found.objects}
        assert scores["liver"] is not None
        assert scores["liver"] > 0.95
        assert scores["polyp"] == 0
        assert scores["spleen"] == 0, "found, and called liver"
        assert all(one.dsc is None for one in found.objects)

    def test_all_classes_compete(self) -> None:
        logits = torch.tensor([1.0, 3.0, 2.0])[:, None, None]
        assert float(winning_margin(logits, 1)) == 1
        assert float(winning_margin(logits, 2)) == -1


class TestConfig:
    def test_from_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "run.yaml"
        path.write_text("network: dynunet\ndatasets: a\nsplit: b\nout: c\nseconds: 9\n")
        found = UNetConfig.load(path)
        assert found.datasets == ("a",)
        assert found.seconds == 9.0
        path.write_text("- a")
        with pytest.raises(TrainingError, match="keys and values"):
            UNetConfig.load(path)
        with pytest.raises(TrainingError, match="Cannot read"):
            UNetConfig.load(tmp_path / "none.yaml")

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"network": "vnet"}, "Expected network to be 'dynunet' or 'unetr', got 'vnet'"),
            ({"datasets": []}, "Expected datasets to have at least 1 value"),
            ({"images_per_step": 0}, "images_per_step to be greater than or equal to 1, got 0"),
            ({"seconds": -1.0}, "seconds to be greater than or equal to 0, got -1"),
            ({"balance": 2.0}, "balance to be less than or equal to 1, got 2"),
            ({"speed": 1}, "Expected one of the keys network, .*, got speed"),
            ({"steps": "many"}, "Expected steps to be a whole number, got 'many'"),
        ],
    )
    def test_refusals(self, changes: dict[str, Any], match: str) -> None:
        record = {"network": "unetr", "datasets": ["a"], "split": "b", "out": "c"}
        with pytest.raises(TrainingError, match=match):
            UNetConfig.model_validate(record | changes)

    def test_what_is_missing(self) -> None:
        with pytest.raises(
            TrainingError, match="Expected values for datasets, split, out, got none"
        ):
            UNetConfig.model_validate({"network": "unetr"})


def test_a_networks_size() -> None:
    network = build_network("unetr", 5)
    assert sum(one.numel() for one in network.parameters()) < 3e7
