"""Mean of the weights of several checkpoints: one model, at the cost of one.

Checkpoints that were trained one after the other, or from the same one, lie in the same basin of
the loss: their mean is often better than each (Wortsman et al., Model soups, ICML 2022,
arXiv:2203.05482; Robust fine-tuning of zero-shot models, CVPR 2022, arXiv:2109.01903). The mean of
unrelated checkpoints is useless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from segsam.errors import CheckpointError
from segsam.model.card import read_card
from segsam.model.checkpoint import load_pretrained, save_checkpoint
from segsam.model.digests import embedding_id
from segsam.model.naming_rule import WITHOUT_MEMORY
from segsam.model.segsam import SegSam

_OTHER_EMBEDDING = (
    "The averaged checkpoints have different image encoders, so the mean describes objects unlike "
    "either's examples; segsam calibrate makes a new memory of examples."
)


def average_checkpoints(sources: Sequence[str | Path], target: str | Path) -> Path:
    """Save the mean of the weights of checkpoints, computed in double precision.

    The card is the first one's, and so are memory of examples and naming rule, if all have the same
    image embedding; else the mean has none, and its card says why. The card names all of them as
    parents; metrics, which belong to one of them, are left out.

    Raises:
        CheckpointError: fewer than two sources, one that is not a checkpoint of ours, or models of
            different architectures or categories.
        OutputError: a target that cannot be written.
    """
    if len(sources) < 2:
        raise CheckpointError(f"Expected at least two checkpoints to average, got {len(sources)}.")
    cards = [read_card(source) for source in sources]
    mean = load_pretrained(sources[0])
    others = [load_pretrained(source) for source in sources[1:]]
    for source, other in zip(sources[1:], others, strict=True):
        _check_alike(mean, other, Path(sources[0]).name, Path(source).name)
    is_of_one_embedding = len({embedding_id(model) for model in (mean, *others)}) == 1
    states = [other.state_dict() for other in others]
    with torch.no_grad():
        for name, tensor in mean.state_dict().items():
            if tensor.is_floating_point():
                alike = [tensor.double(), *(state[name].double() for state in states)]
                tensor.copy_(torch.stack(alike).mean(dim=0))
    parents = ", ".join(card.sha256[:16] for card in cards)
    card = replace(cards[0], parent=f"the mean of {parents}", metrics={}, results={})
    if mean.memory is not None and not is_of_one_embedding:
        card = replace(card, naming={WITHOUT_MEMORY: _OTHER_EMBEDDING})
        mean = mean.with_memory(None, card)
    return save_checkpoint(mean, target, card)


def _check_alike(first: SegSam, other: SegSam, name: str, other_name: str) -> None:
    """Refuse models whose weights do not correspond to each other."""
    shapes, others = (
        {key: tuple(value.shape) for key, value in model.state_dict().items()}
        for model in (first, other)
    )
    if shapes != others or first.config != other.config:
        raise CheckpointError(f"{name} and {other_name} are of different architectures.")
    if first.categories.names != other.categories.names:
        raise CheckpointError(f"{name} and {other_name} have different categories.")
