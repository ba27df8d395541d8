"""One more category in a model: the old numbers stay bit for bit, the new ones come from text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import segsam.model.checkpoint as checkpoint_module
from segsam.categories import Categories, Category
from segsam.errors import CategoryError, CheckpointError, OutputError
from segsam.model import (
    Card,
    Host,
    PromptTensors,
    SegSam,
    SemanticConfig,
    load_pretrained,
    read_card,
    save_checkpoint,
)
from segsam.model.growth import grow, grow_checkpoint, nearest, row_weights
from segsam.model.memory import NOWHERE
from segsam.model.variants import VARIANTS
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.naming import is_named

from ..made_memory import with_distances

NEW = Category("new thing", (9, 9, 9), "Even.", "Round.", "Inside.", modalities=("CT",))
BOXES = PromptTensors(boxes_px=torch.tensor([[2.0, 3, 12, 20]]))


class FixedEncoder:
    """Answers one vector to everything, and counts how often it was asked."""

    def __init__(self, name: str, vector: NDArray[np.float32]) -> None:
        self.name = name
        self.vector = vector
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.stack([self.vector] * len(texts))


def vector(categories: Categories) -> NDArray[np.float32]:
    """Near the heart's (category 2)."""
    out = categories.text_embeddings[2] + 0.05 * categories.text_embeddings[4]
    return np.asarray(out, dtype=np.float32)


def build(host: Host, categories: Categories, variant: str = "segsam") -> SegSam:
    torch.manual_seed(0)
    row = VARIANTS[variant]
    card = Card(variant=variant, semantic_is_trained=True)
    model = SegSam(host, categories, row.config, semantics=True, text=row.text, card=card)
    return model.eval()


SEMANTIC_VARIANTS = sorted(name for name, row in VARIANTS.items() if row.semantics)


@pytest.mark.parametrize("variant", SEMANTIC_VARIANTS)
def test_old_numbers_stay_bit_for_bit_in_every_variant(
    tiny_host: Host, five_categories: Categories, variant: str
) -> None:
    model = build(tiny_host, five_categories, variant)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    grown = grow(model, NEW, vector(five_categories))
    extended = set()
    for name, new in grown.state_dict().items():
        old = before[name]
        assert torch.equal(model.state_dict()[name], old), name
        assert torch.equal(new[tuple(slice(size) for size in old.shape)], old), name
        if new.shape != old.shape:
            extended.add(name)
    assert extended
    assert grown.card.variant == variant
    assert grown.host is model.host
    assert np.array_equal(grown.categories.text_embeddings[:5], five_categories.text_embeddings)


def test_new_rows_are_the_weighted_mean_and_new_inputs_zero(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = build(tiny_host, five_categories)
    grown = grow(model, NEW, vector(five_categories)).state_dict()
    old = model.state_dict()
    weights = torch.from_numpy(row_weights(five_categories, vector(five_categories)))
    for name in ("tokens", "weight", "bias"):
        name = f"semantic_decoder.presence.{name}"
        torch.testing.assert_close(grown[name][5], torch.tensordot(weights, old[name], dims=1))
    assert not grown["semantic_decoder.prior.layers.0.weight"][:, 5].any()
    kernels = "semantic_decoder.head.kernels.layers.2.bias"
    width = len(old[kernels]) // 6
    rows = old[kernels].view(6, width)[1:]
    torch.testing.assert_close(grown[kernels][-width:], weights @ rows)


def test_the_class_head_grows_by_one_row(tiny_host: Host, five_categories: Categories) -> None:
    torch.manual_seed(0)
    config = SemanticConfig(head="maskcls")
    model = SegSam(tiny_host, five_categories, config, semantics=True, text=True).eval()
    grown = grow(model, NEW, vector(five_categories))
    old, new = (each.state_dict()["semantic_decoder.head.classes.bias"] for each in (model, grown))
    weights = torch.from_numpy(row_weights(five_categories, vector(five_categories)))
    assert new.shape == (7,)
    assert torch.equal(new[:6], old)
    torch.testing.assert_close(new[6], weights @ old[1:])


def test_a_grown_model_answers_for_one_more(tiny_host: Host, five_categories: Categories) -> None:
    model = build(tiny_host, five_categories)
    grown = grow(model, NEW, vector(five_categories))
    images = torch.rand(1, 3, tiny_host.facts.input_size, tiny_host.facts.input_size)
    with torch.no_grad():
        old, new = (each(images, BOXES) for each in (model, grown))
    assert new.class_logits.shape == (1, 7)
    assert new.presence_logits.shape == (1, 6)
    assert new.semantic_logits.shape[1] == 7
    assert torch.isfinite(new.semantic_logits).all()
    assert old.class_logits.shape == (1, 6)


def test_growing_is_deterministic_and_leaves_the_random_state_alone(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = build(tiny_host, five_categories)
    state = torch.get_rng_state()
    first, second = (grow(model, NEW, vector(five_categories)).state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_what_is_frozen_and_trained_stays_so(tiny_host: Host, five_categories: Categories) -> None:
    model = build(tiny_host, five_categories)
    model.semantic_decoder.requires_grad_(False)
    grown = grow(model, NEW, vector(five_categories))
    assert grown.card.semantic_is_trained
    assert not grown.training
    assert not any(value.requires_grad for value in grown.semantic_decoder.parameters())
    assert all(value.requires_grad for value in grown.text_enhancement.parameters())


def test_weights_follow_the_descriptions(five_categories: Categories) -> None:
    weights = row_weights(five_categories, vector(five_categories))
    assert weights.sum() == pytest.approx(1)
    assert weights.argmax() == 2
    assert next(iter(nearest(five_categories, vector(five_categories)))) == "heart"
    assert len(nearest(five_categories, vector(five_categories), 2)) == 2


def test_a_host_alone_cannot_grow(tiny_host: Host, five_categories: Categories) -> None:
    model = SegSam(tiny_host, five_categories)
    with pytest.raises(CheckpointError, match="Expected a checkpoint with a semantic decoder"):
        grow(model, NEW, vector(five_categories))


def test_a_taken_name_or_another_length_is_refused(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = build(tiny_host, five_categories)
    taken = Category("Liver", (9, 9, 9), "Even.", "Round.", "Inside.")
    with pytest.raises(CategoryError, match="in both 'liver' and 'Liver'"):
        grow(model, taken, vector(five_categories))
    with pytest.raises(CategoryError, match="Expected 12 numbers as the text embedding"):
        grow(model, NEW, np.zeros(384, dtype=np.float32))


@pytest.fixture
def saved(
    tiny_host: Host,
    five_categories: Categories,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": type(tiny_host)})
    card = Card("a test", True, ("nothing",), "Apache-2.0", {"dsc": 81.5})
    path = tmp_path / "model.safetensors"
    return save_checkpoint(build(tiny_host, five_categories), path, card)


def test_a_checkpoint_grows_into_another(
    saved: Path, five_categories: Categories, tmp_path: Path
) -> None:
    encoder = FixedEncoder("made up for a test", vector(five_categories))
    target = tmp_path / "grown.safetensors"
    before = saved.read_bytes()
    grown, old = grow_checkpoint(saved, target, NEW, encoder)
    assert saved.read_bytes() == before
    assert encoder.asked == [NEW.description]
    assert old.names == five_categories.names
    restored = load_pretrained(target)
    assert restored.categories.names == (*five_categories.names, "new thing")
    assert restored.card.semantic_is_trained
    for name, value in restored.state_dict().items():
        assert torch.equal(value, grown.state_dict()[name]), name
    card = read_card(target)
    assert card.parent.startswith("a test (")
    assert card.parent.endswith("grown by 'new thing'")
    assert (card.metrics, card.training_data) == ({}, ("nothing",))


def test_another_encoder_is_refused_before_it_is_asked(
    saved: Path, five_categories: Categories, tmp_path: Path
) -> None:
    encoder = FixedEncoder("text-embedding-3-small", vector(five_categories))
    with pytest.raises(CategoryError, match="would be by text-embedding-3-small; embeddings of"):
        grow_checkpoint(saved, tmp_path / "grown.safetensors", NEW, encoder)
    assert encoder.asked == []
    encoder = FixedEncoder("made up for a test", np.ones(3, dtype=np.float32))
    with pytest.raises(CategoryError, match=r"by made up for a test \(3 numbers\)"):
        grow_checkpoint(saved, tmp_path / "grown.safetensors", NEW, encoder)
    assert not (tmp_path / "grown.safetensors").exists()


def test_a_taken_name_is_refused_before_the_encoder_is_asked(
    saved: Path, five_categories: Categories, tmp_path: Path
) -> None:
    encoder = FixedEncoder("made up for a test", vector(five_categories))
    taken = Category("spleen", (9, 9, 9), "Even.", "Round.", "Inside.")
    with pytest.raises(CategoryError, match="'spleen' in both"):
        grow_checkpoint(saved, tmp_path / "grown.safetensors", taken, encoder)
    assert encoder.asked == []


def test_a_checkpoint_is_not_replaced_by_its_growth(
    saved: Path, five_categories: Categories
) -> None:
    encoder = FixedEncoder("made up for a test", vector(five_categories))
    with pytest.raises(OutputError, match=r"would replace model.safetensors; name another"):
        grow_checkpoint(saved, saved.parent / "." / saved.name, NEW, encoder)


@pytest.mark.parametrize("name", ["litemedsam", "weights.pth"])
def test_official_weights_do_not_grow(five_categories: Categories, name: str) -> None:
    encoder = FixedEncoder("made up for a test", vector(five_categories))
    with pytest.raises(CheckpointError, match=f"semantic decoder .*got '{name}'"):
        grow_checkpoint(name, "grown.safetensors", NEW, encoder)


def test_examples_are_kept_and_the_new_category_has_none(
    tiny_host: Host, five_categories: Categories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": type(tiny_host)})
    model = with_distances(build(tiny_host, five_categories), {0: 0.25, 2: 0.5})
    source = save_checkpoint(model, tmp_path / "old.safetensors", model.card)
    encoder = FixedEncoder(five_categories.embedding_model, vector(five_categories))
    grow_checkpoint(source, tmp_path / "new.safetensors", NEW, encoder)
    grown = load_pretrained(tmp_path / "new.safetensors")
    assert grown.memory is not None
    assert grown.naming_rule == model.naming_rule
    found = grown.memory.distances(torch.ones(1, 64))[0].tolist()
    assert found == pytest.approx([0.25, NOWHERE, 0.5, NOWHERE, NOWHERE, NOWHERE], abs=1e-3)
    certain = np.array([0, 0.05, 0, 0, 0, 0, 0.95], np.float32)
    index, _, is_given = is_named(
        grown, SliceEvidence(1, certain, np.array(found, np.float32)), None
    )
    assert (index, is_given) == (0, True), "a category without examples is no name yet"
