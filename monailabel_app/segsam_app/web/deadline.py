"""How long an answer is worth computing: while its client is there, and for so many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from segsam.errors import CancelledError
from segsam_app.errors import OverTimeError


class Deadline:
    """Of one request, from its arrival on. `is_gone` tells whether its client has hung up."""

    def __init__(
        self,
        seconds: float,
        is_gone: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._is_gone = is_gone
        self._clock = clock
        self._end = clock() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the time has run out."""
        return self._clock() > self._end

    def ended(self) -> bool:
        """Whether to stop; asked before each slice."""
        return self.is_over or self._is_gone()

    def check(self) -> None:
        """Raise `OverTimeError` or `CancelledError` when there is a reason to stop."""
        if self.is_over:
            raise self.too_late()
        if self._is_gone():
            raise CancelledError("The client has gone; nothing was computed for it.")

    def too_late(self) -> OverTimeError:
        """The refusal when the time has run out."""
        return OverTimeError(
            f"the answer would have taken more than {self._seconds:g} s (setting infer_seconds)"
        )
