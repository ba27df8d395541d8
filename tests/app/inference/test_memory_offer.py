"""Where `propagate: memory` is offered: only with a checkpoint on a host that has a memory."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from segsam.model import Card, SegSam, save_checkpoint
from segsam.model.hosts import Sam2
from segsam_app.config import AppConfig
from segsam_app.inference.engine import Engine
from segsam_app.inference.infer import SegSamInfer, checkpoint_info

from ...lib.model.sam2_package import SMALL


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small SAM 2 with random weights that always rates an object as present."""
    from segsam.categories import Categories

    monkeypatch.setattr(Sam2, "sizes", SMALL)
    torch.manual_seed(0)
    host = Sam2()
    torch.nn.init.constant_(host.mask_decoder.pred_obj_score_head.layers[-1].bias, 9.0)
    return save_checkpoint(
        SegSam(host, Categories.load()), tmp_path / "small.safetensors", Card("small")
    )


@pytest.fixture
def task(checkpoint: Path) -> SegSamInfer:
    config = AppConfig(device="cpu", checkpoint=str(checkpoint))
    return SegSamInfer(Engine(config), config)


def test_it_is_among_the_choices_of_the_stock_module(task: SegSamInfer) -> None:
    assert task.info()["config"]["propagate"] == ["in boxes", "always", "never", "memory"]
    assert task.info()["checkpoint"]["memory"]


@pytest.mark.parametrize(
    ("name", "has_memory"),
    [
        ("sam2_tiny", True),
        ("medsam2:/weights/MedSAM2_latest.pt", True),
        ("litemedsam", False),
        (None, False),
        ("sam:/weights/sam_vit_b_01ec64.pth", False),
    ],
)
def test_its_description_tells(name: str | None, *, has_memory: bool) -> None:
    assert checkpoint_info(name)["memory"] is has_memory


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        (None, "Research only."),
        ("litemedsam", "Apache-2.0"),
        ("medsam2:/weights/MedSAM2_latest.pt", "CC-BY-SA-4.0"),
        ("/weights/unknown.pt", ""),
    ],
)
def test_its_description_has_the_licence_of_the_weights(name: str | None, licence: str) -> None:
    """3D Slicer shows it before weights that allow research only are used."""
    found = checkpoint_info(name)["licence"]
    assert found.startswith(licence)
    assert bool(found) is bool(licence)


@pytest.mark.parametrize("dialect", ["ours", "stock"])
def test_a_request_is_followed_by_memory(task: SegSamInfer, tmp_path: Path, dialect: str) -> None:
    voxels = np.random.default_rng(0).integers(0, 200, (40, 40, 6)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1, 1, 2, 1])), tmp_path / "image.nii")
    box = {"min_ijk": [8, 8, 3], "max_ijk": [30, 30, 3]}
    params = {
        "ours": {"prompts": {"boxes": [box]}, "axis": "k", "result": "region"},
        "stock": {"roi": [8, 30, 8, 30, 3, 3], "axis": "k"},
    }[dialect]
    request = task.read(json.loads(json.dumps({**params, "propagate": "memory"})))
    file, reply = task.segment(tmp_path / "image.nii", request)
    assert len(reply["slices"]) == 6
    if file is not None:
        Path(file).unlink()
