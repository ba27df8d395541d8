"""The training loop: from slices to the checkpoint of a variant; an interrupted run resumes to the
same result.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.model import SegSam
from segsam.model.digests import weights_id
from segsam.model.runtimes import choose_runtime
from segsam.system.folders import make_folder
from segsam.training.class_rows import fit_class_layer, fit_class_rows, new_numbers
from segsam.training.config import TrainConfig
from segsam.training.dense_training import train_dense_head
from segsam.training.devices import choose_device, limited_threads
from segsam.training.distributed import Processes, join_processes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.example_memory import naming_of_run
from segsam.training.initial_model import (
    build_model,
    is_checkpoint,
    load_initial_model,
    takes_all_weights,
    with_names,
)
from segsam.training.logs import LOG, TrainingLog, duration
from segsam.training.optimiser import WeightAverage, build_optimiser
from segsam.training.reports import MODEL, REPORT, TrainReport, save_model
from segsam.training.run_data import RunData
from segsam.training.run_state import (
    RunProgress,
    TrainingState,
    load_best,
    refuse_other_data,
    refuse_other_run,
    restore_state,
    save_best,
    save_state,
    start_folder,
)
from segsam.training.sample_gradients import SampleGradients
from segsam.training.samples import Sample
from segsam.training.sampling import SliceOrder
from segsam.training.schedule import is_due, set_learning_rates, total_steps
from segsam.training.sharded_samples import dataset_names
from segsam.training.stop_signals import StoppedRun, StopRequest, stop_requests
from segsam.training.validation import selection_score, spread_evenly, validate
from segsam.types import Progress, no_progress

__all__ = ["MODEL", "REPORT", "TrainReport", "train"]
_STOPS = "stops"
"""Beside the terms of a loss: the number of processes that received a signal to stop."""


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
        resume: continue from the run's last checkpoint.
        start: the model whose host and categories the run starts with; loaded as `config.host`
            names by default. Its host becomes part of the trained model.
        progress: called before the first and after each case that is prepared, and after each step
            with the time left.

    Raises:
        TrainingError, CategoryError, VolumeError: data that cannot be trained on.
        TrainingError: a folder with another run and no `resume`, nothing to resume, or a run to
            resume that began with other slices.
        CheckpointError: host and variant that do not fit.
        OutputError: a folder that cannot be written to.
        RuntimeChoiceError: fast embeddings on a machine that has none.
        KeyboardInterrupt: a signal to stop; the state of the run was saved before.
    """
    device = choose_device(config)
    with (
        torch.random.fork_rng(devices=[]),
        limited_threads(config.threads),
        join_processes(device) as processes,
    ):
        torch.manual_seed(config.seed)
        report = progress if progress is not None and processes.is_first else no_progress
        run = _Run(config, start, report, device=device, processes=processes)
        return run.run(resume=resume)


class _Run:
    """One call of `train`."""

    def __init__(
        self,
        config: TrainConfig,
        start: SegSam | None,
        progress: Progress,
        *,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.config = config
        self.processes = processes
        self.began = time.monotonic()
        self.progress = progress
        self.folder = Path(config.out)
        self.data = RunData.of(config)
        start = start or load_initial_model(config)
        self.parent = weights_id(start)
        if config.categories == "grown" and is_checkpoint(start):
            start = with_names(start, self.data.datasets)
        self.finds_already = start.config.dense_head and takes_all_weights(config, start)
        self.seen_before = start.card.categories_seen
        self.model = build_model(config, start, self.data.datasets).to(device)
        encoder = None
        if config.encoding == "fast":
            encoder = choose_runtime(self.model, "openvino", "fast", compare=False)
        embeddings = Path(config.embeddings) if config.embeddings else self.folder / "embeddings"
        self.store = EmbeddingStore(embeddings, self.model, encoder)
        self.state = TrainingState(
            self.model,
            build_optimiser(self.model, config),
            WeightAverage(self.model, config.weight_average),
        )
        self.gradients = SampleGradients(self.model, self.store, config)
        self.losses: list[float] = []

    def run(self, *, resume: bool) -> TrainReport:
        """Prepare the samples, train, validate and save."""
        done = self._begin(resume=resume)
        samples = self.data.samples(
            self.model, self.store, processes=self.processes, progress=self.progress
        )
        refuse_other_data(self.folder, samples, may_write=self.processes.is_first)
        held_out = spread_evenly(samples[VALIDATION], self.config.validation_slices)
        total = total_steps(self.config, len(samples[TRAIN]))
        tensorboard = self.config.tensorboard and self.processes.is_first
        log = TrainingLog(self.folder, after_step=done.step, tensorboard=tensorboard)
        with contextlib.closing(log), stop_requests() as request:
            done = self._learn(samples[TRAIN], held_out, log, done, total=total, request=request)
            with self.state.average.applied():
                return self._finish(done, samples, request)

    def _begin(self, *, resume: bool) -> RunProgress:
        """Write the files of a new run, or load the last checkpoint."""
        make_folder(self.folder)
        if resume:
            self.processes.wait()
            return restore_state(self.folder, self.state, self.config)
        refuse_other_run(self.folder / LOG)
        self.processes.wait()
        if self.processes.is_first:
            start_folder(self.folder, self.config, self.data.split)
            save_state(self.folder, self.state, RunProgress(), self.config)
        return RunProgress()

    def _learn(
        self,
        samples: Sequence[Sample],
        held_out: list[Sample],
        log: TrainingLog,
        done: RunProgress,
        *,
        total: int,
        request: StopRequest,
    ) -> RunProgress:
        """Do the remaining steps, until the last one or until validations stop improving."""
        config, first = self.config, done.step
        names, seed = dataset_names(samples), config.seed
        order = SliceOrder(names, seed=seed, balance=config.balance, shares=config.shares)
        began = time.monotonic()
        if done.is_validation_due:
            done = self._validate(held_out, log, done, request)
        while done.step < total and not self._has_stopped_improving(done):
            clock = time.monotonic()
            if 0 < 60 * config.minutes <= done.seconds:
                total = done.step + 1
            rates = set_learning_rates(self.state.optimiser, config, step=done.step, total=total)
            with self._saved_if_stopped(done, log):
                terms = self._step(samples, order, done.step, request)
            stops = terms.pop(_STOPS) > 0
            done = replace(done, step=done.step + 1)
            log.add_step(done.step, rates, terms)
            due = done.step == total or is_due(done.step, config.validate_every)
            if due:
                done = self._validate(held_out, log, done, request)
            done = replace(done, seconds=done.seconds + time.monotonic() - clock)
            if due or stops or is_due(done.step, config.checkpoint_every):
                self._save(done, log)
            if stops:
                raise KeyboardInterrupt
            left = (time.monotonic() - began) / (done.step - first) * (total - done.step)
            if config.minutes:
                left = min(left, max(0.0, 60 * config.minutes - done.seconds))
            what = f"loss {terms['total']:.3f}, {duration(left)} left"
            self.progress(done.step, total, what)
        return done

    def _has_stopped_improving(self, done: RunProgress) -> bool:
        return bool(self.config.patience) and done.misses >= self.config.patience

    def _save(self, done: RunProgress, log: TrainingLog) -> None:
        if self.processes.is_first:
            save_state(self.folder, self.state, done, self.config)
            log.flush()

    @contextlib.contextmanager
    def _saved_if_stopped(self, done: RunProgress, log: TrainingLog) -> Iterator[None]:
        """Save the state before the block if a signal stops the run within it: a step or a
        validation that takes long is begun anew when the run resumes.
        """
        random = torch.get_rng_state()
        buffers = [(one, one.clone()) for one in self.model.buffers()]
        try:
            yield
        except StoppedRun:
            torch.set_rng_state(random)
            for buffer, before in buffers:
                buffer.copy_(before)
            self._save(done, log)
            raise

    def _check_of(self, request: StopRequest) -> Callable[[], None]:
        """Return what raises `StoppedRun` after a signal; in a run of several processes nothing,
        because all of them must leave the loop after the same step.
        """
        return request.check if self.processes.world == 1 else _go_on

    def _step(
        self, samples: Sequence[Sample], order: SliceOrder, step: int, request: StopRequest
    ) -> dict[str, float]:
        """Do one step of the optimiser.

        Gradients are summed image by image, so that memory does not grow with the batch. A signal
        to stop ends a single process between two images. Of several it travels with the terms: all
        must leave the loop after the same step, or one would wait for the others forever.

        Returns:
            Every term of the loss, mean over the images of all processes, and the number of
            processes that received a signal to stop.
        """
        count, check = self.config.images_per_step, self._check_of(request)
        sums: dict[str, float] = {_STOPS: float(request.received)}
        self.state.optimiser.zero_grad(set_to_none=True)
        indices = order.indices(step * count, count)
        for place in self.processes.share(count):
            check()
            sample = samples[indices[place]]
            terms = self.gradients.add(sample, step=step, place=place, share=1 / count)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value / count
        trained = [one for one in self.model.parameters() if one.requires_grad]
        self.processes.sum_gradients(trained)
        sums = self.processes.sum_numbers(sums)
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(trained, self.config.clip_norm)
        self.state.optimiser.step()
        self.state.average.update()
        self.losses.append(sums["total"])
        return sums

    def _validate(
        self, held_out: list[Sample], log: TrainingLog, done: RunProgress, request: StopRequest
    ) -> RunProgress:
        """Validate in the first process, and save the averaged weights if they are the best."""
        done = replace(done, is_validation_due=False)
        if self.processes.is_first:
            with self._saved_if_stopped(replace(done, is_validation_due=True), log):
                done = self._select_best(held_out, log, done, self._check_of(request))
        shared: RunProgress = self.processes.from_first(done)
        return shared

    def _select_best(
        self,
        held_out: list[Sample],
        log: TrainingLog,
        done: RunProgress,
        check: Callable[[], None],
    ) -> RunProgress:
        with self.state.average.applied():
            metrics = validate(self.model, self.store, held_out, self.config, check=check)
            if not metrics:
                return done
            score = selection_score(metrics)
            log.add_validation(done.step, score, metrics)
            if score <= done.best_score:
                return replace(done, misses=done.misses + 1)
            save_best(self.folder, self.model)
        return replace(done, best_step=done.step, best_score=score, best_metrics=metrics, misses=0)

    def _finish(
        self, done: RunProgress, samples: Mapping[str, Sequence[Sample]], request: StopRequest
    ) -> TrainReport:
        """Write the checkpoint, of the best validation if there was one, with its dense head and
        its memory of examples, and the report.
        """
        encoded = self.processes.sum_numbers({"encoded": self.store.encoded})["encoded"]
        report = TrainReport(
            checkpoint=self.folder / MODEL,
            steps=done.step,
            slices={part: len(some) for part, some in samples.items()},
            encoded=round(encoded),
            first_loss=self.losses[0] if self.losses else None,
            last_loss=self.losses[-1] if self.losses else None,
            metrics=dict(done.best_metrics),
            seconds=time.monotonic() - self.began,
            training_seconds=done.seconds,
            best_step=done.best_step or done.step,
        )
        if self.processes.is_first:
            if done.best_step:
                load_best(self.folder, self.model)
            self._fit_names(samples[TRAIN])
            self._learn_to_find(samples[TRAIN], request)
            save_model(
                self.model,
                self.config,
                self.data.datasets,
                parent=self.parent,
                metrics=done.best_metrics,
                naming=naming_of_run(self.model, self.store, samples, self.config),
            )
            report.save(self.folder)
        self.processes.wait()
        return report

    def _fit_names(self, samples: Sequence[Sample]) -> None:
        """Fit the class weights of all names, if the run asks for it, or of those that the model
        had no example of before, unless its caller chooses the examples later.
        """
        new = new_numbers(self.model.categories.names, self.seen_before)
        if self.config.fit_classes == "all":
            fit_class_layer(self.model, self.store, samples, self.config)
        elif new and self.config.example_slices:
            fit_class_rows(self.model, self.store, samples, self.config, new)

    def _learn_to_find(self, samples: Sequence[Sample], request: StopRequest) -> None:
        """Train the dense head, if the run has steps for it; raises KeyboardInterrupt after a
        signal to stop.
        """
        if self.config.dense_steps:
            train_dense_head(
                self.model,
                self.store,
                samples,
                self.config,
                is_trained=self.finds_already,
                seen=self.seen_before,
                progress=self.progress,
                check=request.check,
            )


def _go_on() -> None:
    """Raise nothing."""
