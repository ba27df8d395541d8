"""Results of the runs: one small JSON file for each, from which the report is made without data.

Folders of the machine are replaced by `{data}`, `{embeddings}` and `{out}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from segsam.research.study.stored import StoredRecord
from segsam.training.config import TrainConfig


class Result(StoredRecord):
    """Measurements of a run with one seed."""

    id: str
    run: str
    kind: str
    seed: int | None
    fingerprint: str = Field(description="Fingerprint of the entry that was run.")
    config: Mapping[str, Any]
    facts: Mapping[str, Any] = Field(description="Commit, machine, threads and split.")
    training: Mapping[str, Any] = Field(description="Report of the training; empty if none.")
    cost: Mapping[str, Any] = Field(description="Parameters, and time of a prompt.")
    evaluations: Mapping[str, Mapping[str, Any]] = Field(
        description="Output of `segsam evaluate --json` by prompt: box, point or none."
    )
    calibration: Mapping[str, Any] = Field(
        description="Output of `segsam calibrate --json`, with agreement and Dice of objects."
    )

    def average(self, prompt: str, score: str) -> float | None:
        """Return the mean over the modalities in percent; None if it was not measured."""
        return _number(self.evaluations.get(prompt, {}).get("average", {}).get(score))

    def interval(self, prompt: str, score: str) -> tuple[float, float] | None:
        """Return the 95 % interval of the average over patients, in percent; None without one."""
        ends = self.evaluations.get(prompt, {}).get("average", {}).get(f"{score}_95")
        return None if not ends else (float(ends[0]), float(ends[1]))

    def modality_score(self, prompt: str, score: str, modality: str) -> float | None:
        """Return a score of one modality in percent; None if it was not measured."""
        modalities = self.evaluations.get(prompt, {}).get("modalities", {})
        return _number(modalities.get(modality, {}).get(score))

    def dataset_score(self, prompt: str, score: str, dataset: str) -> float | None:
        """Return a score of one data set in percent; None if it was not measured."""
        datasets = self.evaluations.get(prompt, {}).get("datasets", {})
        return _number(datasets.get(dataset, {}).get(score))

    @property
    def steps(self) -> int | None:
        """Steps of the training; None without a training."""
        steps = self.training.get("steps")
        return None if steps is None else int(steps)

    @property
    def seconds(self) -> float | None:
        """Seconds of all steps, over all processes that worked on the run."""
        return _number(self.training.get("training_seconds"))

    @property
    def seconds_per_step(self) -> float | None:
        """Mean seconds per step."""
        return self.seconds / self.steps if self.steps and self.seconds is not None else None

    @property
    def minutes_per_epoch(self) -> float | None:
        """Minutes for all training slices once with stored embeddings; None without a training."""
        slices = _number(self.training.get("slices", {}).get("train"))
        default = TrainConfig.model_fields["images_per_step"].default
        images = _number(self.config.get("images_per_step", default))
        if self.seconds_per_step is None or not slices or not images:
            return None
        return self.seconds_per_step * slices / images / 60

    @property
    def ms_per_prompt(self) -> float | None:
        """Milliseconds of a prompt on an encoded slice."""
        return _number(self.cost.get("ms_per_prompt"))

    @property
    def trained_parameters_in_millions(self) -> float | None:
        """Parameters without those of the image encoder, in millions."""
        count = _number(self.cost.get("decoder_parameters"))
        return None if count is None else count / 1e6

    def save(self, folder: Path) -> Path:
        """Write `<id>.json` if its content changed; raises OutputError."""
        return self.write(folder / f"{self.id}.json")


def load_results(folder: Path) -> dict[str, Result]:
    """Return all results of a folder by id; empty without a folder.

    Raises:
        StudyError: a file that is not a result.
    """
    results = [Result.read(path) for path in sorted(folder.glob("*.json"))]
    return {result.id: result for result in results}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
