"""Requests off the GUI thread: jobs run in threads, their answers wait until the GUI asks.

No Qt here. The widget owns a timer that calls `poll` about every 20 ms while `is_busy`; `poll`
never raises and never waits longer than `lend_seconds`. It has to wait that little, though:
Slicer's event loop keeps Python's lock, so threads only run while the GUI thread lends it.

Jobs are in lanes. Of a lane, only the newest job's answers are delivered: a new one cancels the one
before, and what that one still says is dropped.
"""

from __future__ import annotations

import itertools
import queue
import threading
from dataclasses import dataclass
from typing import Any, Callable

from SEGSAMLib.Errors import CancelledError, ClientError, SegSamError

_BUG = "This is a bug of the SEG-SAM module; the Python console has the details."


class CancelToken:
    """Told by the GUI, asked by the job. `on_cancel` is called once, at once, in the GUI's thread:
    it has to be quick (closing a socket is).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._on_cancel: Callable[[], None] | None = None

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Cancel; a second time does nothing."""
        with self._lock:
            first, self._is_set = not self._is_set, True
            call = self._on_cancel if first else None
        if call is not None:
            call()

    def watch(self, on_cancel: Callable[[], None] | None) -> None:
        """What to call when it is cancelled, None for nothing any more."""
        with self._lock:
            self._on_cancel = on_cancel
            is_late = self._is_set and on_cancel is not None
        if is_late and on_cancel is not None:
            on_cancel()

    def check(self) -> None:
        """Raises `CancelledError` when it was cancelled."""
        if self._is_set:
            raise CancelledError("Cancelled; nothing was changed.")


@dataclass(frozen=True)
class Progress:
    """`done` of `total` steps (0: unknown), and what is being done, for people."""

    done: int
    total: int
    what: str


ReportProgress = Callable[[Progress], None]
Job = Callable[[CancelToken, ReportProgress], Any]


@dataclass(frozen=True)
class Event:
    """What a job says. `kind`: `progress` (with `value` a `Progress`), `done` (with its answer),
    `failed` (with `error`), `cancelled`.
    """

    lane: str
    number: int
    kind: str
    value: Any = None
    error: SegSamError | None = None


@dataclass(frozen=True)
class _Running:
    number: int
    cancel: CancelToken


class Worker:
    """All jobs of one module."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._running: dict[str, _Running] = {}

    @property
    def is_busy(self) -> bool:
        return bool(self._running)

    @property
    def lanes(self) -> frozenset[str]:
        """Those in which something runs."""
        return frozenset(self._running)

    def is_running(self, lane: str) -> bool:
        return lane in self._running

    def start(self, lane: str, job: Job) -> int:
        """Run `job(cancel, tell)` in a thread; its number is in each of its events."""
        self.cancel(lane)
        number, cancel = next(self._numbers), CancelToken()
        self._running[lane] = _Running(number, cancel)
        thread = threading.Thread(
            target=self._run,
            args=(lane, number, job, cancel),
            name=f"SEGSAM {lane} {number}",
            daemon=True,
        )
        thread.start()
        return number

    def cancel(self, lane: str) -> bool:
        """End what runs in a lane, without waiting for it; nothing more is heard of it, but for one
        event `cancelled`. False when nothing runs there.
        """
        running = self._running.pop(lane, None)
        if running is None:
            return False
        running.cancel.set()
        self._events.put(Event(lane, running.number, "cancelled"))
        return True

    def cancel_all(self) -> None:
        for lane in list(self._running):
            self.cancel(lane)

    def poll(self, lend_seconds: float = 0.01) -> list[Event]:
        """What was said since the last time, without what is out of date."""
        found = []
        wait = lend_seconds if self._running else 0.0
        while True:
            try:
                event = self._events.get(timeout=wait) if wait else self._events.get_nowait()
            except queue.Empty:
                return found
            wait = 0.0
            if self._is_current(event):
                found.append(event)

    def _is_current(self, event: Event) -> bool:
        if event.kind == "cancelled":
            return True  # put there by `cancel`, which ended it
        running = self._running.get(event.lane)
        if running is None or running.number != event.number:
            return False
        if event.kind != "progress":
            del self._running[event.lane]
        return True

    def _run(self, lane: str, number: int, job: Job, cancel: CancelToken) -> None:
        def say(kind: str, value: Any = None, error: SegSamError | None = None) -> None:
            if not cancel.is_set:
                self._events.put(Event(lane, number, kind, value, error))

        outcome: tuple[Any, SegSamError | None] = (None, ClientError(_BUG, code="bug"))
        try:
            cancel.check()
            outcome = (job(cancel, lambda progress: say("progress", progress)), None)
        except SegSamError as error:
            outcome = (None, error)
        finally:  # whatever else a job raises goes to Python's console, and the widget is told
            answer, wrong = outcome
            say("done" if wrong is None else "failed", answer, wrong)
