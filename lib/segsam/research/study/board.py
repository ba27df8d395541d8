"""Results seen through the study: numbers by run, as mean and spread over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsam.research.study.plan import Entry, Row, Study, TableName
from segsam.research.study.results import Result

_OWN = ("variant", "loss", "model")
"""Fields of a training run that belong to a variant."""


@dataclass(frozen=True)
class Figure:
    """A measured number over the seeds of a run."""

    mean: float
    spread: float | None
    """Standard deviation over seeds; None for one seed."""
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure | None:
        """None for no value."""
        if not values:
            return None
        spread = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), spread, len(values))


@dataclass(frozen=True)
class Board:
    """A study and what was measured of it so far."""

    study: Study
    results: Mapping[str, Result]

    def of(self, run: str) -> list[Result]:
        """The results of a run, one a seed, as far as they are there."""
        return [self.results[id] for id in self.study.ids_of(run) if id in self.results]

    def entry(self, run: str) -> Entry:
        """The first entry of a run."""
        return next(entry for entry in self.study.entries if entry.run == run)

    def is_current(self, run: str) -> bool:
        """Whether what was measured of a run is what the study says of it now."""
        wanted = {entry.id: entry.fingerprint for entry in self.study.entries}
        return all(one.fingerprint == wanted[one.id] for one in self.of(run))

    def config(self, run: str) -> Mapping[str, Any]:
        """What the run was configured with beyond the defaults; empty for a checkpoint."""
        return self.entry(run).config

    def figure(self, run: str, value: Callable[[Result], float | None]) -> Figure | None:
        """A number of each result, over the seeds; None where none has it."""
        found = [value(result) for result in self.of(run)]
        return Figure.of([one for one in found if one is not None])

    def average(self, run: str, prompt: str, score: str) -> Figure | None:
        """Mean over modalities."""
        return self.figure(run, lambda result: result.average(prompt, score))

    def of_modality(self, run: str, prompt: str, score: str, modality: str) -> Figure | None:
        """Of one modality."""
        return self.figure(run, lambda result: result.of_modality(prompt, score, modality))

    def variant(self, run: str) -> str:
        """A name of `segsam.model.VARIANTS`; empty where nothing of ours was trained."""
        entry = self.entry(run)
        return str(entry.config.get("variant", "segsam")) if entry.kind == "train" else ""

    def partner(self, run: str, variant: str) -> str | None:
        """A run of another variant that is trained in the same way: all that is configured is
        equal but the variant, its loss and choices of its model. Those that were measured come
        first.
        """
        wanted = _without_variant(self.config(run))
        found = [
            entry.run
            for entry in self.study.entries
            if entry.kind == "train"
            and self.variant(entry.run) == variant
            and _without_variant(entry.config) == wanted
        ]
        return min(found, key=lambda one: not self.of(one)) if found else None

    def first(self, table: TableName, variant: str = "") -> Row | None:
        """The first row of a table, of a variant if one is named."""
        rows = self.study.rows_of(table)
        return next((row for row in rows if variant in ("", self.variant(row.run))), None)


def difference(first: Figure | None, second: Figure | None) -> Figure | None:
    """first - second; the spread is that of a difference of independent numbers."""
    if first is None or second is None:
        return None
    spread = None
    if first.spread is not None and second.spread is not None:
        spread = (first.spread**2 + second.spread**2) ** 0.5
    return Figure(first.mean - second.mean, spread, min(first.seeds, second.seeds))


def _without_variant(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _OWN}
