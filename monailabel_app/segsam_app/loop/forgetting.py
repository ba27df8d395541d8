"""Checkpoint that has never heard of some categories, to measure how new structures are learnt.

Every row that a checkpoint holds for one of these categories is left out, and so are their examples
and every mention in its card. What its encoder and the layers that all categories share learnt from
images of them stays, so that this is the nearest to "new" without another training.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from segsam.errors import CheckpointError
from segsam.model import SegSam, load_pretrained, save_checkpoint
from segsam.model.checkpoint import find_card
from segsam.model.memory import ExampleMemory


def write_without(path: Path, checkpoint: str | None, names: Collection[str]) -> Path:
    """Write a checkpoint without some of its categories, by name or synonym.

    Raises CheckpointError for weights without categories, CategoryError for an unknown name, and
    OutputError.
    """
    model, card = load_pretrained(checkpoint), find_card(checkpoint)
    if card is None or model.semantic_decoder is None:
        raise CheckpointError("Expected a checkpoint with categories, got official weights.")
    own = model.categories
    gone = {own.index(name) for name in names}
    rows = torch.tensor([number for number in range(len(own)) if number not in gone])
    kept = own.only(own.names[number] for number in rows.tolist())
    seen = tuple(name for name in card.categories_seen if name in kept.names)
    card = replace(card, sha256="", categories_seen=seen, metrics={}, results={}, calibration={})
    text = model.text_enhancement is not None
    less = SegSam(model.host, kept, model.config, semantics=True, text=text, card=card)
    less.load_state_dict(_kept_state(less.state_dict(), model.state_dict(), rows))
    if model.memory is not None:
        less = less.with_memory(_kept_memory(model.memory, rows), less.card)
    return save_checkpoint(less, path, card)


def _kept_state(
    target: Mapping[str, Tensor], old: Mapping[str, Tensor], rows: Tensor
) -> dict[str, Tensor]:
    """Take the rows of the categories that stay from the tensors that have one for each."""
    found = {}
    for name, value in old.items():
        for axis, (before, after) in enumerate(zip(value.shape, target[name].shape, strict=True)):
            if before == after:
                continue
            others = after - len(rows)  # such as "no object", in front
            index = torch.cat([torch.arange(others), rows + others])
            value = value.index_select(axis, index)
        found[name] = value
    return found


def _kept_memory(memory: ExampleMemory, rows: Tensor) -> ExampleMemory:
    """Return the memory of the categories that stay, by their new numbers."""
    numbers = torch.full((memory.images_show.shape[1],), -1).scatter(
        0, rows, torch.arange(len(rows))
    )
    less = memory.without(numbers[memory.categories] < 0)
    return replace(
        less,
        categories=numbers[less.categories],
        images_show=memory.images_show[:, rows],
    )
