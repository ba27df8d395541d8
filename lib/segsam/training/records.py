"""What a run writes for people and plots: CSV tables, TensorBoard, and its report.

log.csv         step, rates, and every term of the loss, one line a step
validation.csv  step, the score by which the best is chosen, and every measure
tensorboard/    the same, where wanted
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
BOARD = "tensorboard"


class Table:
    """A CSV file with a column `step`; lines after a resumed step are dropped."""

    def __init__(self, path: Path, after_step: int) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        if after_step and path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                self._rows = [row for row in rows if int(row["step"]) <= after_step]

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Keep a line; `flush` writes it."""
        row = {name: f"{value:.9g}" for name, value in numbers.items()}
        self._rows.append({"step": str(step)} | row)

    def flush(self) -> None:
        """Write all lines.

        Raises:
            OutputError: when that cannot be done.
        """
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        text = io.StringIO()
        if self._rows:
            writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        write_bytes(self._path, text.getvalue().encode())


class Records:
    """Both tables of a run and its TensorBoard log."""

    def __init__(self, folder: Path, *, after_step: int, board: bool) -> None:
        self._steps = Table(folder / LOG, after_step)
        self._validations = Table(folder / VALIDATION_LOG, after_step)
        self._board = _board(folder / BOARD, after_step) if board else None

    def step(self, step: int, rates: Mapping[str, float], terms: Mapping[str, float]) -> None:
        """One step's rates and terms of the loss."""
        self._steps.add(step, {**rates, **terms})
        self._to_board(step, {"rate": rates, "loss": terms})

    def validation(self, step: int, score: float, metrics: Mapping[str, float]) -> None:
        """One validation."""
        self._validations.add(step, {"score": score, **metrics})
        self._to_board(step, {"validation": {"score": score, **metrics}})

    def flush(self) -> None:
        """Write everything.

        Raises:
            OutputError: when that cannot be done.
        """
        self._steps.flush()
        self._validations.flush()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Let go of the files, after a flush."""
        if self._board is not None:
            self._board.close()

    def _to_board(self, step: int, groups: Mapping[str, Mapping[str, float]]) -> None:
        if self._board is None:
            return
        for group, numbers in groups.items():
            for name, value in numbers.items():
                self._board.add_scalar(f"{group}/{name}", value, step)


def _board(folder: Path, after_step: int) -> Any:
    """A writer that hides what an earlier process wrote after the resumed step."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and not always wanted

    return SummaryWriter(str(folder), purge_step=after_step + 1)
