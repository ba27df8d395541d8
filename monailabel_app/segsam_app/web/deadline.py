"""Deadline of one request."""

from __future__ import annotations

import time
from collections.abc import Callable

from segsam.errors import CancelledError
from segsam_app.errors import BusyError, DeadlineExceededError


class Deadline:
    """Time by which the answer to a request must be there, and whether its client is still
    connected. The time runs from the construction, and is over when the server ends.
    """

    def __init__(
        self,
        seconds: float,
        is_disconnected: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        *,
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._seconds = seconds
        self._is_disconnected = is_disconnected
        self._is_ending = is_ending
        self._clock = clock
        self._end = clock() + seconds

    @property
    def has_passed(self) -> bool:
        """True if the time has run out, or the server ends."""
        return self._is_ending() or self._clock() > self._end

    def should_stop(self) -> bool:
        """Return True if the answer is no longer needed. The library calls it before each slice."""
        return self.has_passed or self._is_disconnected()

    def check(self) -> None:
        """Raise `DeadlineExceededError`, `BusyError` or `CancelledError` if the answer is no longer
        needed.
        """
        if self.has_passed:
            raise self.error()
        if self._is_disconnected():
            raise CancelledError("The client has disconnected; nothing was computed for it.")

    def error(self) -> DeadlineExceededError | BusyError:
        """Return the error for a deadline that has passed."""
        if self._is_ending():
            return BusyError("the server is ending; ask again when it has been started anew")
        return DeadlineExceededError(
            f"the answer would have taken more than {self._seconds:g} s (setting infer_seconds)"
        )
