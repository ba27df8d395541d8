"""Ctrl-C and a polite kill take effect between steps, so that nothing of the run is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether someone asked to stop; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self.came:
            raise KeyboardInterrupt
        self.came = True


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Requests to stop are gathered inside the block; where signals cannot be (in other threads
    than the main one), none ever comes.
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
