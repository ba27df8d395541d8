"""Ctrl-C and SIGTERM, handled between two steps so that nothing of the run is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedRun(KeyboardInterrupt):  # it is handled as the signal that caused it
    """A signal to stop, noticed where the state of the run can be saved."""


class StopRequest:
    """Signal handler that remembers a first signal; a second one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.received = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.received:
            raise KeyboardInterrupt
        self.received = True

    def check(self) -> None:
        """Raise `StoppedRun` if a signal was received."""
        if self.received:
            raise StoppedRun


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Collect signals to stop inside the block.

    Python delivers signals to the main thread only, so in another thread none is ever received.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
