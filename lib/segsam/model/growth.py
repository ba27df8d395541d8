"""A trained model learns the name of one more category, before it has seen an example.

Every tensor that has a row for each category gets one more: a CO-token, its linear layer, a row in
the class head or a kernel in the dense one. The new row is the mean of the old ones, weighted by
how near their descriptions are to the new one's (`row_weights`), which is the paper's premise that
text says what a structure is like (section 3.2.2). Where a category is an input, in the MLP that
informs the SO-token, its column starts at zero. Not one existing number changes.

What the model says does change a little: the CO-tokens attend to each other and the text tokens do,
and a softmax over classes has one more share. Until it is trained on examples, the new category's
answers are a guess from its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.categories import Categories, Category
from segsam.categories.providers import TextEncoder, check_encoder
from segsam.errors import CategoryError, CheckpointError, OutputError
from segsam.model.card import read_card
from segsam.model.checkpoint import load_pretrained, save_checkpoint
from segsam.model.segsam import SegSam

TEMPERATURE = 0.05
"""Of the softmax over cosine similarities: at 0.05 the nearest few categories carry the mean."""


def row_weights(categories: Categories, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each category counts for one with this text embedding (D,): (K,), sum 1.

    The softmax of cosine similarities over `TEMPERATURE`.
    """
    old = categories.text_embeddings
    lengths = np.linalg.norm(old, axis=1) * np.linalg.norm(embedding)
    similarity = old @ embedding / np.maximum(lengths, 1e-12)
    shares = np.exp((similarity - similarity.max()) / TEMPERATURE)
    out: NDArray[np.float32] = (shares / shares.sum()).astype(np.float32)
    return out


def nearest(
    categories: Categories, embedding: NDArray[np.float32], count: int = 3
) -> dict[str, float]:
    """The categories that count most for a text embedding (D,), with their weights."""
    weights = row_weights(categories, embedding)
    order = np.argsort(-weights, kind="stable")[:count]
    return {categories.names[k]: float(weights[k]) for k in order}


def grow(model: SegSam, category: Category, embedding: NDArray[np.float32]) -> SegSam:
    """A model that knows one more category, at the end; the host is shared with the old one.

    Args:
        model: with semantic parts, trained or not.
        category: its name and synonyms are not yet the model's.
        embedding: (D,) of the category's description, from the encoder of the model's categories.

    Raises:
        CheckpointError: a model without semantic parts.
        CategoryError: a name that is taken, or an embedding of another length.
    """
    if model.semantic_decoder is None:
        raise CheckpointError(
            "Expected a checkpoint with a semantic decoder, which knows categories, got one of the "
            "host's parts alone."
        )
    categories = model.categories.with_category(category, embedding)
    text = model.text_enhancement is not None
    with torch.random.fork_rng(devices=[]):  # its random start is overwritten
        grown = SegSam.with_semantics(model.host, categories, model.config, text=text)
    old = model.state_dict()
    weights = torch.from_numpy(row_weights(model.categories, embedding))
    device = next(model.parameters()).device
    grown.to(device).load_state_dict(_grown_state(grown.state_dict(), old, weights.to(device)))
    trainable = {name: value.requires_grad for name, value in model.named_parameters()}
    for name, value in grown.named_parameters():
        value.requires_grad_(trainable[name])
    grown.variant = model.variant
    grown.semantic_is_trained = model.semantic_is_trained
    return grown.train(model.training)


def grow_checkpoint(
    source: str | Path, target: str | Path, category: Category, encoder: TextEncoder
) -> tuple[SegSam, Categories]:
    """Add a category to a checkpoint of ours and save the result as another, with its card.

    The card names its parent and keeps what it says of training; metrics, which were measured
    without the new category, are left out.

    Returns:
        the grown model, and the categories before.

    Raises:
        CheckpointError: a source that is no checkpoint of ours with semantic parts.
        CategoryError: a name that is taken, or an encoder other than the checkpoint's.
        OutputError: a target that cannot be written, or is the source.
    """
    if Path(source).suffix != ".safetensors":
        raise CheckpointError(
            f"Expected a checkpoint with a semantic decoder (.safetensors), got {str(source)!r}."
        )
    if Path(target).resolve() == Path(source).resolve():
        raise OutputError(f"The grown checkpoint would replace {Path(source).name}; name another.")
    card = read_card(source)
    model = load_pretrained(source)
    check_encoder(model.categories, encoder.name)
    _check_new(model.categories, category)
    embedding = encoder.embed([category.description])[0]
    check_encoder(model.categories, encoder.name, embedding.size)
    grown = grow(model, category, embedding)
    parent = f"{card.name} ({card.sha256[:16]}), grown by {category.name!r}"
    seen = card.categories_seen or model.categories.names
    card = replace(card, parent=parent, metrics={}, results={}, categories_seen=seen)
    save_checkpoint(grown, target, card)
    return grown, model.categories


def _check_new(categories: Categories, category: Category) -> None:
    """Refuse a name that is taken, before a text encoder is asked."""
    blank = np.zeros(categories.dimension, dtype=np.float32)
    categories.with_category(category, blank)


def _grown_state(
    wanted: Mapping[str, Tensor], old: Mapping[str, Tensor], weights: Tensor
) -> dict[str, Tensor]:
    """The old tensors, each extended to its wanted shape by what one more category adds."""
    if wanted.keys() != old.keys():
        raise CheckpointError("The model's parts do not follow from its configuration.")
    return {
        name: value
        if value.shape == wanted[name].shape
        else _extended(name, value, wanted[name].shape, weights)
        for name, value in old.items()
    }


def _extended(name: str, old: Tensor, shape: torch.Size, weights: Tensor) -> Tensor:
    """`old` and one more block along the one axis in which it falls short of `shape`.

    Blocks along axis 0 are outputs, one for each category, maybe after one for the background;
    along another axis they are inputs.
    """
    axes = [axis for axis in range(old.ndim) if old.shape[axis] != shape[axis]]
    added = shape[axes[0]] - old.shape[axes[0]]
    blocks, rest = divmod(old.shape[axes[0]], added)
    background = blocks - len(weights)
    if len(axes) != 1 or rest or background not in (0, 1):
        raise CategoryError(f"The tensor {name} {tuple(old.shape)} has no row for each category.")
    if axes[0] > 0:
        column = old.new_zeros((*old.shape[: axes[0]], added, *old.shape[axes[0] + 1 :]))
        return torch.cat([old, column], dim=axes[0])
    rows = old.reshape(blocks, added, *old.shape[1:])[background:]
    mean = torch.tensordot(weights.to(old.dtype), rows, dims=1)
    return torch.cat([old, mean])
