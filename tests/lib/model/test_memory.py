"""Memory of examples: distances by hand, saving and loading, and what is refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import Card, Host, ImageFeatures, SegSam
from segsam.model.checkpoint import load_pretrained, save_checkpoint
from segsam.model.memory import (
    NOWHERE,
    ExampleMemory,
    describe_images,
    describe_objects,
    standardisation,
)
from segsam.model.naming_rule import NamingRule

from ..made_memory import RULE


def memory(size: int = 64, width: int = 64) -> ExampleMemory:
    """Two examples of category 0, one of category 2, and an image that shows both."""
    generator = torch.Generator().manual_seed(0)
    examples = torch.randn(3, size, generator=generator) / size**0.5
    shows = torch.zeros(1, 5, dtype=torch.bool)
    shows[0, [0, 2]] = True
    return ExampleMemory(
        mean=torch.zeros(size),
        scale=torch.ones(size),
        examples=examples,
        categories=torch.tensor([0, 0, 2]),
        reaches=torch.ones(3),
        image_mean=torch.zeros(width),
        image_scale=torch.ones(width),
        images=torch.zeros(1, width),
        images_show=shows,
    )


def test_distances_are_those_to_the_nearest_example_of_each_category() -> None:
    one = memory()
    found = one.distances(one.examples[[1, 2]])
    assert found.shape == (2, 5)
    assert found[0, 0] == pytest.approx(0, abs=1e-3)
    assert found[1, 2] == pytest.approx(0, abs=1e-3)
    expected = float((one.examples[1] - one.examples[2]).norm())
    assert float(found[0, 2]) == pytest.approx(expected, abs=1e-4)
    assert (found[:, [1, 3, 4]] == NOWHERE).all()


def test_distances_are_divided_by_the_reach_of_an_example() -> None:
    one = memory()
    wide = replace(one, reaches=torch.tensor([1.0, 1.0, 2.0]))
    place = one.examples[:1]
    assert float(wide.distances(place)[0, 2]) == pytest.approx(
        float(one.distances(place)[0, 2]) / 2
    )
    fewer = wide.without(torch.tensor([True, False, False]))
    assert fewer.counts().tolist() == [1, 0, 1, 0, 0]
    assert fewer.reaches.tolist() == [1.0, 2.0]


def test_a_memory_of_an_earlier_version_has_equal_reaches() -> None:
    state = memory().state()
    del state["memory.reaches"]
    again = ExampleMemory.taken_from(state, 5)
    assert again is not None
    assert again.reaches.tolist() == [1.0, 1.0, 1.0]


def test_an_image_is_far_from_categories_that_no_image_shows() -> None:
    found = memory().image_distances(torch.full((1, 64), 0.5))
    assert found[0].tolist() == pytest.approx([4, NOWHERE, 4, NOWHERE, NOWHERE])


def test_an_object_is_described_by_the_cells_under_its_mask() -> None:
    embedding = torch.zeros(1, 2, 4, 4)
    embedding[0, 0, :2] = 3.0
    embedding[0, 1] = 1.0
    mask = torch.full((1, 1, 16, 16), -5.0)
    mask[..., :8, :] = 5.0
    described = describe_objects(ImageFeatures(embedding), mask)
    assert described.tolist() == [[3.0, 1.0, 1.5, 1.0]]
    empty = describe_objects(ImageFeatures(embedding), torch.full((1, 1, 16, 16), -5.0))
    assert empty[0].tolist() == pytest.approx([1.5, 1.0, 1.5, 1.0])
    images = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(2)) * 3 + 1
    of_images = torch.cat([images.mean(dim=(2, 3)), images.std(dim=(2, 3))], dim=1)
    torch.testing.assert_close(describe_images(ImageFeatures(images)), of_images)


def test_standardised_descriptions_are_about_1_apart() -> None:
    generator = torch.Generator().manual_seed(1)
    described = torch.randn(200, 64, generator=generator) * 7 + 3
    mean, scale = standardisation(described)
    lengths = ((described - mean) / scale).norm(dim=1)
    assert float(lengths.mean()) == pytest.approx(1, abs=0.05)


@pytest.fixture
def model(tiny_host: Host, five_categories: Categories) -> SegSam:
    card = Card(semantic_is_trained=True, naming={"rule": asdict(RULE)})
    return SegSam(tiny_host, five_categories).with_memory(memory(), card)


def test_a_memory_needs_a_rule(model: SegSam) -> None:
    with pytest.raises(CheckpointError, match="naming rule in the card"):
        model.with_memory(memory(), Card())
    assert model.with_card(model.card).memory is model.memory
    assert model.naming_rule == RULE


@pytest.mark.parametrize("half", [False, True])
def test_a_memory_survives_save_and_load(
    tmp_path: Path, *, half: bool, monkeypatch: pytest.MonkeyPatch, model: SegSam
) -> None:
    import segsam.model.checkpoint as module

    monkeypatch.setattr(module, "HOSTS", {**module.HOSTS, "tiny": type(model.host)})
    path = tmp_path / "with_memory.safetensors"
    save_checkpoint(model, path, model.card, half=half)
    again = load_pretrained(path)
    assert again.naming_rule == RULE
    assert again.memory is not None
    assert model.memory is not None
    described = torch.randn(4, 64, generator=torch.Generator().manual_seed(2))
    near = 1e-2 if half else 0
    assert torch.allclose(
        again.memory.distances(described), model.memory.distances(described), atol=near
    )
    assert torch.equal(again.memory.images_show, model.memory.images_show)
    assert set(again.state_dict()) == set(model.state_dict())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"examples": None}, "lacks examples"),
        ({"scale": torch.ones(3)}, r"scale .* to be \(64,\), got \(3,\)"),
        ({"images_show": torch.zeros(1, 4, dtype=torch.bool)}, r"images_show .* \(1, 5\)"),
        ({"categories": torch.tensor([0, 0, 5])}, "categories 0 to 4"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    changes: dict[str, torch.Tensor | None], sentence: str
) -> None:
    state = memory().state()
    for name, value in changes.items():
        state.pop(f"memory.{name}")
        if value is not None:
            state[f"memory.{name}"] = value
    with pytest.raises(CheckpointError, match=sentence):
        ExampleMemory.taken_from(state, 5)


def test_one_more_category_has_no_examples_yet() -> None:
    grown = memory().with_category()
    assert grown.images_show.shape == (1, 6)
    found = grown.distances(grown.examples)
    assert torch.equal(found[:, :5], memory().distances(grown.examples))
    assert (found[:, 5] == NOWHERE).all()
    assert grown.counts().tolist() == [2, 0, 1, 0, 0, 0]


def test_examples_are_added_for_categories_that_have_too_few() -> None:
    one, other = memory(), memory()
    shows = torch.zeros(3, 5, dtype=torch.bool)
    shows[0, 0] = shows[1, 3] = shows[2, 3] = True
    added = torch.arange(4.0)[:, None].expand(4, 64) + 10
    other = replace(
        other,
        examples=added,
        categories=torch.tensor([0, 3, 2, 3]),
        reaches=torch.tensor([1.0, 2.0, 3.0, 4.0]),
        images=added[:3],
        images_show=shows,
    )
    both = one.filled_up(other, examples=2, images=1)
    assert torch.equal(both.examples[:3], one.examples), "its own examples stay"
    assert both.categories.tolist() == [0, 0, 2, 3, 2, 3]
    assert torch.equal(both.examples[3:], added[1:])
    assert both.reaches.tolist() == [1.0, 1.0, 1.0, 2.0, 3.0, 4.0]
    assert torch.equal(both.images, torch.cat([one.images, added[1:2]]))
    assert both.images_show.tolist() == [*one.images_show.tolist(), shows[1].tolist()]
    full = both.filled_up(other, examples=2, images=1)
    assert torch.equal(full.examples, both.examples)
    both._check(5)


def test_no_memory_is_none_and_leaves_the_weights() -> None:
    state = {"weight": torch.ones(1)}
    assert ExampleMemory.taken_from(state, 5) is None
    assert list(state) == ["weight"]


class TestNamingRule:
    def test_confidence_joins_decoder_and_distance(self) -> None:
        scores = np.array([[0.0, 0.5, 0.5, 0.0]])
        distances = np.array([[0.5, 1.0, NOWHERE]])
        posterior = RULE.posterior(scores, distances)[0]
        expected = 1 / (1 + np.exp(-4 * (1.0 - 0.25)))
        assert posterior[:2].tolist() == pytest.approx([expected, 1 - expected])
        confidence = RULE.confidences(scores, distances)[0]
        assert confidence[0] == pytest.approx(expected / (1 + np.exp(-(4 - 8 * 0.5))))

    def test_an_object_like_nothing_has_no_confidence(self) -> None:
        certain = np.array([[0.0, 1.0, 0.0, 0.0]])
        assert RULE.confidences(certain, np.full((1, 3), 3.0)).max() < 1e-8

    @pytest.mark.parametrize("value", [float("nan"), -1.0, True, "1"])
    def test_numbers_that_are_no_rule_are_refused(self, value: object) -> None:
        with pytest.raises(CheckpointError, match="limit of the naming rule"):
            replace(RULE, limit=value)  # type: ignore[arg-type]

    def test_a_rule_of_other_fields_is_refused(self) -> None:
        with pytest.raises(CheckpointError, match="other fields"):
            NamingRule.from_card({"rule": {"limit": 0.5}})
        assert NamingRule.from_card({}) is None
