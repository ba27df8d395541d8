"""Training: slices in, a checkpoint of a variant out; stopped anywhere, it goes on as if not.

Which slices a step sees and how they are prompted follows from the seed and the step's number, so
nothing of it needs to be kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import optim

from segsam.atomic import write_bytes
from segsam.datasets.cutting import slices_of
from segsam.datasets.folder import Dataset, class_numbers, open_dataset
from segsam.datasets.splits import TRAIN, VALIDATION, split_cases
from segsam.errors import OutputError, TrainingError
from segsam.model import (
    Card,
    PromptTensors,
    SegSam,
    build_variant,
    find_variant,
    load_pretrained,
    save_checkpoint,
)
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.losses import Losses, segsam_loss
from segsam.training.run_state import LOG, StepLog, restore_state, save_state
from segsam.training.simulation import box_prompts, point_prompts
from segsam.training.targets import AnnotatedImage, build_targets
from segsam.training.validation import NO_STEP, Sample, validate
from segsam.types import Progress


@dataclass(frozen=True)
class TrainReport:
    """What a run came to; `metrics` in percent."""

    checkpoint: Path
    steps: int
    slices: Mapping[str, int]
    """Of training and validation."""
    encoded: int
    first_loss: float | None
    """None, as the last, when nothing was left to do."""
    last_loss: float | None
    metrics: Mapping[str, float]
    seconds: float


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
        progress: called before the first and after each slice that is prepared, and each step,
            with what is left to wait for.

    Raises:
        TrainingError, CategoryError, VolumeError: data that cannot be trained on.
        TrainingError: a folder with another run and no `resume`, or nothing to resume.
        CheckpointError: host and variant that do not go together.
        OutputError: a folder that cannot be written to.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return _Run(config, start, progress or _silent).all(resume=resume)


class _Run:
    """One call of `train`."""

    def __init__(self, config: TrainConfig, start: SegSam | None, progress: Progress) -> None:
        self.config = config
        self.began = time.monotonic()
        self.progress = progress
        self.folder = Path(config.out)
        start = start or load_pretrained(config.host, adapt=config.adapt)
        self.datasets = [open_dataset(path) for path in config.datasets]
        self.parent = start.weights_id
        self.model = build_variant(
            config.variant, start.host, start.categories, head=config.head
        ).train()
        self.weights = config.loss_weights()
        kept = Path(config.embeddings) if config.embeddings else self.folder / "embeddings"
        self.store = EmbeddingStore(kept, self.model)
        learning = [one for one in self.model.parameters() if one.requires_grad]
        self.optimiser = optim.Adam(learning, lr=config.learning_rate)

    def all(self, *, resume: bool) -> TrainReport:
        """Prepare, learn, measure, save."""
        done = self._begin(resume=resume)
        samples = self._prepare()
        total = self._steps(len(samples["train"]))
        log = StepLog(self.folder / LOG, done)
        losses = self._learn(samples["train"], log, done, total)
        metrics = validate(self.model, self.store, samples["validation"], self.config)
        return TrainReport(
            checkpoint=self._save(metrics),
            steps=total,
            slices={part: len(slices) for part, slices in samples.items()},
            encoded=self.store.encoded,
            first_loss=losses[0] if losses else None,
            last_loss=losses[-1] if losses else None,
            metrics=metrics,
            seconds=time.monotonic() - self.began,
        )

    def _begin(self, *, resume: bool) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot write to {self.folder.name}: {error.strerror}.") from error
        if resume:
            return restore_state(self.folder, self.model, self.optimiser, self.config)
        if (self.folder / LOG).exists():
            raise TrainingError(
                f"There is a run in {self.folder.name} already: resume it, or name another folder."
            )
        write_bytes(self.folder / "config.json", self.config.to_json().encode())
        save_state(self.folder, 0, self.model, self.optimiser, self.config)
        return 0

    def _prepare(self) -> dict[str, list[Sample]]:
        """Cut all volumes, encode what was not encoded before, keep the split with the run."""
        config = self.config
        split = split_cases(
            self.datasets,
            shares={VALIDATION: config.validation_share},
            seed=config.seed,
            pattern=config.patient,
        )
        split.save(self.folder / "split.json")
        samples: dict[str, list[Sample]] = {TRAIN: [], VALIDATION: []}
        for number, dataset in enumerate(self.datasets):
            self.progress(number, len(self.datasets), f"preparing {dataset.name}")
            for part, found in samples.items():
                for case in split.cases(part, dataset.name):
                    found += self._samples(dataset, case)
        if not samples["train"]:
            raise TrainingError("No slice to train on holds an object of 0.153 % or more of it.")
        return samples

    def _samples(self, dataset: Dataset, case: str) -> Iterator[Sample]:
        classes = class_numbers(dataset, self.model.categories)
        side, limit = self.model.host.facts.input_size, self.config.slices_per_volume
        self.model.eval()
        for one in slices_of(dataset, case, input_size=side, limit=limit):
            yield Sample(self.store.add(one.picture), one.labels, one.prompted, classes)
        self.model.train()

    def _steps(self, slices: int) -> int:
        if self.config.steps:
            return self.config.steps
        return max(1, round(self.config.epochs * slices / self.config.images_per_step))

    def _learn(self, samples: list[Sample], log: StepLog, done: int, total: int) -> list[float]:
        """The steps from `done` on; the loss of each."""
        losses: list[float] = []
        began = time.monotonic()
        for step in range(done, total):
            rate = self._set_rate(step / total)
            terms = self._step(samples, step)
            losses.append(terms["total"])
            log.add(step + 1, rate, terms)
            if (step + 1) % self.config.checkpoint_every == 0 or step + 1 == total:
                save_state(self.folder, step + 1, self.model, self.optimiser, self.config)
                log.flush()
            left = (time.monotonic() - began) / (step + 1 - done) * (total - step - 1)
            self.progress(step + 1, total, f"loss {terms['total']:.3f}, {left:.0f} s left")
        return losses

    def _set_rate(self, fraction: float) -> float:
        halvings = sum(fraction >= at for at in self.config.halve_at)
        rate = self.config.learning_rate * 0.5**halvings
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def _step(self, samples: list[Sample], step: int) -> dict[str, float]:
        """One step of the optimiser; every term of its loss, mean over the images.

        Gradients are gathered image by image, so that memory does not grow with the batch.

        Raises:
            TrainingError: a loss that is no number.
        """
        rng = np.random.default_rng([self.config.seed, step])
        places = self._places(len(samples), step)
        sums: dict[str, float] = {}
        self.optimiser.zero_grad(set_to_none=True)
        for place in places:
            losses = self._losses(samples[place], rng)
            if not torch.isfinite(losses.total):
                raise TrainingError(f"The loss of step {step + 1} is {float(losses.total)}.")
            (losses.total / len(places)).backward()  # type: ignore[no-untyped-call]
            for name, value in losses.numbers().items():
                sums[name] = sums.get(name, 0.0) + value / len(places)
        self.optimiser.step()
        return sums

    def _losses(self, sample: Sample, rng: np.random.Generator) -> Losses:
        """Of one slice with objects and prompts drawn anew."""
        image, chosen = self._draw(sample, rng)
        prompts = self._prompts(image, chosen, sample.labels.shape, rng)
        decoded = self.model.decode_batch(self.store.features(sample.key), prompts)
        targets = build_targets([image], [chosen], self.model.config)
        return segsam_loss(decoded, targets, self.weights, self.model.config)

    def _places(self, slices: int, step: int) -> list[int]:
        """Which slices a step sees: every slice once an epoch, in an order of that epoch's own."""
        first = step * self.config.images_per_step
        places = []
        for position in range(first, first + self.config.images_per_step):
            epoch, place = divmod(position, slices)
            order = np.random.default_rng([self.config.seed, NO_STEP, epoch])
            places.append(int(order.permutation(slices)[place]))
        return places

    def _draw(self, sample: Sample, rng: np.random.Generator) -> tuple[AnnotatedImage, list[int]]:
        """The slice's targets, and which of its objects are prompted, with replacement."""
        image, values = sample.annotated(self.model)
        large = [values.index(value) for value in sample.prompted]
        return image, rng.choice(large, self.config.prompts_per_image).tolist()

    def _prompts(
        self,
        image: AnnotatedImage,
        chosen: list[int],
        size_px: tuple[int, ...],
        rng: np.random.Generator,
    ) -> PromptTensors:
        masks = [image.masks[index].numpy() for index in chosen]
        if rng.random() < self.config.point_share:
            return point_prompts(masks, rng, self.config.points)
        return box_prompts(masks, rng, self.config.jitter_px, (size_px[0], size_px[1]))

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
        return save_checkpoint(self.model, self.folder / "model.safetensors", card)


def _silent(done: int, total: int, what: str) -> None:
    """Nobody wants to know."""
