"""Distillation of a host's image encoder into a faster one; no labels are needed.

The student works on a coarser grid than its teacher. In each of its cells it learns the average of
the teacher's cells, as decoders on that grid receive them (`GridReduction`), so it can use the
teacher's decoders from the start. Hinton et al., "Distilling the knowledge in a neural network"
(2015), in the form of feature regression (Romero et al., "FitNets", ICLR 2015).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from segsam.datasets.labelled_slices import spread
from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.model import Card, SegSam, find_variant, save_checkpoint
from segsam.model.digests import weights_id
from segsam.system.folders import make_folder
from segsam.training.config import TrainConfig
from segsam.training.devices import choose_device, limited_threads, mixed_precision
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.initial_model import load_initial_model
from segsam.training.logs import TrainingLog
from segsam.training.optimiser import WeightAverage
from segsam.training.reports import MODEL, RunReport
from segsam.training.run_data import RunData
from segsam.training.run_state import (
    LAST,
    last_record,
    refuse_other_run,
    start_folder,
    write_record,
)
from segsam.training.sampling import SliceOrder
from segsam.training.schedule import is_due, set_learning_rates, total_steps
from segsam.training.slice_images import SliceImages, cut_slice_images
from segsam.training.stop_signals import StopRequest, stop_requests
from segsam.training.student import build_student, embedding_distance
from segsam.types import Progress


@dataclass(frozen=True)
class DistillReport(RunReport):
    """Result of a distillation."""

    unexplained: float
    """Share of the variance of the teacher's embedding that the student misses, mean over the
    validation slices; NaN without any."""
    unlike: float
    """1 minus the mean cosine between the student's and the teacher's cells, likewise."""
    seconds: float
    """Time of the steps, over all processes that worked on the run."""


def distil(
    config: TrainConfig,
    *,
    student: str,
    resume: bool = False,
    start: SegSam | None = None,
    progress: Progress,
) -> DistillReport:
    """Train the image encoder of the host `student` to give the embeddings of `config.host`.

    These fields of the run are used: the choice of slices (data sets, split, limits, copies,
    embeddings, balance), out, host, steps or epochs, images_per_step, the rates with warm-up and
    halvings, weight_decay, weight_average, clip_norm, validation and checkpoint intervals, seed,
    precision, device and threads. The rest of the model is the teacher's.

    Args:
        config: the run.
        student: a name of `HOSTS`, of the same input size as the teacher.
        resume: continue from the run's last state.
        start: the teacher; loaded as `config.host` names by default.
        progress: called before the first and after each case that is prepared, and each step.

    Raises:
        TrainingError: data that cannot be used, a folder with another run, or nothing to resume.
        CheckpointError: a student whose grid or input does not fit the teacher's.
        KeyboardInterrupt: a signal to stop; the state of the run was saved before.
    """
    with torch.random.fork_rng(devices=[]), limited_threads(config.threads):
        torch.manual_seed(config.seed)
        teacher = start or load_initial_model(config)
        return _Distillation(config, student, teacher, progress).run(resume=resume)


class _Distillation:
    """One call of `distil`."""

    def __init__(
        self, config: TrainConfig, student: str, teacher: SegSam, progress: Progress
    ) -> None:
        self.config = config
        self.progress = progress
        self.folder = Path(config.out)
        self.device = choose_device(config)
        self.data = RunData.of(config)
        teacher = teacher.to(self.device)
        self.parent = weights_id(teacher)
        embeddings = Path(config.embeddings) if config.embeddings else self.folder / "embeddings"
        self.store = EmbeddingStore(embeddings, teacher)
        self.student = build_student(teacher, student).to(self.device)
        self.encoder = self.student.host.image_encoder
        self.optimiser = _optimiser(self.encoder, config)
        self.average = WeightAverage(self.encoder, config.weight_average)
        self.cells = teacher.host.facts.grid // self.student.host.facts.grid

    def run(self, *, resume: bool) -> DistillReport:
        """Prepare the slices, train, validate and save."""
        make_folder(self.folder)
        step, seconds = self._restored() if resume else self._started()
        size = self.student.host.facts.input_size
        images = cut_slice_images(
            self.folder, self.data, self.store, input_size=size, progress=self.progress
        )
        total = total_steps(self.config, len(images.parts[TRAIN]))
        log = TrainingLog(self.folder, after_step=step, tensorboard=self.config.tensorboard)
        with contextlib.closing(log), stop_requests() as request:
            seconds = self._learn(
                images, log, first=step, total=total, before=seconds, request=request
            )
            metrics = self._validate(images)
            if step < total:
                _log_validation(log, total, metrics)
        return self._finish(images, metrics, steps=total, seconds=seconds)

    def _started(self) -> tuple[int, float]:
        """Write the files of a new run; no step is done in no time."""
        refuse_other_run(self.folder / LAST)
        start_folder(self.folder, self.config, self.data.split)
        self._save(0, 0.0)
        return 0, 0.0

    def _restored(self) -> tuple[int, float]:
        """Load the last state; return the steps done and the seconds that they took."""
        with last_record(self.folder, self.config) as record:
            self.encoder.load_state_dict(record["encoder"])
            self.optimiser.load_state_dict(record["optimiser"])
            self.average.restore(record["average"])
            return int(record["step"]), float(record["seconds"])

    def _learn(
        self,
        images: SliceImages,
        log: TrainingLog,
        *,
        first: int,
        total: int,
        before: float,
        request: StopRequest,
    ) -> float:
        """Do the remaining steps; return the seconds of all steps, `before` among them."""
        config, began = self.config, time.monotonic() - before
        indices = images.parts[TRAIN]
        names = [images.datasets[index] for index in indices]
        order = SliceOrder(names, seed=config.seed, balance=config.balance)
        for step in range(first, total):
            rates = set_learning_rates(self.optimiser, config, step=step, total=total)
            chosen = order.indices(step * config.images_per_step, config.images_per_step)
            terms = self._step(images, [indices[one] for one in chosen])
            log.add_step(step + 1, rates, terms)
            done = step + 1
            if done < total and is_due(done, config.validate_every):
                _log_validation(log, done, self._validate(images))
            if request.received or done == total or is_due(done, config.checkpoint_every):
                self._save(done, time.monotonic() - began)
                log.flush()
            if request.received:
                raise KeyboardInterrupt
            self.progress(done, total, f"unexplained {terms['unexplained']:.3f}")
        return time.monotonic() - began

    def _step(self, images: SliceImages, indices: Sequence[int]) -> dict[str, float]:
        self.optimiser.zero_grad(set_to_none=True)
        with mixed_precision(self.config, self.device):
            embedding = self.encoder(self._prepared(images, indices))
        terms = embedding_distance(embedding.float(), self._teachers(images, indices))
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.encoder.parameters(), self.config.clip_norm)
        self.optimiser.step()
        self.average.update()
        return {name: value.item() for name, value in terms.items()}

    def _prepared(self, images: SliceImages, indices: Sequence[int]) -> Tensor:
        prepare = self.student.host.prepare
        return torch.stack([prepare(images[index]) for index in indices]).to(self.device)

    def _teachers(self, images: SliceImages, indices: Sequence[int]) -> Tensor:
        """Return the teacher's embeddings, averaged to the student's grid."""
        stored = [self.store.embedding(images.keys[index]) for index in indices]
        return F.avg_pool2d(torch.cat(stored), self.cells)

    @torch.no_grad()
    def _validate(self, images: SliceImages) -> dict[str, float]:
        """Return the mean distance over the validation slices; NaN without any."""
        held_out = spread(images.parts[VALIDATION], self.config.validation_slices)
        sums = {"unexplained": 0.0, "unlike": 0.0}
        self.encoder.eval()
        with self.average.applied():
            for index in held_out:
                embedding = self.encoder(self._prepared(images, [index]))
                terms = embedding_distance(embedding, self._teachers(images, [index]))
                for name, value in terms.items():
                    sums[name] += value.item() / len(held_out)
        self.encoder.train()
        return sums if held_out else dict.fromkeys(sums, math.nan)

    def _save(self, step: int, seconds: float) -> None:
        """Write `last.pt`, whole or not at all."""
        record = {
            "config": self.config.to_json(),
            "encoder": self.encoder.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state(),
            "step": step,
            "seconds": seconds,
        }
        write_record(self.folder / LAST, record)

    def _finish(
        self, images: SliceImages, metrics: Mapping[str, float], *, steps: int, seconds: float
    ) -> DistillReport:
        """Write the checkpoint and the report."""
        with self.average.applied():
            semantics = self.student.semantic_decoder is not None
            card = Card(
                name=f"{self.student.card.variant or 'host'} on {self.student.host.facts.name}",
                semantic_is_trained=semantics and find_variant(self.student.card.variant).semantics,
                training_data=tuple(one.name for one in self.data.datasets),
                parent=self.parent,
                metrics={name: 100 * value for name, value in metrics.items()},
                seed=self.config.seed,
            )
            checkpoint = save_checkpoint(self.student, self.folder / MODEL, card)
        report = DistillReport(
            checkpoint=checkpoint,
            steps=steps,
            slices={part: len(indices) for part, indices in images.parts.items()},
            unexplained=metrics["unexplained"],
            unlike=metrics["unlike"],
            seconds=seconds,
        )
        report.save(self.folder)
        return report


def _optimiser(encoder: nn.Module, config: TrainConfig) -> optim.Optimizer:
    group = {"params": list(encoder.parameters()), "begins_at": config.learning_rate}
    return optim.AdamW(
        [group], lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def _log_validation(log: TrainingLog, step: int, metrics: Mapping[str, float]) -> None:
    log.add_validation(step, 100 * (1 - metrics["unexplained"]), metrics)
    log.flush()
