"""Training: slices in, a checkpoint of a variant out; stopped anywhere, it goes on as if not."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from segsam.atomic import write_bytes
from segsam.datasets.folder import open_dataset
from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import OutputError, TrainingError
from segsam.model import Card, SegSam, find_variant, save_checkpoint
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.optimising import WeightAverage, build_optimiser, set_rates
from segsam.training.placing import chosen_device
from segsam.training.preparing import Preparation, Sample, chosen_split
from segsam.training.records import LOG, Records
from segsam.training.rounds import Judge
from segsam.training.run_state import (
    Learning,
    Standing,
    load_best,
    restore_state,
    save_best,
    save_state,
)
from segsam.training.sampling import Order
from segsam.training.starting import build_model, load_start
from segsam.training.stopping import StopRequest, stop_requests
from segsam.training.validation import averages, selection_score, spread_evenly, validate
from segsam.types import Progress

MODEL = "model.safetensors"
REPORT = "report.json"


@dataclass(frozen=True)
class TrainReport:
    """What a run came to; `metrics` in percent."""

    checkpoint: Path
    steps: int
    """Done; fewer than planned when the run ended early."""
    slices: Mapping[str, int]
    """Of training and validation."""
    encoded: int
    first_loss: float | None
    """Of this process; None, as the last, when nothing was left to do."""
    last_loss: float | None
    metrics: Mapping[str, float]
    seconds: float
    """Of this process, with preparation."""
    training_seconds: float
    """Spent on steps and validations, over all processes that worked on the run."""
    best_step: int
    """After which the weights that were saved stood."""

    def to_json(self) -> str:
        """As it is kept with the run."""
        return json.dumps(asdict(self) | {"checkpoint": str(self.checkpoint)}, indent=1)


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    start: SegSam | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a variant and write `model.safetensors` with its card into the run's folder.

    Args:
        config: the run.
        resume: go on from the run's last checkpoint.
        start: whose host and categories to begin with; loaded as `config.host` says by default. Its
            host becomes part of the trained model.
        progress: called before the first and after each case that is prepared, and each step,
            with what is left to wait for.

    Raises:
        TrainingError, CategoryError, VolumeError: data that cannot be trained on.
        TrainingError: a folder with another run and no `resume`, or nothing to resume.
        CheckpointError: host and variant that do not go together.
        OutputError: a folder that cannot be written to.
        KeyboardInterrupt: asked to stop, by a signal; the state of the run was saved before.
    """
    with torch.random.fork_rng(devices=[]), _threads(config.threads):
        torch.manual_seed(config.seed)
        return _Run(config, start, progress or _silent).all(resume=resume)


class _Run:
    """One call of `train`."""

    def __init__(self, config: TrainConfig, start: SegSam | None, progress: Progress) -> None:
        self.config = config
        self.began = time.monotonic()
        self.progress = progress
        self.folder = Path(config.out)
        self.datasets = [open_dataset(path) for path in config.datasets]
        self.split = chosen_split(config, self.datasets)
        start = start or load_start(config)
        self.parent = start.weights_id
        self.model = build_model(config, start, self.datasets).to(chosen_device(config))
        kept = Path(config.embeddings) if config.embeddings else self.folder / "embeddings"
        self.store = EmbeddingStore(kept, self.model)
        self.learning = Learning(
            self.model,
            build_optimiser(self.model, config),
            WeightAverage(self.model, config.weight_average),
        )
        self.judge = Judge(self.model, self.store, config)
        self.losses: list[float] = []

    def all(self, *, resume: bool) -> TrainReport:
        """Prepare, learn, measure, save."""
        standing = self._begin(resume=resume)
        preparation = Preparation(self.config, self.datasets, self.model, self.store)
        samples = preparation.samples(self.split, self.progress)
        held_out = spread_evenly(samples[VALIDATION], self.config.validation_slices)
        total = self._steps(len(samples[TRAIN]))
        records = Records(self.folder, after_step=standing.step, board=self.config.tensorboard)
        with contextlib.closing(records), stop_requests() as request:
            standing = self._learn(
                samples[TRAIN], held_out, records, standing, total=total, request=request
            )
        return self._finish(standing, {part: len(found) for part, found in samples.items()})

    def _begin(self, *, resume: bool) -> Standing:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot write to {self.folder.name}: {error.strerror}.") from error
        if resume:
            return restore_state(self.folder, self.learning, self.config)
        if (self.folder / LOG).exists():
            raise TrainingError(
                f"There is a run in {self.folder.name} already: resume it, or name another folder."
            )
        write_bytes(self.folder / "config.json", self.config.to_json().encode())
        self.split.save(self.folder / "split.json")
        save_state(self.folder, self.learning, Standing(), self.config)
        return Standing()

    def _steps(self, slices: int) -> int:
        if self.config.steps:
            return self.config.steps
        return max(1, round(self.config.epochs * slices / self.config.images_per_step))

    def _learn(
        self,
        samples: list[Sample],
        held_out: list[Sample],
        records: Records,
        standing: Standing,
        *,
        total: int,
        request: StopRequest,
    ) -> Standing:
        """The steps that are left, until the last one or until nothing gets better."""
        config, first = self.config, standing.step
        order = Order([one.dataset for one in samples], seed=config.seed, balance=config.balance)
        began = time.monotonic()
        while standing.step < total and not self._is_over(standing):
            clock = time.monotonic()
            rates = set_rates(self.learning.optimiser, config, step=standing.step, total=total)
            terms = self._step(samples, order, standing.step)
            standing = replace(standing, step=standing.step + 1)
            records.step(standing.step, rates, terms)
            due = standing.step == total or _falls(standing.step, config.validate_every)
            if due:
                standing = self._measure(held_out, records, standing)
            standing = replace(standing, seconds=standing.seconds + time.monotonic() - clock)
            if due or request.came or _falls(standing.step, config.checkpoint_every):
                save_state(self.folder, self.learning, standing, config)
                records.flush()
            if request.came:
                raise KeyboardInterrupt
            left = (time.monotonic() - began) / (standing.step - first) * (total - standing.step)
            what = f"loss {terms['total']:.3f}, {_duration(left)} left"
            self.progress(standing.step, total, what)
        return standing

    def _is_over(self, standing: Standing) -> bool:
        return bool(self.config.patience) and standing.misses >= self.config.patience

    def _step(self, samples: list[Sample], order: Order, step: int) -> dict[str, float]:
        """One step of the optimiser; every term of its loss, mean over the images.

        Gradients are gathered image by image, so that memory does not grow with the batch.
        """
        count = self.config.images_per_step
        sums: dict[str, float] = {}
        self.learning.optimiser.zero_grad(set_to_none=True)
        for place, chosen in enumerate(order.places(step * count, count)):
            terms = self.judge.learn(samples[chosen], step=step, place=place, share=1 / count)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value / count
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.learning.optimiser.step()
        self.learning.average.update()
        self.losses.append(sums["total"])
        return sums

    def _measure(self, held_out: list[Sample], records: Records, standing: Standing) -> Standing:
        """Validate, and keep the weights if they are the best so far."""
        with self.learning.average.applied():
            metrics = validate(self.model, self.store, held_out, self.config)
            if not metrics:
                return standing
            score = selection_score(metrics)
            records.validation(standing.step, score, metrics)
            if score <= standing.best_score:
                return replace(standing, misses=standing.misses + 1)
            save_best(self.folder, self.model)
        return replace(
            standing,
            best_step=standing.step,
            best_score=score,
            best_metrics=metrics,
            misses=0,
        )

    def _finish(self, standing: Standing, slices: Mapping[str, int]) -> TrainReport:
        """Write the checkpoint, of the best validation if there was one, and the report."""
        with self.learning.average.applied():
            if standing.best_step:
                load_best(self.folder, self.model)
            checkpoint = self._save(averages(standing.best_metrics))
        report = TrainReport(
            checkpoint=checkpoint,
            steps=standing.step,
            slices=slices,
            encoded=self.store.encoded,
            first_loss=self.losses[0] if self.losses else None,
            last_loss=self.losses[-1] if self.losses else None,
            metrics=dict(standing.best_metrics),
            seconds=time.monotonic() - self.began,
            training_seconds=standing.seconds,
            best_step=standing.best_step or standing.step,
        )
        write_bytes(self.folder / REPORT, (report.to_json() + "\n").encode())
        return report

    def _save(self, metrics: Mapping[str, float]) -> Path:
        licences = "; ".join(f"{dataset.name}: {dataset.licence}" for dataset in self.datasets)
        variant = find_variant(self.config.variant)
        self.model.semantic_is_trained = variant.semantics
        card = Card(
            name=f"{self.config.variant} on {self.model.host.facts.name}",
            semantic_is_trained=variant.semantics,
            training_data=tuple(dataset.name for dataset in self.datasets),
            licence=f"weights of the host: {self.model.host.facts.licence}; {licences}",
            metrics=metrics,
            parent=self.parent,
        )
        return save_checkpoint(self.model, self.folder / MODEL, card)


def _falls(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch works with so many threads inside the block; 0 leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _silent(done: int, total: int, what: str) -> None:
    """Nobody wants to know."""
