"""T2VSE: a token is appended, the shortcuts are exact, and nothing stale is kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segsam.model import SemanticConfig
from segsam.model.sam import MaskDecoder, TwoWayTransformer
from segsam.model.text_enhancement import TextEnhancement

DIM, GRID, CATEGORIES, WIDTH, PROMPTS, TOKENS = 32, 8, 5, 12, 3, 2


def made(config: SemanticConfig) -> TextEnhancement:
    transformer = TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=8, mlp_dim=64)
    decoder = MaskDecoder(transformer_dim=DIM, transformer=transformer)
    return TextEnhancement(torch.randn(CATEGORIES, WIDTH), decoder, config)


@pytest.fixture
def enhancement() -> TextEnhancement:
    torch.manual_seed(0)
    return made(SemanticConfig()).eval()


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Embedding, positions, prompt tokens."""
    torch.manual_seed(1)
    shape = (1, DIM, GRID, GRID)
    return torch.randn(shape), torch.randn(shape), torch.randn(PROMPTS, TOKENS, DIM)


def the_long_way(model: TextEnhancement, inputs: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Every text token a query, prompt by prompt; the summary's row taken at the end."""
    embedding, positions, prompt_tokens = inputs
    appended = []
    for tokens in prompt_tokens:
        text = torch.cat([model.project(model.text_embeddings), model.summary_token])[None]
        text = model.norm_self(text + model.self_attention(q=text, k=text, v=text))
        pixels = embedding.flatten(2).transpose(1, 2)
        keys = torch.cat([pixels + positions.flatten(2).transpose(1, 2), tokens[None]], dim=1)
        values = torch.cat([pixels, tokens[None]], dim=1)
        text = model.norm_cross(text + model.cross_attention(q=text, k=keys, v=values))
        appended.append(model.append(text[:, -1:]))
    return torch.cat([prompt_tokens, torch.cat(appended)], dim=1)


@pytest.mark.parametrize("gradients", [False, True])
def test_the_shortcuts_equal_the_long_way(
    enhancement: TextEnhancement, inputs: tuple[Tensor, Tensor, Tensor], gradients: bool
) -> None:
    with torch.set_grad_enabled(gradients):
        for _ in range(2):
            found = enhancement(*inputs)
            wanted = the_long_way(enhancement, inputs)
            torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def test_one_token_is_appended_and_the_others_stay(
    enhancement: TextEnhancement, inputs: tuple[Tensor, Tensor, Tensor]
) -> None:
    enhanced = enhancement(*inputs)
    assert enhanced.shape == (PROMPTS, TOKENS + 1, DIM)
    assert torch.equal(enhanced[:, :TOKENS], inputs[2])


def test_text_tokens_are_the_categories_and_the_summary(enhancement: TextEnhancement) -> None:
    assert enhancement.project(enhancement.text_embeddings).shape == (CATEGORIES, DIM)
    assert enhancement.text_half().shape == (1, CATEGORIES + 1, DIM)
    assert enhancement.summary().shape == (1, 1, DIM)


def test_the_token_focuses_on_the_prompt(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    focused = made(SemanticConfig())(*inputs)[:, -1]
    general = made(SemanticConfig(text_keys="image"))(*inputs)[:, -1]
    assert not torch.allclose(focused[0], focused[1])
    torch.testing.assert_close(general[0], general[1])


@torch.no_grad()
def test_the_text_half_is_computed_once(enhancement: TextEnhancement) -> None:
    assert enhancement.summary() is enhancement.summary()


@torch.no_grad()
@pytest.mark.parametrize("change", ["step", "load", "text"])
def test_nothing_stale_is_kept(enhancement: TextEnhancement, change: str) -> None:
    before = enhancement.summary().clone()
    if change == "step":
        with torch.enable_grad():
            enhancement.text_half().sum().backward()
        torch.optim.SGD(enhancement.parameters(), lr=1.0).step()
    elif change == "load":
        state = {key: value + 0.1 for key, value in enhancement.state_dict().items()}
        enhancement.load_state_dict(state)
    else:
        enhancement.text_embeddings.mul_(2)
    assert not torch.equal(enhancement.summary(), before)
    assert torch.equal(enhancement.summary(), enhancement.text_half()[:, -1:])


@torch.no_grad()
def test_training_keeps_nothing(enhancement: TextEnhancement) -> None:
    enhancement.train()
    assert enhancement.summary() is not enhancement.summary()


@torch.inference_mode()
def test_weights_made_in_inference_mode_are_not_kept() -> None:
    made_here = made(SemanticConfig()).eval()
    assert made_here.summary() is not made_here.summary()


def test_embeddings_are_data_and_not_in_the_state(enhancement: TextEnhancement) -> None:
    assert not [key for key in enhancement.state_dict() if "embeddings" in key]
