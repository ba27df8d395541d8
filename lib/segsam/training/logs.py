"""Logs of a training run: CSV tables and TensorBoard.

log.csv         step, learning rates, and every term of the loss, one line per step
validation.csv  step, the score that selects the best checkpoint, and every measure
tensorboard/    the same, if configured
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segsam.system.atomic import write_bytes

LOG = "log.csv"
VALIDATION_LOG = "validation.csv"
_TENSORBOARD = "tensorboard"


class CsvLog:
    """CSV file with a column `step`; lines after the step that a run resumes from are dropped."""

    def __init__(self, path: Path, after_step: int) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        if after_step and path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                self._rows = [row for row in rows if int(row["step"]) <= after_step]

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a line, which `flush` writes."""
        row = {name: f"{value:.9g}" for name, value in numbers.items()}
        self._rows.append({"step": str(step)} | row)

    def flush(self) -> None:
        """Write all lines; raises OutputError."""
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        text = io.StringIO()
        if self._rows:
            writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        write_bytes(self._path, text.getvalue().encode())


class TrainingLog:
    """Both tables of a run and its TensorBoard log."""

    def __init__(self, folder: Path, *, after_step: int, tensorboard: bool) -> None:
        self._steps = CsvLog(folder / LOG, after_step)
        self._validations = CsvLog(folder / VALIDATION_LOG, after_step)
        self._board = _summary_writer(folder / _TENSORBOARD, after_step) if tensorboard else None

    def add_step(self, step: int, rates: Mapping[str, float], terms: Mapping[str, float]) -> None:
        """Add the learning rates and loss terms of a step."""
        self._steps.add(step, {**rates, **terms})
        self._to_board(step, {"rate": rates, "loss": terms})

    def add_validation(self, step: int, score: float, metrics: Mapping[str, float]) -> None:
        """Add the scores of a validation."""
        self._validations.add(step, {"score": score, **metrics})
        self._to_board(step, {"validation": {"score": score, **metrics}})

    def flush(self) -> None:
        """Write everything; raises OutputError."""
        self._steps.flush()
        self._validations.flush()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Close the files, after a flush."""
        if self._board is not None:
            self._board.close()

    def _to_board(self, step: int, groups: Mapping[str, Mapping[str, float]]) -> None:
        if self._board is None:
            return
        for group, numbers in groups.items():
            for name, value in numbers.items():
                self._board.add_scalar(f"{group}/{name}", value, step)


def duration(seconds: float) -> str:
    """Return a time in words, such as 2 min 5 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _summary_writer(folder: Path, after_step: int) -> Any:
    """Return a writer that hides what an earlier process wrote after the resumed step."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and optional

    return SummaryWriter(str(folder), purge_step=after_step + 1)
