"""Model at the start of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segsam.categories import Categories
from segsam.datasets.folder import Dataset
from segsam.errors import TrainingError
from segsam.model import SegSam, build_variant, find_variant, load_pretrained
from segsam.model.growth import grow
from segsam.training.config import TrainConfig


def load_initial_model(config: TrainConfig) -> SegSam:
    """Load the weights that the run names as its host; raises CheckpointError."""
    return load_pretrained(config.host, adapt=config.adapt)


def build_model(config: TrainConfig, start: SegSam, datasets: Sequence[Dataset]) -> SegSam:
    """Return the run's variant on the host of `start`, which becomes part of it.

    All weights of `start` are taken if it is of the same variant and configuration. Tokens for
    kinds of boxes may be new all the same: they start at zero and change nothing until trained. So
    may the dense head, which no other part reads. One of `start` stays unless its image encoder is
    trained on, without which the head would read what it was not trained for.

    Raises:
        CheckpointError: host and variant, or configuration, that do not fit.
        CategoryError: a label that the vocabulary does not know; names the nearest.
        TrainingError: data sets without a name to learn, in a run whose categories are theirs; a
            new dense head without steps to train it.
    """
    takes_all, choices = takes_all_weights(config, start), config.model_choices()
    keeps_head = takes_all and start.config.dense_head
    if keeps_head and not config.encoder_learning_rate:
        choices["dense_head"] = True
    categories = _categories(config, start, datasets)
    model = build_variant(config.variant, start.host, categories, **choices)
    if takes_all:
        own, state = start.state_dict(), model.state_dict()
        model.load_state_dict({name: own.get(name, value) for name, value in state.items()})
    if model.config.dense_head and not (keeps_head or config.dense_steps):
        raise TrainingError("Expected dense_steps above 0 to train a new dense head, got 0.")
    if config.encoder_learning_rate:
        model.host.image_encoder.requires_grad_(True)
    return model.train()


def with_names(start: SegSam, datasets: Sequence[Dataset]) -> SegSam:
    """Return a SEG-SAM checkpoint grown by the names in data sets that it does not have.

    Raises:
        CategoryError: a label that the vocabulary does not know; names the nearest.
    """
    vocabulary = Categories.load()
    numbers = {vocabulary.index(name) for one in datasets for name in one.names.values()}
    for number in sorted(numbers):
        category = vocabulary.items[number]
        if category.name not in start.categories.names:
            start = grow(start, category, vocabulary.text_embeddings[number])
    return start


def takes_all_weights(config: TrainConfig, start: SegSam) -> bool:
    """Return True if a run begins with all weights of `start`, not with those of its host alone."""
    now = find_variant(config.variant).configured(**config.model_choices())
    box_kinds = now.box_kinds and start.config.box_kinds
    before = replace(start.config, dense_head=now.dense_head)
    return start.card.variant == config.variant and replace(now, box_kinds=box_kinds) == before


def _categories(config: TrainConfig, start: SegSam, datasets: Sequence[Dataset]) -> Categories:
    """Return the categories of the model; a SEG-SAM checkpoint keeps its own, because its learnt
    parts belong to them.
    """
    is_trained = is_checkpoint(start)
    if is_trained or config.categories == "all":
        return start.categories
    names = [name for one in datasets for name in one.names.values()]
    if not names:
        raise TrainingError(
            "Expected a label with a name to learn, got masks without names only; set categories "
            "to all, or start from a SEG-SAM checkpoint."
        )
    return start.categories.only(names)


def is_checkpoint(start: SegSam) -> bool:
    """Return True for a SEG-SAM checkpoint, False for a host as it comes."""
    return bool(start.card.variant) or start.semantic_decoder is not None
