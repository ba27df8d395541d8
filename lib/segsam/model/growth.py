"""Growth of a trained model by one category, before it has seen any example of it.

Every tensor that has a row for each category gets one more: a CO-token, its linear layer, a row in
the class head or a kernel in the dense one. The new row is the mean of the old ones, weighted by
how similar their descriptions are to the new one's (`row_weights`). This follows the paper's
premise that descriptions "capture key characteristics of all medical categories" (section 3.2.2).
Where a category is an input, in the MLP that informs the SO-token, its column starts at zero. No
existing weight changes.

The model's output does change a little: CO-tokens attend to each other, text tokens do too, and a
softmax over classes has one more share. Until the model is trained on examples, its output for the
new category is a guess from similar ones. A memory of examples has none of it, so a model with one
does not give its name before.
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
"""Temperature of the softmax over cosine similarities; at 0.05, few categories carry the mean."""


def row_weights(categories: Categories, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weigh the categories by their similarity to a text embedding (D,): (K,), sum 1.

    The weights are the softmax of cosine similarities over `TEMPERATURE`.
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
    """Return the categories of the largest weights for a text embedding (D,), with the weights."""
    weights = row_weights(categories, embedding)
    order = np.argsort(-weights, kind="stable")[:count]
    return {categories.names[k]: float(weights[k]) for k in order}


def grow(model: SegSam, category: Category, embedding: NDArray[np.float32]) -> SegSam:
    """Build a model with one more category, the last one; it shares the host with the old one.

    Args:
        model: with semantic parts, trained or not.
        category: its name and synonyms must be new to the model.
        embedding: (D,), of the category's description by the text encoder of the other categories.

    Raises:
        CheckpointError: a model without semantic parts.
        CategoryError: a name that exists already, or an embedding of another length.
    """
    if model.semantic_decoder is None:
        raise CheckpointError(
            "Expected a checkpoint with a semantic decoder, which has categories, got one of the "
            "host's parts alone."
        )
    categories = model.categories.with_category(category, embedding)
    text = model.text_enhancement is not None
    card = replace(model.card, sha256="")
    with torch.random.fork_rng(devices=[]):  # the random initial weights are overwritten below
        grown = SegSam(model.host, categories, model.config, semantics=True, text=text, card=card)
    old = model.state_dict()
    weights = torch.from_numpy(row_weights(model.categories, embedding))
    device = next(model.parameters()).device
    grown.to(device).load_state_dict(_grown_state(grown.state_dict(), old, weights.to(device)))
    trainable = {name: value.requires_grad for name, value in model.named_parameters()}
    for name, value in grown.named_parameters():
        value.requires_grad_(trainable[name])
    if model.memory is not None:
        grown = grown.with_memory(model.memory.with_category(), grown.card)
    return grown.train(model.training)


def grow_checkpoint(
    source: str | Path, target: str | Path, category: Category, encoder: TextEncoder
) -> tuple[SegSam, Categories]:
    """Add a category to a checkpoint of ours and save the result as another, with its card.

    The card names its parent and keeps the facts of training; metrics, which were measured without
    the new category, are left out.

    Returns:
        the grown model, and the categories before.

    Raises:
        CheckpointError: a source that is not a checkpoint of ours with semantic parts.
        CategoryError: a name that exists already, or an encoder other than the checkpoint's.
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
    """Refuse a name that exists already, before the text encoder (maybe a paid one) is called."""
    blank = np.zeros(categories.dimension, dtype=np.float32)
    categories.with_category(category, blank)


def _grown_state(
    target: Mapping[str, Tensor], old: Mapping[str, Tensor], weights: Tensor
) -> dict[str, Tensor]:
    """Extend the old tensors to the shapes that they have with one more category."""
    if target.keys() != old.keys():
        raise CheckpointError("The model's parts do not follow from its configuration.")
    return {
        name: value
        if value.shape == target[name].shape
        else _extended(name, value, target[name].shape, weights)
        for name, value in old.items()
    }


def _extended(name: str, old: Tensor, shape: torch.Size, weights: Tensor) -> Tensor:
    """Append one block to `old` along the one axis in which it is shorter than `shape`.

    Blocks along axis 0 are outputs, one for each category, perhaps after one for the background;
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
