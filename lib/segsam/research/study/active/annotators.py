"""One curve: cases are chosen, their labels handed out as an annotator would, the model learns them
and is measured on cases that nobody may choose.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segsam.datasets.folder import Dataset, open_dataset
from segsam.datasets.labelled_slices import spread
from segsam.datasets.splits import TEST, TRAIN
from segsam.errors import OutputError, StudyError
from segsam.model import SegSam
from segsam.proposals.overview import mean_embedding, overview
from segsam.proposals.selection import Case, Strategy, choose
from segsam.research.study.active.plan import ActivePlan
from segsam.system.atomic import write_bytes
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.initial_model import build_model, load_initial_model
from segsam.training.optimiser import WeightAverage, build_optimiser
from segsam.training.sample_gradients import SampleGradients
from segsam.training.samples import Sample, choose_split, cut_case, dataset_classes
from segsam.training.sampling import SliceOrder
from segsam.training.schedule import set_learning_rates
from segsam.training.validation import spread_evenly, validate

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """After one choice: how many cases are labelled, which, and the scores in percent."""

    size: int
    cases: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """One strategy with one seed."""

    strategy: str
    seed: int
    fingerprint: str
    points: tuple[Measured, ...]

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Curve:
        """What `to_json` gave; raises LookupError or TypeError for anything else."""
        points = tuple(
            Measured(one["size"], tuple(one["cases"]), dict(one["metrics"]))
            for one in record["points"]
        )
        return cls(record["strategy"], record["seed"], record["fingerprint"], points)


def simulate(
    plan: ActivePlan,
    folders: Mapping[str, str],
    out: Path,
    embeddings: Path | None,
    *,
    tell: Tell,
    start: SegSam | None = None,
) -> list[Curve]:
    """Every curve of the plan; what stands in `out` already is not done again.

    Args:
        plan: what is simulated.
        folders: what `{data}` and `{out}` stand for in it.
        out: a folder of one file for each curve.
        embeddings: a folder of kept embeddings; one in `out` by default.
        tell: called with a line for people after each measurement.
        start: whose host and categories to begin with; loaded as the plan says by default.

    Raises:
        StudyError: more cases wanted than there are.
        TrainingError: data that cannot be learnt from.
        OutputError: a folder that cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {out.name}: {error.strerror}.") from error
    curves: list[Curve] = []
    for seed in plan.seeds:
        kept = {name: _kept(out, plan, name, seed) for name in plan.strategies}
        missing = [name for name, curve in kept.items() if curve is None]
        if missing:
            config = plan.config(seed=seed, folders=folders)
            begun = load_initial_model(config) if start is None else copy.deepcopy(start)
            bench = _Bench(plan, config, embeddings, begun)
            for name, curve in bench.curves(missing, tell):
                kept[name] = curve
                path = out / f"{name}-s{seed}.json"
                write_bytes(path, (json.dumps(curve.to_json(), indent=1) + "\n").encode())
        curves += [curve for curve in kept.values() if curve is not None]
    return curves


def _kept(out: Path, plan: ActivePlan, strategy: str, seed: int) -> Curve | None:
    path = out / f"{strategy}-s{seed}.json"
    if not path.is_file():
        return None
    try:
        curve = Curve.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StudyError(f"Cannot read the curve {path.name}: {error}.") from error
    if curve.fingerprint != plan.fingerprint:
        raise StudyError(f"{path.name} is of another plan; take another folder.")
    return curve


class _Bench:
    """One seed: the model, the pool with its places, and what is held out."""

    def __init__(
        self, plan: ActivePlan, config: TrainConfig, embeddings: Path | None, start: SegSam
    ) -> None:
        self.plan, self.config, self.seed = plan, config, config.seed
        dataset = open_dataset(config.datasets[0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = build_model(config, start, [dataset])
        self.model = model.with_card(replace(model.card, semantic_is_trained=True))
        self.store = EmbeddingStore(embeddings or Path(config.out) / "kept", self.model)
        split = choose_split(config, [dataset])
        pool = spread(split.cases(TRAIN, dataset.name), plan.pool)
        if len(pool) < plan.sizes[-1]:
            raise StudyError(f"Expected {plan.sizes[-1]} cases to choose from, got {len(pool)}.")
        self.pool = {case: self._samples(dataset, case, TRAIN) for case in pool}
        held_out = [
            one
            for case in split.cases(TEST, dataset.name)
            for one in self._samples(dataset, case, TEST)
        ]
        self.held_out = spread_evenly(held_out, plan.held_out or len(held_out))
        self.places = {case: self._place(samples) for case, samples in self.pool.items()}

    def curves(self, strategies: list[str], tell: Tell) -> Iterator[tuple[str, Curve]]:
        """Each from the same beginning."""
        rng = np.random.default_rng(self.seed)
        drawn = rng.permutation(len(self.pool))[: self.plan.sizes[0]]
        names = sorted(self.pool)
        first = tuple(sorted(names[place] for place in drawn))
        self._learn(first, self.plan.first_steps, begun=0)
        start = {name: value.clone() for name, value in self.model.state_dict().items()}
        begin = self._measured(first)
        tell(f"seed {self.seed}, {len(first)} cases: {_told(begin)}")
        for strategy in strategies:
            self.model.load_state_dict(start)
            points, steps = [begin], self.plan.first_steps
            for size in self.plan.sizes[1:]:
                chosen = self._chosen(cast("Strategy", strategy), points[-1].cases, size)
                self._learn(chosen, self.plan.steps, begun=steps)
                steps += self.plan.steps
                points.append(self._measured(chosen))
                tell(f"seed {self.seed}, {strategy}, {size} cases: {_told(points[-1])}")
            yield strategy, Curve(strategy, self.seed, self.plan.fingerprint, tuple(points))

    def _samples(self, dataset: Dataset, case: str, part: str) -> list[Sample]:
        classes = dataset_classes([dataset], self.model.categories)[dataset.name]
        side = self.model.host.facts.input_size
        return [
            Sample.of(one, dataset, classes, key=self.store.add(one.picture))
            for one in cut_case(self.config, dataset, case, part=part, input_size=side)
        ]

    def _looked_at(self, samples: list[Sample]) -> tuple[Sample, ...]:
        return spread(samples[len(samples) // 4 :], self.plan.looked_at)

    @torch.no_grad()
    def _place(self, samples: list[Sample]) -> NDArray[np.float32]:
        side = self.model.host.facts.input_size
        means = [
            mean_embedding(self.store.features(one.key), _size(one), side)
            for one in self._looked_at(samples)
        ]
        mean = np.mean(means, axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _chosen(self, strategy: Strategy, labelled: tuple[str, ...], size: int) -> tuple[str, ...]:
        """The labelled cases and as many more as are missing; doubts are of the model as it is."""
        doubts: dict[str, float | None] = {}
        if strategy in ("agreement", "mix"):
            doubts = {name: self._doubt(name) for name in self.pool if name not in labelled}
        chosen = list(labelled)
        while len(chosen) < size:
            cases = [
                Case(name, name in chosen, doubts.get(name), self.places[name])
                for name in self.pool
            ]
            choice = choose(strategy, cases, seed=self.seed * 1000 + len(chosen))
            if choice is None:
                break
            chosen.append(choice.name)
        return tuple(chosen)

    def _doubt(self, case: str) -> float | None:
        self.model.eval()
        samples = self._looked_at(self.pool[case])
        asked = [lambda one=one: self.store.features(one.key) for one in samples]
        found = overview(self.model, asked, _size(samples[0]), grid=self.plan.grid)
        self.model.train()
        return found.disagreement

    def _learn(self, cases: tuple[str, ...], steps: int, *, begun: int) -> None:
        samples = [one for case in cases for one in self.pool[case]]
        optimiser = build_optimiser(self.model, self.config)
        gradients = SampleGradients(self.model, self.store, self.config)
        order = SliceOrder([one.dataset for one in samples], seed=self.seed, balance=1.0)
        count = self.config.images_per_step
        learning = [one for one in self.model.parameters() if one.requires_grad]
        average = WeightAverage(self.model, self.config.weight_average)
        self.model.train()
        for step in range(steps):
            set_learning_rates(optimiser, self.config, step=step, total=steps)
            optimiser.zero_grad(set_to_none=True)
            for place, found in enumerate(order.indices(step * count, count)):
                gradients.add(samples[found], step=begun + step, place=place, share=1 / count)
            if self.config.clip_norm:
                nn.utils.clip_grad_norm_(learning, self.config.clip_norm)
            optimiser.step()
            average.update()
        with average.applied():
            evened = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(evened)

    def _measured(self, cases: tuple[str, ...]) -> Measured:
        metrics = validate(self.model, self.store, self.held_out, self.config)
        kept = {name: value for name, value in metrics.items() if "/" not in name}
        return Measured(len(cases), cases, kept)


def _size(sample: Sample) -> tuple[int, int]:
    return sample.labels.shape[0], sample.labels.shape[1]


def _told(point: Measured) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in point.metrics.items())
