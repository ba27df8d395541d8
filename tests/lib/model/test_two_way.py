"""The shortcuts of the two-way transformer are exact, with gradients, and do save work."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from segsam.model.sam import Attention, TwoWayTransformer
from segsam.model.two_way import SharedImage, attend, keys_values, two_way

DIM, GRID, PROMPTS, TOKENS = 32, 6, 3, 7
Inputs = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def transformer() -> Any:
    torch.manual_seed(0)
    return TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=4, mlp_dim=64)


@pytest.fixture
def inputs() -> Inputs:
    """Source, positions, tokens."""
    torch.manual_seed(1)
    shape = (1, DIM, GRID, GRID)
    return torch.randn(shape), torch.randn(shape), torch.randn(PROMPTS, TOKENS, DIM)


def sams(transformer: Any, source: Tensor, image_pe: Tensor, tokens: Tensor) -> Inputs:
    """SAM's own, which wants the image once for each prompt."""
    found = transformer(
        source.expand(len(tokens), -1, -1, -1), image_pe.expand(len(tokens), -1, -1, -1), tokens
    )
    return tuple(found)


def test_it_equals_sams_own(transformer: Any, inputs: Inputs) -> None:
    for found, wanted in zip(
        two_way(transformer, *inputs), sams(transformer, *inputs), strict=True
    ):
        torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)


def test_so_do_images_of_their_own(transformer: Any, inputs: Inputs) -> None:
    _, image_pe, tokens = inputs
    each = torch.randn(PROMPTS, DIM, GRID, GRID)
    for found, wanted in zip(
        two_way(transformer, each, image_pe, tokens),
        sams(transformer, each, image_pe, tokens),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)


def test_gradients_are_the_same(transformer: Any, inputs: Inputs) -> None:
    gradients = []
    for run in (two_way, sams):
        transformer.zero_grad()
        tokens, pixels = run(transformer, *inputs)
        (tokens.square().mean() + pixels.square().mean()).backward()
        gradients.append([parameter.grad.clone() for parameter in transformer.parameters()])
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_the_image_is_projected_once_in_the_first_layer(transformer: Any, inputs: Inputs) -> None:
    sides: dict[str, int] = {}
    layer = transformer.layers[0]
    watched = {
        "keys": layer.cross_attn_token_to_image.k_proj,
        "values": layer.cross_attn_token_to_image.v_proj,
        "queries": layer.cross_attn_image_to_token.q_proj,
    }
    for name, part in watched.items():
        part.register_forward_hook(
            lambda module, given, out, name=name: sides.update({name: len(out)})
        )
    two_way(transformer, *inputs)
    assert sides == {"keys": 1, "values": 1, "queries": 1}


def test_a_shared_image_is_projected_once_for_all_clicks(transformer: Any, inputs: Inputs) -> None:
    source, image_pe, tokens = inputs
    image, calls = SharedImage(source, image_pe), []
    key = transformer.layers[0].cross_attn_token_to_image.k_proj
    key.register_forward_hook(lambda *_: calls.append(1))
    for click in (tokens[:1], tokens[1:]):
        for found, wanted in zip(
            two_way(transformer, image, image_pe, click),
            two_way(transformer, source, image_pe, click),
            strict=True,
        ):
            assert torch.equal(found, wanted)
    assert len(calls) == 1 + 2  # once for the shared image, twice for the other one


def test_joined_parts_are_attended_to_as_one() -> None:
    torch.manual_seed(0)
    attention = Attention(DIM, 4, downsample_rate=2)
    shared, own = torch.randn(1, 9, DIM), torch.randn(PROMPTS, 2, DIM)
    queries = torch.randn(PROMPTS, 1, DIM)
    seen = (keys_values(attention, shared, shared), keys_values(attention, own, own))
    found = attend(attention, queries, *seen)
    joined = torch.cat([shared.expand(PROMPTS, -1, -1), own], dim=1)
    wanted = attention(q=queries, k=joined, v=joined)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
