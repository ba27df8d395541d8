"""The mean of checkpoints' weights: every number is the mean, and what has no mean is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import segsam.model.checkpoint as checkpoint_module
from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import Card, Host, SegSam, load_pretrained, read_card, save_checkpoint
from segsam.model.averaging import average_checkpoints
from segsam.model.naming_rule import WITHOUT_MEMORY
from segsam.model.variants import VARIANTS

from ..made_memory import with_distances


@pytest.fixture
def model(tiny_host: Host, five_categories: Categories, monkeypatch: pytest.MonkeyPatch) -> SegSam:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": type(tiny_host)})
    row = VARIANTS["segsam"]
    return SegSam(tiny_host, five_categories, row.config, semantics=True, text=row.text).eval()


def saved(model: SegSam, path: Path, moved_by: float) -> Path:
    """The model with all its numbers moved, as another training would have it."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(moved_by)
        card = Card(path.stem, True, ("nothing",), "Apache-2.0", {"dsc": 81.5})
        save_checkpoint(model, path, card)
        for parameter in model.parameters():
            parameter.sub_(moved_by)
    return path


def test_every_number_is_the_mean(model: SegSam, tmp_path: Path) -> None:
    sources = [
        saved(model, tmp_path / f"{name}.safetensors", by)
        for name, by in (("a", -0.5), ("b", 0.25), ("c", 1.0))
    ]
    path = average_checkpoints(sources, tmp_path / "mean.safetensors")
    states = [load_pretrained(source).state_dict() for source in sources]
    mean = load_pretrained(path).state_dict()
    for name, value in mean.items():
        if value.is_floating_point():
            wanted = torch.stack([state[name] for state in states]).mean(dim=0)
            torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-6, msg=name)
        else:
            assert torch.equal(value, states[0][name]), name
    card = read_card(path)
    assert card.semantic_is_trained
    assert not card.metrics
    for source in sources:
        assert read_card(source).sha256[:16] in card.parent


def test_the_mean_of_one_model_with_itself_is_that_model(model: SegSam, tmp_path: Path) -> None:
    source = saved(model, tmp_path / "a.safetensors", 0.125)
    path = average_checkpoints([source, source, source], tmp_path / "mean.safetensors")
    assert path.read_bytes() == source.read_bytes()


def test_what_has_no_mean_is_refused(
    model: SegSam, tiny_host: Host, five_categories: Categories, tmp_path: Path
) -> None:
    source = saved(model, tmp_path / "a.safetensors", 0.0)
    target = tmp_path / "mean.safetensors"
    with pytest.raises(CheckpointError, match="at least two checkpoints to average, got 1"):
        average_checkpoints([source], target)
    plain = VARIANTS["so"]
    other = SegSam(tiny_host, five_categories, plain.config, semantics=True, text=plain.text).eval()
    with pytest.raises(CheckpointError, match=r"a.safetensors and so.safetensors are of different"):
        average_checkpoints([source, saved(other, tmp_path / "so.safetensors", 0.0)], target)
    assert not target.exists()


class TestMemory:
    def moved(self, model: SegSam, path: Path, parts: str, by: float) -> Path:
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name.startswith(parts):
                    value.add_(by)
        card = replace(model.card, name=path.stem, semantic_is_trained=True)
        return save_checkpoint(model, path, card)

    def test_it_is_the_first_ones_if_all_have_one_embedding(
        self, model: SegSam, tmp_path: Path
    ) -> None:
        first = with_distances(model, {0: 0.25})
        sources = [
            self.moved(first, tmp_path / "a.safetensors", "semantic_decoder", 0.0),
            self.moved(model, tmp_path / "b.safetensors", "semantic_decoder", 1.0),
        ]
        mean = load_pretrained(average_checkpoints(sources, tmp_path / "mean.safetensors"))
        assert mean.memory is not None
        assert first.memory is not None
        assert torch.equal(mean.memory.examples, first.memory.examples)
        assert mean.naming_rule == first.naming_rule

    def test_with_other_encoders_there_is_none_and_the_card_says_why(
        self, model: SegSam, tmp_path: Path
    ) -> None:
        first = with_distances(model, {0: 0.25})
        sources = [
            self.moved(first, tmp_path / "a.safetensors", "host.image_encoder", 0.0),
            self.moved(first, tmp_path / "b.safetensors", "host.image_encoder", 1.0),
        ]
        mean = load_pretrained(average_checkpoints(sources, tmp_path / "mean.safetensors"))
        assert (mean.memory, mean.naming_rule) == (None, None)
        assert "different image encoders" in mean.card.naming[WITHOUT_MEMORY]
