"""Another image encoder taught to say what a host's own says of the same slices: no labels needed.

The student answers on a coarser grid than its teacher; it learns the average of the teacher's cells
in each of its own, as decoders on that grid see them (`GridReduction`). So the teacher's decoders
are its decoders from the start. Hinton et al., "Distilling the knowledge in a neural network"
(2015), in the form of feature regression (Romero et al., "FitNets", ICLR 2015).
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from segsam.datasets.labelled_slices import spread
from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import TrainingError
from segsam.model import Card, SegSam, find_variant, save_checkpoint
from segsam.system.atomic import write_bytes
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.optimising import WeightAverage, set_rates
from segsam.training.outcome import MODEL, REPORT
from segsam.training.pictures import Pictures, kept_pictures
from segsam.training.placing import chosen_device, mixed_precision, some_threads
from segsam.training.records import Records
from segsam.training.run_state import DAMAGE, LAST, check_config, make_folder, write_record
from segsam.training.sampling import Order
from segsam.training.schedule import is_due, total_steps
from segsam.training.source import Source
from segsam.training.starting import load_start
from segsam.training.stopping import StopRequest, stop_requests
from segsam.training.student import distance, student_of
from segsam.types import Progress


@dataclass(frozen=True)
class DistillReport:
    """What a distillation came to."""

    checkpoint: Path
    steps: int
    slices: Mapping[str, int]
    """Of training and validation."""
    unexplained: float
    """Share of the variance of the teacher's embedding that the student misses, mean over the
    validation slices; NaN without any."""
    unlike: float
    """1 minus the mean cosine between the student's and the teacher's cells, likewise."""
    seconds: float
    """Spent on steps, over all processes that worked on the run."""

    def to_json(self) -> str:
        """As it is kept with the run."""
        return json.dumps(asdict(self) | {"checkpoint": str(self.checkpoint)}, indent=1)


def distil(
    config: TrainConfig,
    *,
    student: str,
    resume: bool = False,
    start: SegSam | None = None,
    progress: Progress,
) -> DistillReport:
    """Teach the image encoder of the host `student` what that of `config.host` says.

    Of the run these are used: where the slices come from (data sets, split, limits, copies,
    embeddings, balance), out, host, steps or epochs, images_per_step, the rates with warm-up and
    halvings, weight_decay, weight_average, clip_norm, validation and checkpoint intervals, seed,
    precision, device and threads. The rest of the model is the teacher's.

    Args:
        config: the run.
        student: a name of `HOSTS`, of the same input size as the teacher.
        resume: go on from the run's last state.
        start: the teacher; loaded as `config.host` says by default.
        progress: called before the first and after each case that is prepared, and each step.

    Raises:
        TrainingError: data that cannot be used, a folder with another run, or nothing to resume.
        CheckpointError: a student whose grid or input does not go with the teacher's.
        KeyboardInterrupt: asked to stop; the state of the run was saved before.
    """
    with torch.random.fork_rng(devices=[]), some_threads(config.threads):
        torch.manual_seed(config.seed)
        teacher = start or load_start(config)
        return _Distillation(config, student, teacher, progress).all(resume=resume)


class _Distillation:
    """One call of `distil`."""

    def __init__(
        self, config: TrainConfig, student: str, teacher: SegSam, progress: Progress
    ) -> None:
        self.config = config
        self.progress = progress
        self.folder = Path(config.out)
        self.device = chosen_device(config)
        self.source = Source.of(config)
        teacher = teacher.to(self.device)
        self.parent = teacher.weights_id
        kept = Path(config.embeddings) if config.embeddings else self.folder / "embeddings"
        self.store = EmbeddingStore(kept, teacher)
        self.student = student_of(teacher, student).to(self.device)
        self.encoder = self.student.host.image_encoder
        self.optimiser = _optimiser(self.encoder, config)
        self.average = WeightAverage(self.encoder, config.weight_average)
        self.cells = teacher.host.facts.grid // self.student.host.facts.grid

    def all(self, *, resume: bool) -> DistillReport:
        """Prepare, learn, measure, save."""
        step, seconds = self._begin(resume=resume)
        size = self.student.host.facts.input_size
        pictures = kept_pictures(
            self.folder, self.source, self.store, input_size=size, progress=self.progress
        )
        total = total_steps(self.config, len(pictures.parts[TRAIN]))
        records = Records(self.folder, after_step=step, board=self.config.tensorboard)
        with contextlib.closing(records), stop_requests() as request:
            seconds = self._learn(
                pictures, records, first=step, total=total, before=seconds, request=request
            )
            found = self._validated(pictures)
            if step < total:
                _record(records, total, found)
        return self._finish(pictures, found, steps=total, seconds=seconds)

    def _begin(self, *, resume: bool) -> tuple[int, float]:
        """Steps done, and the seconds that they took."""
        make_folder(self.folder)
        path = self.folder / LAST
        if resume:
            return self._restored(path)
        if path.exists():
            raise TrainingError(
                f"There is a run in {self.folder.name} already: resume it, or name another folder."
            )
        write_bytes(self.folder / "config.json", self.config.to_json().encode())
        self.source.split.save(self.folder / "split.json")
        self._save(0, 0.0)
        return 0, 0.0

    def _learn(
        self,
        pictures: Pictures,
        records: Records,
        *,
        first: int,
        total: int,
        before: float,
        request: StopRequest,
    ) -> float:
        """The steps that are left; the seconds of all steps, `before` among them."""
        config, began = self.config, time.monotonic() - before
        places = pictures.parts[TRAIN]
        names = [pictures.datasets[place] for place in places]
        order = Order(names, seed=config.seed, balance=config.balance)
        for step in range(first, total):
            rates = set_rates(self.optimiser, config, step=step, total=total)
            chosen = order.places(step * config.images_per_step, config.images_per_step)
            terms = self._step(pictures, [places[one] for one in chosen])
            records.step(step + 1, rates, terms)
            done = step + 1
            if done < total and is_due(done, config.validate_every):
                _record(records, done, self._validated(pictures))
            if request.came or done == total or is_due(done, config.checkpoint_every):
                self._save(done, time.monotonic() - began)
                records.flush()
            if request.came:
                raise KeyboardInterrupt
            self.progress(done, total, f"unexplained {terms['unexplained']:.3f}")
        return time.monotonic() - began

    def _step(self, pictures: Pictures, places: Sequence[int]) -> dict[str, float]:
        self.optimiser.zero_grad(set_to_none=True)
        with mixed_precision(self.config, self.device):
            answer = self.encoder(self._images(pictures, places))
        terms = distance(answer.float(), self._wanted(pictures, places))
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.encoder.parameters(), self.config.clip_norm)
        self.optimiser.step()
        self.average.update()
        return {name: value.item() for name, value in terms.items()}

    def _images(self, pictures: Pictures, places: Sequence[int]) -> Tensor:
        prepare = self.student.host.prepare
        return torch.stack([prepare(pictures[place]) for place in places]).to(self.device)

    def _wanted(self, pictures: Pictures, places: Sequence[int]) -> Tensor:
        kept = [self.store.embedding(pictures.keys[place]) for place in places]
        return F.avg_pool2d(torch.cat(kept), self.cells)

    @torch.no_grad()
    def _validated(self, pictures: Pictures) -> dict[str, float]:
        """Mean over the validation slices of what is learnt; nothing where there are none."""
        held_out = spread(pictures.parts[VALIDATION], self.config.validation_slices)
        sums = {"unexplained": 0.0, "unlike": 0.0}
        self.encoder.eval()
        with self.average.applied():
            for place in held_out:
                answer = self.encoder(self._images(pictures, [place]))
                for name, value in distance(answer, self._wanted(pictures, [place])).items():
                    sums[name] += value.item() / len(held_out)
        self.encoder.train()
        return sums if held_out else {"unexplained": math.nan, "unlike": math.nan}

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

    def _restored(self, path: Path) -> tuple[int, float]:
        if not path.is_file():
            raise TrainingError(f"There is no {LAST} in {self.folder.name} to resume from.")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            check_config(state["config"], self.config, self.folder)
            self.encoder.load_state_dict(state["encoder"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.restore(state["average"])
            return int(state["step"]), float(state["seconds"])
        except DAMAGE as error:
            raise TrainingError(
                f"Cannot resume from {LAST} in {self.folder.name}: it is damaged or not of this "
                f"student ({type(error).__name__})."
            ) from error

    def _finish(
        self, pictures: Pictures, found: Mapping[str, float], *, steps: int, seconds: float
    ) -> DistillReport:
        """Write the checkpoint and the report."""
        with self.average.applied():
            semantics = self.student.semantic_decoder is not None
            card = Card(
                name=f"{self.student.variant or 'host'} on {self.student.host.facts.name}",
                semantic_is_trained=semantics and find_variant(self.student.variant).semantics,
                training_data=tuple(one.name for one in self.source.datasets),
                parent=self.parent,
                metrics={name: 100 * value for name, value in found.items()},
                seed=self.config.seed,
            )
            checkpoint = save_checkpoint(self.student, self.folder / MODEL, card)
        report = DistillReport(
            checkpoint=checkpoint,
            steps=steps,
            slices={part: len(places) for part, places in pictures.parts.items()},
            unexplained=found["unexplained"],
            unlike=found["unlike"],
            seconds=seconds,
        )
        write_bytes(self.folder / REPORT, (report.to_json() + "\n").encode())
        return report


def _optimiser(encoder: nn.Module, config: TrainConfig) -> optim.Optimizer:
    group = {"params": list(encoder.parameters()), "begins_at": config.learning_rate}
    return optim.AdamW(
        [group], lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def _record(records: Records, step: int, found: Mapping[str, float]) -> None:
    records.validation(step, 100 * (1 - found["unexplained"]), found)
    records.flush()
