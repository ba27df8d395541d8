"""Class weights of new names, or of all, fitted to a run's objects after its steps.

    objects of training slices --decoders--> SO-tokens (n, C)
                               --logistic regression by L-BFGS--> a row of the class layer for each

A new category begins as a mean of others that its description is like (`model.growth`). A few
labelled cases and some hundred steps make it the best guess, but with a probability between 0.2 and
0.6, for which no name is given. The SO-token tells it from the others well enough for a regression
on the same objects (docs/lab/finding.md). The rows of other categories stay as they are.

The steps of a large training leave rare names as uncertain, for the same reason; then all rows are
fitted (docs/lab/names.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segsam.model import SegSam
from segsam.model.semantic_heads import MaskClassHead
from segsam.training.config import TrainConfig
from segsam.training.described_objects import object_prompts, slices_showing
from segsam.training.devices import to_device
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.samples import Sample
from segsam.training.targets import NO_CATEGORY, NO_CLASS

_NONE = 0
"""Row of the class layer for what is none of the categories."""
_ITERATIONS = 60


@dataclass(frozen=True)
class _Regression:
    """Choices of a fit."""

    shrinkage: float
    """Weight of the squared change of the rows, their sum, in the loss."""
    is_balanced: bool
    """Whether every class counts alike, or every object."""


_OF_NEW = _Regression(0.03, is_balanced=True)
"""With less shrinkage, more objects of other data sets get a new name as their best guess; with
more, small organs are not named."""
_OF_ALL = _Regression(1.3e-4, is_balanced=False)
"""Chosen on validation patients: docs/lab/names.md."""


@dataclass(frozen=True, eq=False)
class _Objects:
    """Prompted objects: tokens (n, C) and the class (n,) that each should get, 0 for none."""

    tokens: Tensor
    classes: Tensor


def new_numbers(names: Sequence[str], seen: Collection[str]) -> list[int]:
    """Return the numbers, from 0, of the names that a model has not seen; none if it is not known
    what it has.
    """
    return [number for number, name in enumerate(names) if seen and name not in seen]


def fit_class_rows(
    model: SegSam,
    store: EmbeddingStore,
    samples: Sequence[Sample],
    config: TrainConfig,
    numbers: Sequence[int],
) -> None:
    """Give some categories rows of their own in the model's class layer, in place; those that no
    slice shows stay as they are, and so does a model whose head has no such layer.

    Args:
        model: trained for these slices.
        store: of the slices.
        samples: training slices.
        config: the run.
        numbers: of the new categories, from 0.
    """
    chosen, shown = slices_showing(samples, [number + 1 for number in numbers])
    _fit(model, shown, _objects(model, store, chosen, config), _OF_NEW)


def fit_class_layer(
    model: SegSam, store: EmbeddingStore, samples: Sequence[Sample], config: TrainConfig
) -> None:
    """Fit the whole class layer, in place, to the categories that the slices show; arguments as of
    `fit_class_rows`. The rows of those that none shows stay as they are.
    """
    chosen, shown = slices_showing(samples, range(1, len(model.categories) + 1))
    _fit(model, [_NONE, *shown], _objects(model, store, chosen, config), _OF_ALL)


@torch.no_grad()
def _objects(
    model: SegSam, store: EmbeddingStore, samples: Sequence[Sample], config: TrainConfig
) -> _Objects | None:
    """Return the objects of slices; None without any, or from a model without SO-tokens."""
    is_training = model.training
    model.eval()
    parts = [part for one in samples for part in _described(model, store, one, config)]
    model.train(is_training)
    if not parts:
        return None
    return _Objects(
        torch.cat([one.tokens for one in parts]), torch.cat([one.classes for one in parts])
    )


def _described(
    model: SegSam, store: EmbeddingStore, sample: Sample, config: TrainConfig
) -> Iterator[_Objects]:
    """Prompt the objects of a slice with a box and a point, and a place without a label."""
    features = store.features(sample.key)
    device = features.embedding.device
    for prompts, classes in object_prompts(model, sample, config):
        tokens = model.decode_batch(features, to_device(prompts, device)).class_tokens
        if tokens is None:
            return
        numbers = torch.tensor(classes, device=device)
        is_known = numbers != NO_CLASS
        none = numbers == NO_CATEGORY
        yield _Objects(tokens[is_known].float(), numbers.masked_fill(none, _NONE)[is_known])


def _fit(
    model: SegSam, classes: Sequence[int], objects: _Objects | None, choices: _Regression
) -> None:
    """Fit the rows of some classes in the class layer, so that the objects get their classes."""
    head = None if model.semantic_decoder is None else model.semantic_decoder.head
    if objects is None or not isinstance(head, MaskClassHead):
        return
    rows = torch.tensor(classes, device=objects.classes.device)
    with torch.no_grad():
        before = head.classes(objects.tokens)
    weights = torch.zeros_like(head.classes.weight[rows], requires_grad=True)
    biases = torch.zeros_like(head.classes.bias[rows], requires_grad=True)
    shares = _shares(objects.classes, is_balanced=choices.is_balanced)
    optimiser = torch.optim.LBFGS(
        [weights, biases], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimiser.zero_grad()
        logits = before.index_add(1, rows, objects.tokens @ weights.T + biases)
        each = F.cross_entropy(logits / model.card.temperature, objects.classes, reduction="none")
        value = (each * shares).sum() + choices.shrinkage * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        head.classes.weight[rows] += weights
        head.classes.bias[rows] += biases


def _shares(classes: Tensor, *, is_balanced: bool) -> Tensor:
    """Return the share (n,) of each object in the loss."""
    if not is_balanced:
        return torch.full(classes.shape, 1 / len(classes), device=classes.device)
    counts = torch.bincount(classes)
    return 1 / counts[classes] / (counts > 0).sum()
