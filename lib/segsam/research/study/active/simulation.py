"""Simulation of active learning: cases are chosen, their labels given to the model as an annotator
would, the model trains on them and is measured on held-out cases.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segsam.datasets.folder import Dataset, open_dataset
from segsam.datasets.labelled_slices import spread
from segsam.datasets.splits import TEST, TRAIN
from segsam.errors import StudyError
from segsam.model import SegSam
from segsam.proposals.overview import mean_embedding, overview
from segsam.proposals.selection import Case, Strategy, choose
from segsam.research.json_files import read_object
from segsam.research.study.active.plan import ActivePlan
from segsam.system.atomic import write_json
from segsam.system.folders import make_folder
from segsam.system.records import Record, Several
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.initial_model import build_model, load_initial_model
from segsam.training.optimiser import WeightAverage, build_optimiser
from segsam.training.sample_gradients import SampleGradients
from segsam.training.samples import Sample, choose_split, cut_case, dataset_classes
from segsam.training.sampling import SliceOrder
from segsam.training.schedule import set_learning_rates
from segsam.training.validation import spread_evenly, validate

Report = Callable[[str], None]


class CurvePoint(Record):
    """Scores in percent after one choice, and the cases that are labelled by then."""

    refusal: ClassVar[type[StudyError]] = StudyError

    size: int
    cases: Several[str]
    metrics: Mapping[str, float]


class Curve(Record):
    """Scores of one strategy with one seed."""

    refusal: ClassVar[type[StudyError]] = StudyError

    strategy: str
    seed: int
    fingerprint: str
    points: Several[CurvePoint]


def simulate(
    plan: ActivePlan,
    folders: Mapping[str, str],
    out: Path,
    embeddings: Path | None,
    *,
    report: Report,
    start: SegSam | None = None,
) -> list[Curve]:
    """Return every curve of the plan; those stored in `out` are not computed again.

    Args:
        plan: the simulation.
        folders: folders of the placeholders `{data}` and `{out}`.
        out: folder with one file per curve.
        embeddings: folder of stored embeddings; None for one in `out`.
        report: called with a line of text after each measurement.
        start: model with the host and categories to start from; None loads those of the plan.

    Raises:
        StudyError: fewer cases than the plan requires.
        TrainingError: data that the model cannot be trained on.
        OutputError: a folder that cannot be written to.
    """
    make_folder(out)
    curves: list[Curve] = []
    for seed in plan.seeds:
        stored = {name: _read_curve(out, plan, name, seed) for name in plan.strategies}
        missing = [name for name, curve in stored.items() if curve is None]
        if missing:
            config = plan.config(seed=seed, folders=folders)
            initial = load_initial_model(config) if start is None else copy.deepcopy(start)
            simulation = _Simulation(plan, config, embeddings, initial)
            for curve in simulation.curves(missing, report):
                stored[curve.strategy] = curve
                write_json(_curve_path(out, curve.strategy, seed), curve.model_dump())
        curves += [curve for curve in stored.values() if curve is not None]
    return curves


def _curve_path(out: Path, strategy: str, seed: int) -> Path:
    return out / f"{strategy}-s{seed}.json"


def _read_curve(out: Path, plan: ActivePlan, strategy: str, seed: int) -> Curve | None:
    """Return a stored curve; None if there is none. Raises StudyError for one of another plan."""
    path = _curve_path(out, strategy, seed)
    if not path.is_file():
        return None
    curve = Curve.model_validate(read_object(path, StudyError))
    if curve.fingerprint != plan.fingerprint:
        raise StudyError(f"{path.name} belongs to another plan; give another folder.")
    return curve


class _Simulation:
    """Simulation with one seed: the model, the cases to choose from, and the held-out slices."""

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
        self.embeddings = {case: self._embedding(samples) for case, samples in self.pool.items()}

    def curves(self, strategies: list[str], report: Report) -> Iterator[Curve]:
        """Yield the curve of each strategy; all start from the same model and cases."""
        rng = np.random.default_rng(self.seed)
        drawn = rng.permutation(len(self.pool))[: self.plan.sizes[0]]
        names = sorted(self.pool)
        first = tuple(sorted(names[index] for index in drawn))
        self._train(first, self.plan.first_steps, steps_before=0)
        start = self._weights()
        first_point = self._measure(first)
        report(f"seed {self.seed}, {len(first)} cases: {_scores_text(first_point)}")
        for strategy in strategies:
            self.model.load_state_dict(start)
            points, steps = [first_point], self.plan.first_steps
            for size in self.plan.sizes[1:]:
                cases = self._choose(cast("Strategy", strategy), points[-1].cases, size)
                self._train(cases, self.plan.steps, steps_before=steps)
                steps += self.plan.steps
                points.append(self._measure(cases))
                text = _scores_text(points[-1])
                report(f"seed {self.seed}, {strategy}, {size} cases: {text}")
            yield Curve(
                strategy=strategy,
                seed=self.seed,
                fingerprint=self.plan.fingerprint,
                points=tuple(points),
            )

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def _samples(self, dataset: Dataset, case: str, part: str) -> list[Sample]:
        classes = dataset_classes([dataset], self.model.categories)[dataset.name]
        side = self.model.host.facts.input_size
        return [
            Sample.of(one, dataset, classes, key=self.store.add(one.picture))
            for one in cut_case(self.config, dataset, case, part=part, input_size=side)
        ]

    def _examined(self, samples: list[Sample]) -> tuple[Sample, ...]:
        """Return the slices of a case that a strategy examines."""
        return spread(samples[len(samples) // 4 :], self.plan.looked_at)

    @torch.no_grad()
    def _embedding(self, samples: list[Sample]) -> NDArray[np.float32]:
        """Return the mean image embedding of a case, normalised."""
        side = self.model.host.facts.input_size
        means = [
            mean_embedding(self.store.features(one.key), _size_px(one), side)
            for one in self._examined(samples)
        ]
        mean = np.mean(means, axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _choose(self, strategy: Strategy, labelled: tuple[str, ...], size: int) -> tuple[str, ...]:
        """Return the labelled cases and as many more as are missing. The disagreement is that of
        the current model, computed once for all choices.
        """
        disagreement: dict[str, float | None] = {}
        if strategy in ("agreement", "mix"):
            unlabelled = (name for name in self.pool if name not in labelled)
            disagreement = {name: self._disagreement(name) for name in unlabelled}
        chosen = list(labelled)
        while len(chosen) < size:
            cases = [
                Case(name, name in chosen, disagreement.get(name), self.embeddings[name])
                for name in self.pool
            ]
            choice = choose(strategy, cases, seed=self.seed * 1000 + len(chosen))
            if choice is None:
                break
            chosen.append(choice.name)
        return tuple(chosen)

    def _disagreement(self, case: str) -> float | None:
        self.model.eval()
        samples = self._examined(self.pool[case])
        features = [lambda one=one: self.store.features(one.key) for one in samples]
        found = overview(self.model, features, _size_px(samples[0]), grid=self.plan.grid)
        self.model.train()
        return found.disagreement

    def _train(self, cases: tuple[str, ...], steps: int, *, steps_before: int) -> None:
        """Train on all slices of the cases, and keep the averaged weights."""
        samples = [one for case in cases for one in self.pool[case]]
        optimiser = build_optimiser(self.model, self.config)
        gradients = SampleGradients(self.model, self.store, self.config)
        order = SliceOrder([one.dataset for one in samples], seed=self.seed, balance=1.0)
        count = self.config.images_per_step
        trained = [one for one in self.model.parameters() if one.requires_grad]
        average = WeightAverage(self.model, self.config.weight_average)
        self.model.train()
        for step in range(steps):
            set_learning_rates(optimiser, self.config, step=step, total=steps)
            optimiser.zero_grad(set_to_none=True)
            for place, index in enumerate(order.indices(step * count, count)):
                gradients.add(
                    samples[index], step=steps_before + step, place=place, share=1 / count
                )
            if self.config.clip_norm:
                nn.utils.clip_grad_norm_(trained, self.config.clip_norm)
            optimiser.step()
            average.update()
        with average.applied():
            averaged = self._weights()
        self.model.load_state_dict(averaged)

    def _measure(self, cases: tuple[str, ...]) -> CurvePoint:
        metrics = validate(self.model, self.store, self.held_out, self.config)
        overall = {name: value for name, value in metrics.items() if "/" not in name}
        return CurvePoint(size=len(cases), cases=cases, metrics=overall)


def _size_px(sample: Sample) -> tuple[int, int]:
    return sample.labels.shape[0], sample.labels.shape[1]


def _scores_text(point: CurvePoint) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in point.metrics.items())
