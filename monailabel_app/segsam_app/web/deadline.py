"""Deadline of one request."""

from __future__ import annotations

import time
from collections.abc import Callable

from segsam.errors import CancelledError
from segsam_app.errors import DeadlineExceededError


class Deadline:
    """Time by which the answer to a request must be there, and whether its client is still
    connected. The time runs from the construction.
    """

    def __init__(
        self,
        seconds: float,
        is_disconnected: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._is_disconnected = is_disconnected
        self._clock = clock
        self._end = clock() + seconds

    @property
    def has_passed(self) -> bool:
        """True if the time has run out."""
        return self._clock() > self._end

    def should_stop(self) -> bool:
        """Return True if the answer is no longer needed. The library calls it before each slice."""
        return self.has_passed or self._is_disconnected()

    def check(self) -> None:
        """Raise `DeadlineExceededError` or `CancelledError` if the answer is no longer needed."""
        if self.has_passed:
            raise self.error()
        if self._is_disconnected():
            raise CancelledError("The client has disconnected; nothing was computed for it.")

    def error(self) -> DeadlineExceededError:
        """Return the error for a deadline that has passed."""
        return DeadlineExceededError(
            f"the answer would have taken more than {self._seconds:g} s (setting infer_seconds)"
        )
