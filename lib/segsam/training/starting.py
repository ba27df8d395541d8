"""The model that a run begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segsam.categories import Categories
from segsam.datasets.folder import Dataset
from segsam.model import SegSam, build_variant, load_pretrained
from segsam.training.config import TrainConfig


def load_start(config: TrainConfig) -> SegSam:
    """What the run names as its host; raises CheckpointError."""
    return load_pretrained(config.host, adapt=config.adapt)


def build_model(config: TrainConfig, start: SegSam, datasets: Sequence[Dataset]) -> SegSam:
    """The run's variant on the host of `start`, which becomes part of it.

    Raises:
        CheckpointError: host and variant, or configuration, that do not go together.
        CategoryError: a label that the vocabulary does not know; names the nearest.
    """
    model = build_variant(
        config.variant,
        start.host,
        _categories(config, start, datasets),
        **config.model_choices(),
    )
    without_kinds = replace(model.config, box_kinds=False)
    if start.card.variant == model.card.variant and start.config in (model.config, without_kinds):
        model.load_state_dict(model.state_dict() | start.state_dict())
    return model.train()


def _categories(config: TrainConfig, start: SegSam, datasets: Sequence[Dataset]) -> Categories:
    """A checkpoint of ours keeps its own: what it learnt of them would be lost otherwise."""
    ours = bool(start.card.variant) or start.semantic_decoder is not None
    if ours or config.categories == "all":
        return start.categories
    return start.categories.only(name for one in datasets for name in one.labels.values())
