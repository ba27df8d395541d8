"""Queue of the requests that need the model: one at a time, first come, first served.

Requests are not run in parallel because two encoders on one processor take longer than one after
the other, and two volumes on one graphics card may not fit. A `threading.Lock` would serve the
waiting threads in any order, so a busy client could overtake the others for ever. Here each request
has a ticket in a list; the first ticket owns the model.

A long job, such as a segmentation without prompts, would block every prompt behind it. Therefore it
goes back to the end of the queue after each slice: all requests that wait by then are served before
its next slice, and those that come later stand behind it. So nobody starves, neither the prompts
nor the long job.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from segsam_app.errors import BusyError

_POLL_SECONDS = 0.2


class RequestQueue:
    """First-come-first-served access to the model; at most `max_waiting` requests wait.
    Thread-safe.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._tickets: deque[object] = deque()
        """The first ticket owns the model, the others wait."""
        self._changed = threading.Condition()

    @property
    def running(self) -> int:
        """1 while a request has the model, else 0."""
        return min(len(self._tickets), 1)

    @property
    def waiting(self) -> int:
        """Number of requests that wait for the model."""
        return max(len(self._tickets) - 1, 0)

    @contextmanager
    def slot(self, check: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Wait for the model and own it within the block.

        `check` is called regularly during the wait; what it raises ends the wait. The block gets a
        function for long jobs, to be called between two slices: it lets the waiting requests go
        first, and returns when the block owns the model again.

        Raises `BusyError` at once if the queue is full.
        """
        ticket = object()
        with self._changed:
            if len(self._tickets) > self._max_waiting:
                raise BusyError(
                    f"{self._max_waiting} requests wait for the model already (setting queue); "
                    "try again in a moment"
                )
            self._tickets.append(ticket)
        try:
            self._wait_for_model(ticket, check)
            yield lambda: self._requeue(ticket, check)
        finally:
            with self._changed:
                self._tickets.remove(ticket)
                self._changed.notify_all()

    def wait_until_idle(self, should_stop: Callable[[], bool]) -> None:
        """Return when no request has the model or waits for it, or when `should_stop()` is True.

        For background work, which must not take a place in the queue.
        """
        while not should_stop():
            with self._changed:
                if self._changed.wait_for(lambda: not self._tickets, _POLL_SECONDS):
                    return

    def _requeue(self, ticket: object, check: Callable[[], None]) -> None:
        with self._changed:
            if len(self._tickets) == 1:
                return
            self._tickets.remove(ticket)
            self._tickets.append(ticket)
            self._changed.notify_all()
        self._wait_for_model(ticket, check)

    def _wait_for_model(self, ticket: object, check: Callable[[], None]) -> None:
        """Return when `ticket` is the first one. `check` is called without the lock: it may block
        while it asks the event loop whether the client is connected.
        """
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._tickets[0] is ticket, _POLL_SECONDS):
                    return
            check()
