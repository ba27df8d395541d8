"""MedSAM: SAM's network under another normalisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import segsam.model.checkpoint as checkpoint_module
from segsam.errors import CheckpointError
from segsam.model import load_pretrained
from segsam.model.digests import weights_id
from segsam.model.hosts import HOSTS, MedSam, Sam, VitSizes

SMALL = VitSizes(
    input_size=64, dim=32, depth=2, heads=2, window=3, global_blocks=(1,), embed_dim=32
)


class SmallSam(Sam):
    def __init__(self) -> None:
        super().__init__(SMALL)


class SmallMedSam(MedSam):
    def __init__(self) -> None:
        super().__init__(SMALL)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file in the format that SAM and MedSAM share."""
    monkeypatch.setattr(
        "segsam.model.official.HOSTS", dict(HOSTS) | {"sam": SmallSam, "medsam": SmallMedSam}
    )
    torch.manual_seed(1)
    torch.save(SmallSam().state_dict(), tmp_path / "vit.pth")
    return tmp_path / "vit.pth"


def test_values_are_stretched_then_padded_with_zeros() -> None:
    image = np.random.default_rng(0).integers(40, 200, (64, 30, 3)).astype(np.uint8)
    prepared = MedSam(SMALL).prepare(image)
    assert prepared.shape == (3, 64, 64)
    inside = prepared[:, :, :30]
    assert (inside.min().item(), inside.max().item()) == (0, 1)
    low, high = image.min(), image.max()
    wanted = (image.astype(np.float32) - low) / (high - low)
    np.testing.assert_allclose(inside.numpy(), wanted.transpose(2, 0, 1), rtol=1e-6)
    assert not prepared[:, :, 30:].any()


def test_a_constant_slice_becomes_zeros() -> None:
    assert not MedSam(SMALL).prepare(np.full((64, 64, 3), 200, dtype=np.uint8)).any()


def test_the_network_is_sams() -> None:
    with torch.device("meta"):
        ours, theirs = MedSam().state_dict(), Sam().state_dict()
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in theirs.items()
    }
    assert MedSam.facts.input_size == 1024
    assert MedSam.facts.prompts_trained == ("box",)
    assert "aspect is kept" in MedSam.facts.preparation


def test_a_file_of_the_shared_format_must_be_named(file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"name the host, as sam:vit.pth or medsam:vit.pth"):
        load_pretrained(file)


def test_the_name_decides_how_a_file_is_used(file: Path) -> None:
    sam, medsam = load_pretrained(f"sam:{file}"), load_pretrained(f"medsam:{file}")
    assert (sam.host.facts.name, medsam.host.facts.name) == ("sam", "medsam")
    for key, value in sam.host.state_dict().items():
        assert torch.equal(medsam.host.state_dict()[key], value), key
    # The same weights see other images, so they must not share embeddings.
    assert weights_id(sam) != weights_id(medsam)
    assert not medsam.training


def test_a_training_file_of_its_authors_loads(file: Path) -> None:
    state = {f"module.{key}": value for key, value in torch.load(file).items()}
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    content = {"model": state, "optimizer": optimizer.state_dict(), "epoch": 7}
    torch.save(content, file)
    assert load_pretrained(f"medsam:{file}").host.facts.name == "medsam"


def test_its_official_file_is_found_by_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSAM_WEIGHTS", str(file.parent))
    with pytest.raises(
        CheckpointError, match=r"of 'medsam' are not on this machine: put medsam_vit_b.pth into"
    ):
        load_pretrained("medsam")
    file.rename(file.with_name("medsam_vit_b.pth"))
    assert load_pretrained("medsam").host.facts.name == "medsam"
    assert checkpoint_module.PRETRAINED.keys() == {"segsam", *HOSTS}
