"""What is kept of a run: one small JSON file, from which the report is made without any data.

Folders of the machine are put back to `{data}`, `{embeddings}` and `{out}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from segsam.errors import OutputError, StudyError
from segsam.system.atomic import write_bytes
from segsam.training.config import TrainConfig

FORMAT = 1
_PLACES = 6
"""Digits after the point of what is stored."""


@dataclass(frozen=True)
class Result:
    """A run with one seed, as far as it was measured."""

    id: str
    run: str
    kind: str
    seed: int | None
    fingerprint: str
    """Of the entry that it belongs to; another one means another run."""
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Where it ran: commit, machine, threads, split."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What `segsam train` reports, or a network's own report; empty for a checkpoint."""
    cost: Mapping[str, Any] = field(default_factory=dict)
    """Parameters and time for a prompt."""
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By prompt (box, point, none), as `segsam evaluate --json` writes them."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """Of the confidence, and objects by agreement and Dice: see `calibration`."""

    def average(self, prompt: str, score: str) -> float | None:
        """Mean over the modalities in percent, or None where it was not measured."""
        return number(self.evaluations.get(prompt, {}).get("average", {}).get(score))

    def interval(self, prompt: str, score: str) -> tuple[float, float] | None:
        """The 95 % interval of the average over patients, in percent, or None."""
        ends = self.evaluations.get(prompt, {}).get("average", {}).get(f"{score}_95")
        return None if not ends else (float(ends[0]), float(ends[1]))

    def of_modality(self, prompt: str, score: str, modality: str) -> float | None:
        """Of one modality in percent, or None."""
        modalities = self.evaluations.get(prompt, {}).get("modalities", {})
        return number(modalities.get(modality, {}).get(score))

    def of_dataset(self, prompt: str, score: str, dataset: str) -> float | None:
        """Of one data set in percent, or None."""
        datasets = self.evaluations.get(prompt, {}).get("datasets", {})
        return number(datasets.get(dataset, {}).get(score))

    @property
    def steps(self) -> int | None:
        """Steps of training, or None where there was none."""
        steps = self.training.get("steps")
        return None if steps is None else int(steps)

    @property
    def seconds(self) -> float | None:
        """Spent on steps, over all processes that worked on the run."""
        return number(self.training.get("training_seconds"))

    @property
    def seconds_per_step(self) -> float | None:
        """Mean over the run."""
        return self.seconds / self.steps if self.steps and self.seconds is not None else None

    @property
    def minutes_an_epoch(self) -> float | None:
        """For all training slices once, embeddings kept, or None where there was no training."""
        slices = number(self.training.get("slices", {}).get("train"))
        default = TrainConfig.model_fields["images_per_step"].default
        images = number(self.config.get("images_per_step", default))
        if self.seconds_per_step is None or not slices or not images:
            return None
        return self.seconds_per_step * slices / images / 60

    @property
    def ms_per_prompt(self) -> float | None:
        """On a slice that is encoded."""
        return number(self.cost.get("ms_per_prompt"))

    @property
    def trained_parameters_in_millions(self) -> float | None:
        """All but the image encoder's."""
        count = number(self.cost.get("decoder_parameters"))
        return None if count is None else count / 1e6

    def save(self, folder: Path) -> Path:
        """Write `<id>.json`, whole or not at all, if it is not there already as it is.

        Raises:
            OutputError: a folder that cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error
        path = folder / f"{self.id}.json"
        content = {"format": FORMAT} | rounded(asdict(self))
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_bytes(path, text.encode())
        return path


def load_results(folder: Path) -> dict[str, Result]:
    """All results of a folder by their id; none where there is no folder.

    Raises:
        StudyError: a file that is no result.
    """
    found = [_load(path) for path in sorted(folder.glob("*.json"))]
    return {result.id: result for result in found}


def number(value: object) -> float | None:
    """A stored number; None for anything else."""
    return float(value) if isinstance(value, (int, float)) else None


def rounded(value: Any) -> Any:
    """Plain values with fractions shortened, so that files stay small and readable."""
    if isinstance(value, float):
        return round(value, _PLACES)
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def unfolded(value: Any, folders: Mapping[str, str]) -> Any:
    """Plain values with each folder replaced by `{name}` in every text; undoes `plan.expanded`."""
    if isinstance(value, str):
        longest_first = sorted(folders.items(), key=lambda item: -len(item[1]))
        for name, folder in longest_first:
            value = value.replace(folder, f"{{{name}}}")
        return value
    if isinstance(value, Mapping):
        return {key: unfolded(item, folders) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [unfolded(item, folders) for item in value]
    return value


def _load(path: Path) -> Result:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"Cannot read the result {path.name}: {error}.") from error
    known = {entry.name for entry in fields(Result)}
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise StudyError(f"Expected a result of format {FORMAT} in {path.name}.")
    wrong = sorted(known ^ set(record))
    if wrong:
        raise StudyError(f"Missing or unknown in the result {path.name}: {', '.join(wrong)}.")
    return Result(**record)
