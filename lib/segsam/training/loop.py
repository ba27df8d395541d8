"""Training: slices in, a checkpoint of a variant out; stopped anywhere, it goes on as if not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.model.digests import weights_id
from segsam.model.runtimes import choose_runtime
from segsam.system.atomic import write_bytes
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.optimising import WeightAverage, build_optimiser, set_rates
from segsam.training.outcome import MODEL, REPORT, TrainReport, save_model
from segsam.training.placing import chosen_device, some_threads
from segsam.training.preparing import Sample
from segsam.training.ranks import Ranks, joined_ranks
from segsam.training.records import LOG, Records
from segsam.training.rounds import Judge
from segsam.training.run_state import (
    Learning,
    Standing,
    load_best,
    make_folder,
    restore_state,
    save_best,
    save_state,
)
from segsam.training.sampling import Order
from segsam.training.schedule import is_due, total_steps
from segsam.training.sharded import dataset_names
from segsam.training.source import Source
from segsam.training.starting import build_model, load_start
from segsam.training.stopping import StopRequest, stop_requests
from segsam.training.validation import selection_score, spread_evenly, validate
from segsam.types import Progress


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    start: SegSam | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a variant and write `model.safetensors` with its card into the run's folder.

    Under `torchrun` every process calls this with the same arguments; the first one writes.

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
        RuntimeChoiceError: fast embeddings where there are none to be had.
        KeyboardInterrupt: asked to stop, by a signal; the state of the run was saved before.
    """
    device = chosen_device(config)
    with (
        torch.random.fork_rng(devices=[]),
        some_threads(config.threads),
        joined_ranks(device) as ranks,
    ):
        torch.manual_seed(config.seed)
        heard = progress if progress is not None and ranks.is_first else _silent
        return _Run(config, start, heard, device=device, ranks=ranks).all(resume=resume)


__all__ = ["MODEL", "REPORT", "TrainReport", "train"]
_STOPS = "stops"
"""Beside the terms of a loss: how many processes were asked to stop."""


class _Run:
    """One call of `train`."""

    def __init__(
        self,
        config: TrainConfig,
        start: SegSam | None,
        progress: Progress,
        *,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.config = config
        self.ranks = ranks
        self.began = time.monotonic()
        self.progress = progress
        self.folder = Path(config.out)
        self.source = Source.of(config)
        start = start or load_start(config)
        self.parent = weights_id(start)
        self.model = build_model(config, start, self.source.datasets).to(device)
        encoder = None
        if config.encoding == "fast":
            encoder = choose_runtime(self.model, "openvino", "fast")
        kept = Path(config.embeddings) if config.embeddings else self.folder / "embeddings"
        self.store = EmbeddingStore(kept, self.model, encoder)
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
        samples = self.source.samples(
            self.model, self.store, ranks=self.ranks, progress=self.progress
        )
        held_out = spread_evenly(samples[VALIDATION], self.config.validation_slices)
        total = total_steps(self.config, len(samples[TRAIN]))
        board = self.config.tensorboard and self.ranks.is_first
        records = Records(self.folder, after_step=standing.step, board=board)
        with contextlib.closing(records), stop_requests() as request:
            standing = self._learn(
                samples[TRAIN], held_out, records, standing, total=total, request=request
            )
        return self._finish(standing, {part: len(found) for part, found in samples.items()})

    def _begin(self, *, resume: bool) -> Standing:
        make_folder(self.folder)
        if resume:
            self.ranks.wait()
            return restore_state(self.folder, self.learning, self.config)
        if (self.folder / LOG).exists():
            raise TrainingError(
                f"There is a run in {self.folder.name} already: resume it, or name another folder."
            )
        self.ranks.wait()
        if not self.ranks.is_first:
            return Standing()
        write_bytes(self.folder / "config.json", self.config.to_json().encode())
        self.source.split.save(self.folder / "split.json")
        save_state(self.folder, self.learning, Standing(), self.config)
        return Standing()

    def _learn(
        self,
        samples: Sequence[Sample],
        held_out: list[Sample],
        records: Records,
        standing: Standing,
        *,
        total: int,
        request: StopRequest,
    ) -> Standing:
        """The steps that are left, until the last one or until nothing gets better."""
        config, first = self.config, standing.step
        names, seed = dataset_names(samples), config.seed
        order = Order(names, seed=seed, balance=config.balance, shares=config.shares)
        began = time.monotonic()
        while standing.step < total and not self._is_over(standing):
            clock = time.monotonic()
            if 0 < 60 * config.minutes <= standing.seconds:
                total = standing.step + 1
            rates = set_rates(self.learning.optimiser, config, step=standing.step, total=total)
            terms = self._step(samples, order, standing.step, stop=request.came)
            stops = terms.pop(_STOPS) > 0
            standing = replace(standing, step=standing.step + 1)
            records.step(standing.step, rates, terms)
            due = standing.step == total or is_due(standing.step, config.validate_every)
            if due:
                standing = self._measure(held_out, records, standing)
            standing = replace(standing, seconds=standing.seconds + time.monotonic() - clock)
            if due or stops or is_due(standing.step, config.checkpoint_every):
                self._keep(standing, records)
            if stops:
                raise KeyboardInterrupt
            left = (time.monotonic() - began) / (standing.step - first) * (total - standing.step)
            what = f"loss {terms['total']:.3f}, {_duration(left)} left"
            self.progress(standing.step, total, what)
        return standing

    def _is_over(self, standing: Standing) -> bool:
        return bool(self.config.patience) and standing.misses >= self.config.patience

    def _keep(self, standing: Standing, records: Records) -> None:
        if self.ranks.is_first:
            save_state(self.folder, self.learning, standing, self.config)
            records.flush()

    def _step(
        self, samples: Sequence[Sample], order: Order, step: int, *, stop: bool
    ) -> dict[str, float]:
        """One step of the optimiser; every term of its loss, mean over the images of all processes,
        and how many of the processes were asked to stop.

        Gradients are gathered image by image, so that memory does not grow with the batch.
        """
        count = self.config.images_per_step
        sums: dict[str, float] = {_STOPS: float(stop)}
        self.learning.optimiser.zero_grad(set_to_none=True)
        places = order.places(step * count, count)
        for place in self.ranks.share(count):
            sample = samples[places[place]]
            terms = self.judge.learn(sample, step=step, place=place, share=1 / count)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value / count
        learning = [one for one in self.model.parameters() if one.requires_grad]
        self.ranks.sum_gradients(learning)
        sums = self.ranks.sum_numbers(sums)
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(learning, self.config.clip_norm)
        self.learning.optimiser.step()
        self.learning.average.update()
        self.losses.append(sums["total"])
        return sums

    def _measure(self, held_out: list[Sample], records: Records, standing: Standing) -> Standing:
        """Validate, and keep the weights if they are the best so far; the first process does."""
        if self.ranks.is_first:
            standing = self._validated(held_out, records, standing)
        found: Standing = self.ranks.from_first(standing)
        return found

    def _validated(self, held_out: list[Sample], records: Records, standing: Standing) -> Standing:
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
        report = TrainReport(
            checkpoint=self.folder / MODEL,
            steps=standing.step,
            slices=slices,
            encoded=round(self.ranks.sum_numbers({"encoded": self.store.encoded})["encoded"]),
            first_loss=self.losses[0] if self.losses else None,
            last_loss=self.losses[-1] if self.losses else None,
            metrics=dict(standing.best_metrics),
            seconds=time.monotonic() - self.began,
            training_seconds=standing.seconds,
            best_step=standing.best_step or standing.step,
        )
        if self.ranks.is_first:
            with self.learning.average.applied():
                if standing.best_step:
                    load_best(self.folder, self.model)
                save_model(
                    self.model,
                    self.config,
                    self.source.datasets,
                    parent=self.parent,
                    metrics=standing.best_metrics,
                )
            write_bytes(self.folder / REPORT, (report.to_json() + "\n").encode())
        self.ranks.wait()
        return report


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _silent(done: int, total: int, what: str) -> None:
    """Nobody wants to know."""
