"""Values cached between clicks equal new ones, and other weights or images make them invalid."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segsam.categories import Categories
from segsam.model import Decoded, ImageFeatures, PromptTensors, SegSam
from segsam.model.cache import LastValueCache
from segsam.model.hosts import Host


def test_a_value_is_computed_once_for_the_same_weights_and_image() -> None:
    weight, image, calls, cache = torch.ones(2), torch.zeros(3), [], LastValueCache[int]()

    def compute() -> int:
        calls.append(1)
        return len(calls)

    with torch.no_grad():
        assert [cache.get([weight], compute, image=image) for _ in range(3)] == [1, 1, 1]
        weight.add_(1)
        assert cache.get([weight], compute, image=image) == 2
        assert cache.get([weight], compute, image=image.clone()) == 3
        assert cache.get([weight.clone()], compute, image=image) == 4
    assert [cache.get([weight], compute) for _ in range(2)] == [5, 6], "gradients are enabled"


def test_nothing_is_cached_for_weights_whose_changes_are_not_counted() -> None:
    with torch.inference_mode():
        weight, cache = torch.ones(1), LastValueCache[Tensor]()
        first = cache.get([weight], lambda: weight + 1)
        weight.add_(1)
        assert cache.get([weight], lambda: weight + 1) != first


@pytest.fixture
def model(tiny_host: Host, five_categories: Categories) -> SegSam:
    torch.manual_seed(0)
    return SegSam(tiny_host, five_categories, semantics=True, text=True).eval()


@torch.inference_mode()
def clicked(model: SegSam, features: ImageFeatures, seed: int) -> Decoded:
    corner = 8.0 * (1 + seed % 3)
    box = torch.tensor([[corner, corner, corner + 30, corner + 24]])
    return model.decode(features, PromptTensors(boxes_px=box), semantic=True)


def equal(one: Decoded, other: Decoded) -> bool:
    assert one.class_logits is not None
    assert other.class_logits is not None
    return torch.equal(one.binary_logits, other.binary_logits) and torch.equal(
        one.class_logits, other.class_logits
    )


def test_clicks_on_alternating_images_equal_those_without_a_cache(model: SegSam) -> None:
    size = model.host.facts.input_size
    with torch.inference_mode():
        images = [model.encode(torch.rand(1, 3, size, size)) for _ in range(2)]
    for seed, number in enumerate((0, 0, 1, 1, 0)):
        fresh = ImageFeatures(images[number].embedding.clone(), images[number].presence_logits)
        assert equal(clicked(model, images[number], seed), clicked(model, fresh, seed))


@pytest.mark.parametrize(
    "part",
    [
        "host.mask_decoder.transformer.layers.0.cross_attn_token_to_image.k_proj",
        "semantic_decoder.transformer.layers.0.cross_attn_image_to_token.q_proj",
        "text_enhancement.cross_attention.v_proj",
        "host.prompt_encoder.no_mask_embed",
    ],
)
def test_a_weight_that_learns_is_seen_by_the_next_click(model: SegSam, part: str) -> None:
    size = model.host.facts.input_size
    with torch.inference_mode():
        features = model.encode(torch.rand(1, 3, size, size))
    before = clicked(model, features, 0)
    assert equal(clicked(model, features, 0), before)
    module: nn.Module = model.get_submodule(part)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight))
    after = clicked(model, features, 0)
    assert not equal(after, before)
    fresh = ImageFeatures(features.embedding.clone(), features.presence_logits)
    assert equal(after, clicked(model, fresh, 0))
