"""What a run of a network without prompts is, read from YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import yaml

from segsam.errors import TrainingError
from segsam.training.typed import typed

NetworkName: TypeAlias = Literal["dynunet", "unetr"]
_LOWEST = {"seconds": 0, "steps": 0, "images_per_step": 1, "seed": 0, "balance": 0, "threads": 0}


@dataclass(frozen=True)
class UNetConfig:
    """One run: as many steps as fit into a time, on the slices that a promptable model learns
    from.
    """

    network: NetworkName
    datasets: tuple[str, ...]
    """Folders with dataset.json, images/ and labels/."""
    split: str
    """A file of cases by part; `train` is learnt from."""
    out: str
    """The folder of the run."""
    seconds: float = 600.0
    """Of steps alone: cutting slices before and scoring after do not count."""
    steps: int = 0
    """At most so many steps; 0 for as many as there is time for."""
    images_per_step: int = 4
    seed: int = 0
    """Of the weights, of the order of slices, and of how they are varied."""
    balance: float = 0.5
    """Data sets are drawn in proportion to their slices to this power: 1 as they come, 0 alike."""
    slices_per_volume_of: Mapping[str, int] = field(default_factory=dict)
    """By data set, at most so many training slices of a volume; all where nothing is said."""
    threads: int = 0
    """Of the processor; 0 leaves them as they are."""
    part: str = "test"
    """Of the split, what is measured at the end."""
    slices: int = 0
    """At most so many slices of a volume are measured, evenly spread; 0 for all."""
    limit: int = 0
    """At most so many cases of a data set are measured, evenly spread; 0 for all."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            TrainingError: an unknown network, no data set, or a number out of its range.
        """
        if self.network not in get_args(NetworkName):
            names = " or ".join(get_args(NetworkName))
            raise TrainingError(f"Expected the network {names}, got {self.network!r}.")
        if not self.datasets:
            raise TrainingError("A run needs at least one folder in datasets.")
        for name, low in _LOWEST.items():
            if getattr(self, name) < low:
                raise TrainingError(f"Expected {name} of {low} or more, got {getattr(self, name)}.")
        if self.balance > 1:
            raise TrainingError(f"Expected balance from 0 to 1, got {self.balance}.")

    def to_json(self) -> str:
        """As it is kept with the run."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def unet_config(record: Mapping[str, Any]) -> UNetConfig:
    """A run from plain values.

    Raises:
        TrainingError: a key that is unknown or missing, or a value that cannot be meant.
    """
    known = {entry.name: str(entry.type) for entry in fields(UNetConfig)}
    unknown = [name for name in record if name not in known]
    missing = [name for name in ("network", "datasets", "split", "out") if name not in record]
    if unknown or missing:
        raise TrainingError(
            f"Unknown or missing in the run of a network: {', '.join(unknown + missing)}; the "
            f"known keys are {', '.join(known)}."
        )
    return UNetConfig(**{name: typed(name, value, known[name]) for name, value in record.items()})


def load_unet_config(path: str | Path) -> UNetConfig:
    """Read a run from YAML; raises TrainingError for a file that is none."""
    try:
        record = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"Cannot read the file {Path(path).name}: {error}") from error
    if not isinstance(record, dict):
        raise TrainingError(f"Expected keys and values in {Path(path).name}.")
    return unet_config(record)
