"""The semantic-aware decoder: shapes, what depends on what, and what its outputs mean."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from segsam.model import SemanticConfig
from segsam.model.config import HeadName
from segsam.model.sam import MaskDecoder, TwoWayTransformer
from segsam.model.semantic_decoder import SemanticDecoder
from segsam.model.tensors import Decoded, Semantics

DIM, GRID, CATEGORIES, PROMPTS, TOKENS = 32, 8, 5, 3, 2
both_heads = pytest.mark.parametrize("head", ["dense", "maskcls"])


def host_decoder() -> Any:
    torch.manual_seed(0)
    transformer = TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=8, mlp_dim=64)
    return MaskDecoder(transformer_dim=DIM, transformer=transformer)


def decoder(head: HeadName = "dense", **choices: object) -> SemanticDecoder:
    config = SemanticConfig(head=head, **choices)  # type: ignore[arg-type]
    return SemanticDecoder(CATEGORIES, host_decoder(), config)


def inputs(prompts: int = PROMPTS) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Source, positions, prompt tokens, presence logits."""
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(prompts, DIM, GRID, GRID, generator=generator),
        torch.randn(1, DIM, GRID, GRID, generator=generator),
        torch.randn(prompts, TOKENS, DIM, generator=generator),
        torch.randn(1, CATEGORIES, generator=generator),
    )


def class_and_map(semantics: Semantics) -> tuple[torch.Tensor, torch.Tensor]:
    """Class logits and the map, whichever the head."""
    decoded = Decoded(torch.zeros(0), torch.zeros(0), **semantics._asdict())
    assert decoded.semantic_logits is not None
    return semantics.class_logits, decoded.semantic_logits


@both_heads
def test_shapes_are_the_same_for_both_heads(head: HeadName) -> None:
    class_logits, semantic_logits = class_and_map(decoder(head)(*inputs()))
    assert semantic_logits.shape == (PROMPTS, CATEGORIES + 1, 4 * GRID, 4 * GRID)
    assert class_logits.shape == (PROMPTS, CATEGORIES + 1)
    assert semantic_logits.isfinite().all()
    assert class_logits.isfinite().all()


def test_one_semantic_token_and_one_token_and_linear_layer_per_category() -> None:
    model = decoder()
    assert model.semantic_token.shape == (1, DIM)
    assert model.presence.tokens.shape == (CATEGORIES, DIM)
    assert model.presence.weight.shape == (CATEGORIES, DIM)
    assert model.presence.bias.shape == (CATEGORIES,)


def test_presence_is_one_number_per_image_and_category() -> None:
    source, positions, _, _ = inputs()
    assert decoder().presence(source, positions).shape == (PROMPTS, CATEGORIES)


def test_each_category_has_a_linear_layer_of_its_own() -> None:
    branch = decoder().presence
    source, positions, _, _ = inputs()
    before = branch(source, positions)
    with torch.no_grad():
        branch.weight[2] += 1
        branch.bias[4] += 1
    changed = branch(source, positions) - before
    assert changed[:, [0, 1, 3]].abs().max() == 0
    assert (changed[:, 2] != 0).all()
    torch.testing.assert_close(changed[:, 4], torch.ones(PROMPTS))


def test_presence_depth_is_configured() -> None:
    assert len(decoder(presence_depth=3).presence.blocks) == 3


@both_heads
def test_prompts_do_not_disturb_each_other(head: HeadName) -> None:
    model = decoder(head).eval()
    source, positions, tokens, presence = inputs()
    together = class_and_map(model(source, positions, tokens, presence))
    alone = class_and_map(model(source[1:2], positions, tokens[1:2], presence))
    torch.testing.assert_close(together[0][1:2], alone[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[1][1:2], alone[1], atol=1e-5, rtol=1e-4)


def test_presence_informs_the_mask() -> None:
    model = decoder().eval()
    source, positions, tokens, presence = inputs()
    assert not torch.equal(
        model(source, positions, tokens, presence)[0],
        model(source, positions, tokens, presence + 3)[0],
    )


def test_the_prior_is_bounded_unless_logits_are_asked_for() -> None:
    source, positions, tokens, _ = inputs()
    certain, more_certain = torch.full((1, CATEGORIES), 90.0), torch.full((1, CATEGORIES), 900.0)
    bounded = decoder(presence_prior="sigmoid").eval()
    raw = decoder(presence_prior="logits").eval()
    for model, equal in ((bounded, True), (raw, False)):
        found = [model(source, positions, tokens, prior)[0] for prior in (certain, more_certain)]
        assert torch.equal(*found) is equal


def test_mask_class_head_is_class_times_mask() -> None:
    """p(k at x) = q_k s(x), and the background takes the rest."""
    head = decoder("maskcls").head
    token, upscaled = torch.randn(2, DIM), torch.randn(2, 6, 6, DIM // 8)
    class_logits, semantic_logits = class_and_map(head(token, upscaled))
    mask = torch.einsum("pc,pyxc->pyx", head.get_submodule("kernel")(token), upscaled).sigmoid()
    wanted = class_logits.softmax(1)[:, 1:, None, None] * mask[:, None]
    found = semantic_logits.softmax(1)
    torch.testing.assert_close(found[:, 1:], wanted, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found[:, 0], 1 - wanted.sum(1), atol=1e-6, rtol=1e-5)


def test_dense_head_names_the_class_of_the_object_pixels() -> None:
    """Class probabilities are the pixels' own, weighted by how much each is of the object."""
    head = decoder("dense").head
    class_logits, semantic_logits = class_and_map(
        head(torch.randn(2, DIM), torch.randn(2, 6, 6, DIM // 8))
    )
    pixels = semantic_logits.softmax(1)
    weight = 1 - pixels[:, :1]
    wanted = (pixels * weight).sum((2, 3)) / weight.sum((2, 3))
    torch.testing.assert_close(class_logits.softmax(1), wanted, atol=1e-6, rtol=1e-5)


@both_heads
def test_it_starts_from_the_hosts_decoder(head: HeadName) -> None:
    model, theirs = decoder(head), host_decoder()
    for name, value in theirs.transformer.state_dict().items():
        assert torch.equal(model.transformer.state_dict()[name], value)
    assert torch.equal(model.semantic_token, theirs.mask_tokens.weight[:1])
    token, upscaled = torch.randn(2, DIM), torch.randn(2, 6, 6, DIM // 8)
    kernel = theirs.output_hypernetworks_mlps[0](token)
    mask = torch.einsum("pc,pyxc->pyx", kernel, upscaled)
    class_logits, semantic_logits = class_and_map(model.head(token, upscaled))
    if head == "dense":
        assert torch.equal(semantic_logits.argmax(1) > 0, mask > 0)
    else:
        inside = semantic_logits[:, 1] - class_logits.log_softmax(1)[:, 1, None, None]
        torch.testing.assert_close(inside, mask.sigmoid().log(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("depth", [1, 3])
def test_another_depth_takes_the_blocks_both_have(depth: int) -> None:
    model, theirs = decoder(depth=depth), host_decoder()
    assert len(model.transformer.layers) == depth
    for mine, his in zip(model.transformer.layers, theirs.transformer.layers, strict=False):
        assert all(
            torch.equal(value, his.state_dict()[key]) for key, value in mine.state_dict().items()
        )


def test_its_weights_are_its_own() -> None:
    theirs = host_decoder()
    model = SemanticDecoder(CATEGORIES, theirs, SemanticConfig())
    shared = {id(parameter) for parameter in theirs.parameters()}
    assert not shared & {id(parameter) for parameter in model.parameters()}
