"""Wall-clock time and memory of a process."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of one piece of work over several runs."""

    median_s: float
    low_s: float
    high_s: float
    runs: int
    note: str = ""

    @classmethod
    def of(cls, seconds: Iterable[float], note: str = "") -> Timing:
        """Summarise the seconds of at least one run."""
        times = list(seconds)
        return cls(statistics.median(times), min(times), max(times), len(times), note)


@dataclass
class Measurements:
    """Timings by item and other facts that one contender's process measured."""

    items: dict[str, Timing] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """Plain values by name."""


def timed(work: Callable[[], Any], rounds: int, note: str = "") -> Timing:
    """Run once to warm up, then measure `rounds` runs."""
    work()
    return Timing.of((seconds_of(work) for _ in range(rounds)), note)


def seconds_of(work: Callable[[], Any]) -> float:
    """Return the seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_mb() -> float | None:
    """Return the highest memory of this process so far in MiB; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
