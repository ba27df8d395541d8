"""One request at a time in front of the model, a bounded queue behind it.

Two encoders on one processor are slower than one after the other, and two volumes on one graphics
card may not fit: requests take turns, in the order in which they came. Who finds the queue full is
told so at once (503); who waits is asked now and then whether anybody still waits for the answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from segsam_app.errors import BusyError

_LOOK_SECONDS = 0.2


class RequestQueue:
    """Turns in front of the model; at most `waiting` requests wait. Safe from any thread."""

    def __init__(self, waiting: int) -> None:
        self._most = waiting + 1
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @property
    def running(self) -> int:
        """1 while a request has the model."""
        return min(len(self._line), 1)

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return max(len(self._line) - 1, 0)

    @contextmanager
    def turn(self, check: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Held by the request whose turn it is. `check` is called while it waits and raises when
        waiting has lost its sense. What a long job is given lets the others go first: it returns
        when its turn has come again.

        Raises `BusyError` when the queue is full.
        """
        ticket = object()
        with self._changed:
            if len(self._line) >= self._most:
                raise BusyError(
                    f"{self._most - 1} requests wait for the model already (setting queue); "
                    "try again in a moment"
                )
            self._line.append(ticket)
        try:
            while not self._is_first(ticket):
                check()
            yield lambda: self._step_aside(ticket, check)
        finally:
            with self._changed:
                self._line.remove(ticket)
                self._changed.notify_all()

    def wait_until_idle(self, is_over: Callable[[], bool]) -> None:
        """Return when nobody has the model or waits for it, or when `is_over`: for work in the
        background, which takes no place in the line.
        """
        while not is_over():
            with self._changed:
                if self._changed.wait_for(lambda: not self._line, _LOOK_SECONDS):
                    return

    def _step_aside(self, ticket: object, check: Callable[[], None]) -> None:
        with self._changed:
            if len(self._line) == 1:
                return
            self._line.remove(ticket)
            self._line.append(ticket)
            self._changed.notify_all()
        while not self._is_first(ticket):
            check()

    def _is_first(self, ticket: object) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._line[0] is ticket, _LOOK_SECONDS)
