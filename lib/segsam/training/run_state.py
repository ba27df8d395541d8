"""A run on disk: its last checkpoint, from which it goes on as if never stopped, and its best.

last.pt      step, configuration, weights, their average, optimiser, random state, what was best
best.pt      weights of the best validation so far
split.json   who is held out
config.json  the configuration
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import optim

from segsam.errors import OutputError, TrainingError
from segsam.model import SegSam
from segsam.system.atomic import write_bytes
from segsam.training.config import TrainConfig
from segsam.training.optimising import WeightAverage

LAST = "last.pt"
BEST = "best.pt"
DAMAGE = (UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, OSError)
"""What reading a file of another kind, or half of one, may raise."""
_FREE = ("checkpoint_every", "device", "embeddings", "tensorboard", "threads")
"""May differ when a run goes on: nothing that is learnt depends on them, but for the last digits
where the device is another."""


@dataclass(frozen=True)
class Standing:
    """How far a run has come."""

    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """Spent on them, over all processes that worked on the run."""
    best_step: int = 0
    best_score: float = -math.inf
    best_metrics: Mapping[str, float] = field(default_factory=dict)
    misses: int = 0
    """Validations since the best one."""


@dataclass(frozen=True)
class Learning:
    """What changes while a run learns."""

    model: SegSam
    optimiser: optim.Optimizer
    average: WeightAverage


def save_state(folder: Path, learning: Learning, standing: Standing, config: TrainConfig) -> None:
    """Write `last.pt`, whole or not at all.

    Raises:
        OutputError: when it cannot be written.
    """
    record = {
        "config": config.to_json(),
        "model": learning.model.state_dict(),
        "optimiser": learning.optimiser.state_dict(),
        "average": learning.average.state(),
        "random": torch.get_rng_state(),
        "standing": asdict(standing),
    }
    write_record(folder / LAST, record)


def restore_state(folder: Path, learning: Learning, config: TrainConfig) -> Standing:
    """Put the last checkpoint into everything that learns and into the random state.

    Raises:
        TrainingError: no checkpoint, one that cannot be read, or one of another configuration.
    """
    path = folder / LAST
    if not path.is_file():
        raise TrainingError(f"There is no {LAST} in {folder.name} to resume from.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        check_config(state["config"], config, folder)
        standing = Standing(**state["standing"])
        learning.model.load_state_dict(state["model"])
        learning.optimiser.load_state_dict(state["optimiser"])
        learning.average.restore(state["average"])
        torch.set_rng_state(state["random"])
    except DAMAGE as error:
        raise TrainingError(
            f"Cannot resume from {LAST} in {folder.name}: it is damaged or not of this model "
            f"({type(error).__name__})."
        ) from error
    return standing


def save_best(folder: Path, model: SegSam) -> None:
    """Write the weights as they are to `best.pt`; raises OutputError."""
    write_record(folder / BEST, model.state_dict())


def load_best(folder: Path, model: SegSam) -> None:
    """Put the weights of the best validation into the model.

    Raises:
        TrainingError: when they cannot be read.
    """
    try:
        model.load_state_dict(torch.load(folder / BEST, map_location="cpu", weights_only=True))
    except DAMAGE as error:
        raise TrainingError(f"Cannot read {BEST} in {folder.name}: {error}.") from error


def make_folder(folder: Path) -> None:
    """Make the folder of a run; raises OutputError when that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record of tensors and plain values, whole or not at all; raises OutputError."""
    content = io.BytesIO()
    torch.save(record, content)
    write_bytes(path, content.getvalue())


def check_config(kept: str, config: TrainConfig, folder: Path) -> None:
    """Refuse another configuration; a field that the kept one does not know had its default."""
    wanted = json.loads(config.to_json())
    defaults = json.loads(TrainConfig(out="x", datasets=("x",)).to_json())
    before = {**defaults, **json.loads(kept)}
    changed = sorted(
        name for name in wanted if name not in _FREE and before.get(name) != wanted[name]
    )
    if changed:
        raise TrainingError(
            f"The run in {folder.name} was started with another configuration (other "
            f"{', '.join(changed)}); give the same file and changes, or another folder."
        )
