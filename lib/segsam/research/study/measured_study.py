"""Study with its results: numbers by run, as mean and standard deviation over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsam.research.study.plan import Entry, Row, Study, TableName
from segsam.research.study.results import Result

_VARIANT_FIELDS = ("variant", "loss", "model")
"""Fields of a training that differ between variants trained in the same way."""


@dataclass(frozen=True)
class SeedMean:
    """Mean of a number over the seeds of a run."""

    mean: float
    std: float | None
    """Standard deviation over seeds; None for one seed."""
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> SeedMean | None:
        """Return mean and standard deviation; None without values."""
        if not values:
            return None
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), std, len(values))


@dataclass(frozen=True)
class MeasuredStudy:
    """Study and the results that are stored of it so far."""

    study: Study
    results: Mapping[str, Result]

    def results_of(self, run: str) -> list[Result]:
        """Return the stored results of a run, one per seed."""
        return [self.results[id] for id in self.study.ids_of(run) if id in self.results]

    def entry(self, run: str) -> Entry:
        """Return the first entry of a run."""
        return next(entry for entry in self.study.entries if entry.run == run)

    def is_current(self, run: str) -> bool:
        """Return True if the results of a run have the configuration that the study has now."""
        current = {entry.id: entry.fingerprint for entry in self.study.entries}
        return all(one.fingerprint == current[one.id] for one in self.results_of(run))

    def mean(self, run: str, value: Callable[[Result], float | None]) -> SeedMean | None:
        """Return a number of each result, averaged over the seeds; None if no result has it."""
        found = [value(result) for result in self.results_of(run)]
        return SeedMean.of([one for one in found if one is not None])

    def average(self, run: str, prompt: str, score: str) -> SeedMean | None:
        """Return a score averaged over the modalities."""
        return self.mean(run, lambda result: result.average(prompt, score))

    def modality_score(self, run: str, prompt: str, score: str, modality: str) -> SeedMean | None:
        """Return a score of one modality."""
        return self.mean(run, lambda result: result.modality_score(prompt, score, modality))

    def variant(self, run: str) -> str:
        """Return a name of `segsam.model.VARIANTS`; empty if SEG-SAM was not trained."""
        entry = self.entry(run)
        return str(entry.config.get("variant", "segsam")) if entry.kind == "train" else ""

    def partner(self, run: str, variant: str) -> str | None:
        """Return a run of another variant that was trained in the same way: all settings are equal
        but the variant, its loss and its model. A run with results is preferred.
        """
        common = _common_config(self.entry(run))
        found = [
            entry.run
            for entry in self.study.entries
            if entry.kind == "train"
            and self.variant(entry.run) == variant
            and _common_config(entry) == common
        ]
        return min(found, key=lambda one: not self.results_of(one)) if found else None

    def first(self, table: TableName, variant: str = "") -> Row | None:
        """Return the first row of a table, or its first row of a variant."""
        rows = self.study.rows_of(table)
        return next((row for row in rows if variant in ("", self.variant(row.run))), None)


def difference(first: SeedMean | None, second: SeedMean | None) -> SeedMean | None:
    """Return first - second with the standard deviation for independent numbers."""
    if first is None or second is None:
        return None
    std = None
    if first.std is not None and second.std is not None:
        std = (first.std**2 + second.std**2) ** 0.5
    return SeedMean(first.mean - second.mean, std, min(first.seeds, second.seeds))


def _common_config(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry.config.items() if name not in _VARIANT_FIELDS}
