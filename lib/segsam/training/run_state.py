"""A run on disk: its last checkpoint, from which it goes on as if never stopped, and its log.

last.pt     step, configuration, weights, optimiser, random state (tensors and plain values)
split.json  which patients were held out
log.csv     one line a step
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import optim

from segsam.atomic import write_bytes
from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.training.config import TrainConfig

LAST = "last.pt"
LOG = "log.csv"
_DAMAGE = (UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, OSError)


def save_state(
    folder: Path, step: int, model: SegSam, optimiser: optim.Optimizer, config: TrainConfig
) -> None:
    """Write `last.pt`, whole or not at all.

    Raises:
        OutputError: when it cannot be written.
    """
    content = io.BytesIO()
    torch.save(
        {
            "step": step,
            "config": config.to_json(),
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "random": torch.get_rng_state(),
        },
        content,
    )
    write_bytes(folder / LAST, content.getvalue())


def restore_state(
    folder: Path, model: SegSam, optimiser: optim.Optimizer, config: TrainConfig
) -> int:
    """Put the last checkpoint into model, optimiser and random state; the steps it has done.

    Raises:
        TrainingError: no checkpoint, one that cannot be read, or one of another configuration.
    """
    path = folder / LAST
    if not path.is_file():
        raise TrainingError(f"There is no {LAST} in {folder.name} to resume from.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        kept, step = str(state["config"]), int(state["step"])
        if kept != config.to_json():
            raise TrainingError(
                f"The run in {folder.name} was started with another configuration; give the same "
                "file and changes, or another folder."
            )
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
    except _DAMAGE as error:
        raise TrainingError(
            f"Cannot resume from {LAST} in {folder.name}: it is damaged or not of this model "
            f"({type(error).__name__})."
        ) from error
    return step


class StepLog:
    """`log.csv`: step, rate, and every term of the loss; lines after a resumed step are dropped."""

    def __init__(self, path: Path, after_step: int) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        if after_step and path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                self._rows = [row for row in rows if int(row["step"]) <= after_step]

    def add(self, step: int, rate: float, terms: Mapping[str, float]) -> None:
        """Keep a line; `flush` writes it."""
        numbers = {name: f"{value:.6g}" for name, value in terms.items()}
        self._rows.append({"step": str(step), "learning_rate": f"{rate:.6g}"} | numbers)

    def flush(self) -> None:
        """Write all lines.

        Raises:
            OutputError: when that cannot be done.
        """
        text = io.StringIO()
        if self._rows:
            writer = csv.DictWriter(text, list(self._rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)
        write_bytes(self._path, text.getvalue().encode())
