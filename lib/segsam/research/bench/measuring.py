"""The clock and the memory of a process."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of one piece of work."""

    median_s: float
    low_s: float
    high_s: float
    runs: int
    note: str = ""

    @classmethod
    def of(cls, seconds: Iterable[float], note: str = "") -> Timing:
        """Of at least one run."""
        times = list(seconds)
        return cls(statistics.median(times), min(times), max(times), len(times), note)


@dataclass
class Found:
    """What one contender's process measured."""

    items: dict[str, Timing] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """Anything else that is told, as plain values."""


def timed(work: Callable[[], Any], rounds: int, note: str = "") -> Timing:
    """Run once to warm up, then `rounds` times under the clock."""
    work()
    return Timing.of((once(work) for _ in range(rounds)), note)


def once(work: Callable[[], Any]) -> float:
    """Seconds of one run."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mb() -> float | None:
    """The most memory that this process had so far, in MiB; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
