"""Target values of measured figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

MISSED = "missed"

Results = TypeVar("Results")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Target(Generic[Results, Value]):
    """Limit of one figure, and the function that reads the figure from results."""

    title: str
    limit: float
    measure: Callable[[Results], Value | None]
    """Returns None if a part of the figure was not measured."""
    unit: str = ""
    at_most: bool = False
    """True if the figure has to stay below the limit."""
    goal: float | None = None
    """Better value than the limit, for information."""
    obstacle: str = ""
    """Known reason why the target is missed."""

    @property
    def required(self) -> str:
        """Limit as a text, with its unit and the goal."""
        text = f"{'≤' if self.at_most else '≥'} {self.limit:g}{self.spaced_unit}"
        return text if self.goal is None else f"{text} (goal {self.goal:g})"

    @property
    def spaced_unit(self) -> str:
        """Unit with the space before it, as it follows a number."""
        return f" {self.unit}" if self.unit else ""

    def verdict(self, value: float | None) -> str:
        """Return `reached`, `missed` or `not measured`."""
        if value is None:
            return "not measured"
        reached = value <= self.limit if self.at_most else value >= self.limit
        return "reached" if reached else MISSED
