"""Training of the dense semantic head on stored embeddings, after the prompted decoders.

The head reads nothing that the decoders' training changes but the image encoder's output, so it has
steps, a rate and a file of its own: a run that is stopped here goes on here. It learns with the
slices beside each one, and in some steps without, as photographs have none. Each category learns
from the slices that are annotated for it. What a trained head says about the others is kept: its
maps before the run are their targets, so that a few cases of one organ do not erase the rest.
"""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, optim
from torch.nn import functional as F

from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.model.dense_head import SIDES, DenseHead
from segsam.training.class_rows import new_numbers
from segsam.training.config import TrainConfig
from segsam.training.dense_rows import RowSlices, fit_rows
from segsam.training.devices import mixed_precision
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.logs import duration
from segsam.training.optimiser import WeightAverage
from segsam.training.run_state import READ_ERRORS, write_record
from segsam.training.samples import Sample
from segsam.training.sampling import NO_STEP, SliceOrder
from segsam.training.sharded_samples import ShardedSamples, dataset_names
from segsam.training.targets import NO_CLASS, AnnotatedImage
from segsam.training.validation import spread_evenly
from segsam.types import Progress

STATE = "dense.pt"
FINDING = "learning to find"
"""With what the texts of these steps begin."""
_BCE = 10.0
"""Weight of the cross-entropy beside Dice, which sees objects of any size alike."""
_ABSENT, _KEPT = 0.5, 1.0
"""Weights of categories that an image does not show, and of those that it says nothing about."""
_AVERAGE = 0.995
_WARMUP = 0.05
"""Share of the steps in which the rate rises; after it the rate falls as a cosine."""
_CLIP_NORM = 1.0
_ALONE, _ALONE_DRAWS = 0.25, 3
"""Share of the draws in which a slice is read without those beside it, and their seed."""
_SLICES_OF_NEW = 400
"""Most slices from which new categories get their first weights."""
_SMOOTH = 1.0
"""Cells that are added to both sides of a Dice score, so that the smallest object has a slope."""


@dataclass(frozen=True, eq=False)
class DenseTargets:
    """Targets of B images: share of each cell that is of a category, and what is known."""

    maps: Tensor
    """(B, K, m, m) float32 in [0, 1]."""
    annotated: Tensor
    """(B, K) bool."""

    @classmethod
    def of(cls, images: Sequence[AnnotatedImage], side: int) -> DenseTargets:
        """Return the targets at `side` cells of images at the model's input size."""
        maps = [category_map(image, side) for image in images]
        return cls(torch.stack(maps), torch.stack([image.annotated for image in images]))

    def to(self, device: torch.device) -> DenseTargets:
        """Return the targets on a device."""
        return DenseTargets(self.maps.to(device), self.annotated.to(device))


def category_map(image: AnnotatedImage, side: int) -> Tensor:
    """Return the share of each cell that each category covers, (K, side, side)."""
    found = torch.zeros(len(image.annotated), side, side)
    if not len(image.masks):
        return found
    shares = F.adaptive_avg_pool2d(image.masks[:, None].float(), side)[:, 0]
    for number, share in zip(image.classes.tolist(), shares, strict=True):
        if number != NO_CLASS:
            found[number - 1] = torch.maximum(found[number - 1], share)
    return found


def dense_loss(logits: Tensor, targets: DenseTargets, kept: Tensor | None = None) -> Tensor:
    """Return the loss of maps (B, K, m, m).

    Args:
        logits: of the head.
        targets: of the same images.
        kept: probabilities (B, K, m, m) of the head before the run, for what is not annotated.
    """
    known, maps = targets.annotated, targets.maps
    each = F.binary_cross_entropy_with_logits(logits, maps, reduction="none").mean(dim=(2, 3))
    is_shown = maps.amax(dim=(2, 3)) > 0
    p = logits.sigmoid()
    both = (p * maps).sum(dim=(2, 3))
    dice = (2 * both + _SMOOTH) / (p.sum(dim=(2, 3)) + maps.sum(dim=(2, 3)) + _SMOOTH)
    loss = _mean(1 - dice + _BCE * each, known & is_shown)
    loss = loss + _ABSENT * _BCE * _mean(each, known & ~is_shown)
    if kept is not None:
        change = F.binary_cross_entropy_with_logits(logits, kept, reduction="none")
        loss = loss + _KEPT * _BCE * _mean(change.mean(dim=(2, 3)), ~known)
    return loss


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)


def rarest_shown(samples: Sequence[Sample]) -> list[str]:
    """Return for each slice its data set and the rarest of the categories that it shows, so that a
    `balance` below 1 draws small and rare organs more often; the data set alone for shards, whose
    labels are read only when a step needs them.
    """
    if isinstance(samples, ShardedSamples):
        return samples.names()
    shown = [_shown(one) for one in samples]
    counts = Counter(each for of_slice in shown for each in of_slice)
    pairs = zip(samples, shown, strict=True)
    return [min(names, key=counts.__getitem__, default=one.dataset) for one, names in pairs]


def _shown(sample: Sample) -> list[str]:
    """Return the data set and the number of each category that a slice shows, in a fixed order."""
    values = np.flatnonzero(np.bincount(sample.labels.ravel())).tolist()
    values += [value for value, _ in sample.instances]
    numbers = {sample.classes.get(value, NO_CLASS) for value in values} - {NO_CLASS}
    return [f"{sample.dataset} {number}" for number in sorted(numbers)]


def train_dense_head(
    model: SegSam,
    store: EmbeddingStore,
    samples: Sequence[Sample],
    config: TrainConfig,
    *,
    is_trained: bool,
    seen: Collection[str] = (),
    progress: Progress,
    check: Callable[[], None],
) -> None:
    """Train the model's dense head in place, from the last state in the run's folder if there is
    one.

    Args:
        model: with a dense head; nothing else of it changes.
        store: of the samples.
        samples: of the training part.
        config: the run; `dense_steps`, `dense_images` and `dense_rate` are the head's.
        is_trained: True if the head was trained before, so that what it knows is kept.
        seen: names of the categories that it was trained for, if that is known.
        progress: called after each step.
        check: called before each step; it may raise an error to stop.

    Raises:
        TrainingError: a model without a dense head, or a state that cannot be read.
        OutputError: the run's folder cannot be written to.
    """
    if model.dense_head is None:
        raise TrainingError("Expected a model with a dense head to train, got one without.")
    run = _DenseRun(model, model.dense_head, store, samples, config, is_trained=is_trained)
    run.run(progress, check, seen)


class _DenseRun:
    """One call of `train_dense_head`."""

    def __init__(
        self,
        model: SegSam,
        head: DenseHead,
        store: EmbeddingStore,
        samples: Sequence[Sample],
        config: TrainConfig,
        *,
        is_trained: bool,
    ) -> None:
        self._model, self._head, self._store = model, head, store
        self._samples, self._config = samples, config
        self._before = copy.deepcopy(head).eval() if is_trained else None
        for one in () if self._before is None else self._before.parameters():
            one.requires_grad_(False)
        self._optimiser = optim.AdamW(head.parameters(), lr=config.dense_rate, weight_decay=0.02)
        self._average = WeightAverage(head, _AVERAGE)
        self._file = Path(config.out) / STATE
        groups = dataset_names(samples) if config.shares else rarest_shown(samples)
        self._order = SliceOrder(
            groups, seed=config.seed, balance=config.balance, shares=config.shares
        )

    def run(self, progress: Progress, check: Callable[[], None], seen: Collection[str]) -> None:
        """Do the steps that are left, and put the averaged weights into the model."""
        total, limit = self._config.dense_steps, 60 * self._config.dense_minutes
        step, seconds = self._restored()
        device = next(self._head.parameters()).device
        if not step and self._before is not None:
            self._fit_new(self._before, seen)
        while step < total:
            check()
            began = time.monotonic()
            done = max(step / total, seconds / limit if limit else 0.0)
            with mixed_precision(self._config, device):
                loss = self._step(step, min(done, 1.0))
            step, seconds = step + 1, seconds + time.monotonic() - began
            if 0 < limit <= seconds:
                total = step
            if step == total or step % self._config.checkpoint_every == 0:
                self._save(step, seconds)
            left = seconds / step * (total - step)
            left = min(left, max(0.0, limit - seconds)) if limit else left
            progress(step, total, f"{FINDING}, loss {loss:.3f}, {duration(left)} left")
        self._average.put()

    def _fit_new(self, before: DenseHead, seen: Collection[str]) -> None:
        """Give categories without an example before this run weights of their own, in what is kept
        as well: of these, what was there before is only a guess by their names.
        """
        new = new_numbers(self._model.categories.names, seen)
        if new:
            chosen = spread_evenly(self._samples, _SLICES_OF_NEW)
            fit_rows(self._head, new, (self._row_slices(one, new) for one in chosen))
            before.load_state_dict(self._head.state_dict())

    def _row_slices(self, sample: Sample, numbers: Sequence[int]) -> RowSlices:
        """Return a slice with the maps of some categories."""
        embedding, beside = self._read([sample], NO_STEP)
        side = 2 * embedding.shape[-1]
        targets = DenseTargets.of([sample.annotated(self._model)[0]], side).to(embedding.device)
        of = list(numbers)
        return RowSlices(embedding, beside, targets.maps[:, of], targets.annotated[:, of])

    def _step(self, step: int, done: float) -> float:
        """Do a step at a share of the training that is `done`, and return its loss."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._config.dense_rate * _rate(done)
        count = self._config.dense_images
        chosen = [self._samples[one] for one in self._order.indices(step * count, count)]
        with torch.no_grad():
            read = self._read(chosen, step)
            kept = None if self._before is None else self._before(*read).sigmoid()
        logits = self._head(*read)
        images = [one.annotated(self._model)[0] for one in chosen]
        targets = DenseTargets.of(images, logits.shape[-1]).to(logits.device)
        loss = dense_loss(logits.float(), targets, kept)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._head.parameters(), _CLIP_NORM)
        self._optimiser.step()
        self._average.update()
        return float(loss.detach())

    def _read(self, chosen: Sequence[Sample], step: int) -> tuple[Tensor, Tensor]:
        """Return the embeddings (B, C, h, w) of slices, and of those beside them (B, 2, C, h, w):
        zero where there is none.
        """
        embeddings = torch.cat([self._store.reduced(one.key) for one in chosen])
        beside = embeddings.new_zeros((len(chosen), SIDES, *embeddings.shape[1:]))
        rng = np.random.default_rng([self._config.seed, NO_STEP, _ALONE_DRAWS, step])
        is_alone = rng.random(len(chosen)) < _ALONE
        for place, one in enumerate(chosen):
            for side, key in enumerate(() if is_alone[place] else one.beside):
                beside[place, side] = self._store.reduced(key)[0]
        return embeddings, beside

    def _save(self, step: int, seconds: float) -> None:
        record = {
            "step": step,
            "seconds": seconds,
            "head": self._head.state_dict(),
            "before": None if self._before is None else self._before.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "average": self._average.state(),
        }
        write_record(self._file, record)

    def _restored(self) -> tuple[int, float]:
        """Return the number of steps that an earlier process did, and its seconds; its state is
        loaded.
        """
        if not self._file.is_file():
            return 0, 0.0
        try:
            record = torch.load(self._file, map_location="cpu", weights_only=True)
            self._head.load_state_dict(record["head"])
            if self._before is not None:
                self._before.load_state_dict(record["before"])
            self._optimiser.load_state_dict(record["optimiser"])
            self._average.restore(record["average"])
            return int(record["step"]), float(record.get("seconds", 0.0))
        except READ_ERRORS as error:
            raise TrainingError(
                f"Cannot resume from {STATE} in {self._file.parent.name}: it is damaged or not of "
                f"this model ({type(error).__name__})."
            ) from error


def _rate(done: float) -> float:
    """Return the rate at a share of the steps, as a share of the largest."""
    if done < _WARMUP:
        return (done + 1e-3) / _WARMUP
    return 0.5 * (1 + math.cos(math.pi * (done - _WARMUP) / (1 - _WARMUP)))
