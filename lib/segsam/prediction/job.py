"""One running prediction: its progress, its cancellation and its times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from segsam.errors import CancelledError
from segsam.types import Cancel, Progress


@dataclass
class Job:
    """One call of `predict` or `segment_automatically` while it runs.

    `planned` and `done` count slices, `encoded` those that were not in the cache; `seconds` is the
    wall-clock time of each activity.
    """

    progress: Progress | None = None
    cancel: Cancel | None = None
    planned: int = 0
    done: int = 0
    encoded: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"encode": 0.0, "decode": 0.0})
    started: float = field(default_factory=time.perf_counter)

    def raise_if_cancelled(self) -> None:
        """Raise CancelledError if the caller wants to stop."""
        if self.cancel is not None and self.cancel():
            raise CancelledError(
                f"Cancelled after {self.done} of {self.planned} slices; nothing was kept."
            )

    def report(self, what: str, axis: int, index: int) -> None:
        """Count slice `index` across voxel axis `axis` as done and report what was done."""
        self.advance(f"{what} slice {'ijk'[axis]} {index}")

    def advance(self, message: str) -> None:
        """Count one step of the work as done and report it."""
        self._update(self.done + 1, self.planned, message)

    def progress_of_part(self) -> Progress:
        """Return a progress function for a prediction that is part of this job."""
        before = self.done

        def update(done: int, planned: int, message: str) -> None:
            self._update(before + done, before + planned, message)

        return update

    def _update(self, done: int, planned: int, message: str) -> None:
        self.done, self.planned = done, max(planned, done)
        if self.progress is not None:
            self.progress(self.done, self.planned, message)

    @contextmanager
    def timed(self, activity: str) -> Iterator[None]:
        """Add the time of a block to `seconds`."""
        start = time.perf_counter()
        yield
        self.seconds[activity] += time.perf_counter() - start

    def add(self, seconds: Mapping[str, float], encoded: int) -> None:
        """Add the times and encoded slices of a prediction that was part of this job."""
        for activity in self.seconds:
            self.seconds[activity] += seconds[activity]
        self.encoded += encoded

    @property
    def times(self) -> dict[str, float]:
        """Seconds of each activity, and the "total" since the job started."""
        return {**self.seconds, "total": time.perf_counter() - self.started}
