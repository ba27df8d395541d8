"""Kinds of files for the table in docs/file_kinds.md: how one is made, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 20
AFFINE = np.array([[-2.0, 0, 0, 5], [0, 3, 0, -6], [0, 0, 4, 7], [0, 0, 0, 1]])
INTEGERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
FLAT = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Affine of a picture."""


@dataclass(frozen=True, eq=False)
class Made:
    """A file with the values (i, j, k[, 3]) and the affine that are in it, by another way."""

    path: Path
    values: NDArray[Any]
    affine_ras: NDArray[np.float64]
    note: str = ""
    """Words of the only note for the user; none if empty."""
    frame: int | None = None


@dataclass(frozen=True)
class Kind:
    """Row of the table. `refusal` is the sentence for a file that is not read."""

    group: str
    name: str
    make: Callable[[Path], Any]
    refusal: str = ""

    @property
    def result(self) -> str:
        """Third column of the table."""
        return f"refused: {self.refusal}" if self.refusal else "read exactly"


class Kinds:
    """Registry of the kinds of one format, filled by decorators."""

    def __init__(self, group: str) -> None:
        self._group = group
        self.all: list[Kind] = []

    def read(self, name: str) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
        """Register a function that makes one file or several, with what is in them."""
        return self._add(name, "")

    def refused(
        self, name: str, refusal: str
    ) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
        """Register a function that makes a file which is refused with this sentence."""
        return self._add(name, refusal)

    def _add(self, name: str, refusal: str) -> Callable[[Any], Any]:
        def register(make: Any) -> Any:
            self.all.append(Kind(self._group, name, make, refusal))
            return make

        return register


def of_type(kind: str) -> NDArray[Any]:
    """Values (4, 5, 6) with the lowest and the highest number of a type."""
    dtype = np.dtype(kind)
    values = (np.arange(120) % 100).reshape(4, 5, 6).astype(dtype)
    if dtype.kind in "iu":
        values.flat[:2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    else:
        values.flat[:2] = -1.5, 2.0**20 + 0.25
    return values
