"""A prediction in progress: who wants to know, who may stop it, and what was decoded so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segsam.errors import CancelledError
from segsam.prediction.decoding import SliceMask, Stopwatch
from segsam.prediction.result import SliceReport
from segsam.types import Cancel, Progress


@dataclass(frozen=True, eq=False)
class Kept:
    """What a result tells of a slice. Not its mask: of a deep volume all of them together would
    take as much memory as the volume.
    """

    report: SliceReport
    area: int
    """Pixels of the object."""
    class_scores: NDArray[np.float32] | None


@dataclass
class Job:
    """One call of `Predictor.predict` while it runs: what was decoded, and whom to tell."""

    progress: Progress | None
    cancel: Cancel | None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    slices: list[Kept] = field(default_factory=list)
    planned: int = 0
    done: int = 0

    def before_slice(self) -> None:
        """Raises CancelledError when the caller wants to stop."""
        if self.cancel is not None and self.cancel():
            raise CancelledError(
                f"Cancelled after {self.done} of {self.planned} slices; nothing was kept."
            )

    def kept(self, mask: SliceMask) -> None:
        """A slice that belongs to the result."""
        self.slices.append(Kept(mask.report, mask.area, mask.class_scores))
        self.decoded(mask, "propagated to" if mask.report.propagated else "segmented")

    def decoded(self, mask: SliceMask, what: str) -> None:
        """Any slice that was decoded; `what` was done is told with its place."""
        self.looked(mask.report.axis, mask.report.index, what)

    def looked(self, axis: int, index: int, what: str) -> None:
        """Something was done with a slice across voxel axis `axis`."""
        self.done += 1
        self.planned = max(self.planned, self.done)
        if self.progress is not None:
            self.progress(self.done, self.planned, f"{what} slice {'ijk'[axis]} {index}")
