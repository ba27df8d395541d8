"""Worker threads: jobs run in threads, and the GUI thread polls their results. No Qt.

The widget owns a timer that calls `poll` about every 20 ms while `is_busy`. `poll` waits at most
`wait_seconds` for an event. This short wait is necessary: Slicer's event loop holds Python's lock,
so that threads run only while the GUI thread releases it.

Each job belongs to a task, such as "segment". A task has at most one job: a new job cancels the
previous one, whose results are dropped.
"""

from __future__ import annotations

import itertools
import queue
import threading
from dataclasses import dataclass, replace
from typing import Any, Callable

from SEGSAMLib.Errors import CancelledError, ClientError, SegSamError
from SEGSAMLib.Translation import tr as _

DEFERRED = object()
"""Value of an event whose real value comes with a later event; `poll` drops such events."""


class CancelToken:
    """Cancellation flag of a job. The GUI thread sets it, and the job checks it.

    A callback is called once, at once, in the thread that cancels. It must be quick, such as the
    closing of a socket.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._callback: Callable[[], None] | None = None

    @property
    def is_set(self) -> bool:
        """True if the job was cancelled."""
        return self._is_set

    def set(self) -> None:
        """Cancel the job. A second call does nothing."""
        with self._lock:
            first, self._is_set = not self._is_set, True
            callback = self._callback if first else None
        if callback is not None:
            callback()

    def set_callback(self, callback: Callable[[], None] | None) -> None:
        """Set what to call on cancellation, None for nothing. If the job is already cancelled, the
        callback is called at once.
        """
        with self._lock:
            self._callback = callback
            is_late = self._is_set
        if is_late and callback is not None:
            callback()

    def check(self) -> None:
        """Raise `CancelledError` if the job was cancelled."""
        if self._is_set:
            raise CancelledError(_("Cancelled; nothing was changed."))


@dataclass(frozen=True)
class Progress:
    """Progress of a job: `done` of `total` steps (0: unknown), and a text for the user."""

    done: int
    total: int
    text: str


ReportProgress = Callable[[Progress], None]
Job = Callable[[CancelToken, ReportProgress], Any]
Apply = Callable[[Any], Any]
"""Takes the result of a job in the GUI thread, and returns the value of the event `done`."""


@dataclass(frozen=True)
class Event:
    """Message of a job. `kind` is `progress` (`value` is a `Progress`), `done` (`value` is the
    result), `failed` (with `error`) or `cancelled`.
    """

    task: str
    number: int
    kind: str
    value: Any = None
    error: SegSamError | None = None


@dataclass(frozen=True)
class _Running:
    number: int
    cancel: CancelToken
    apply: Apply | None


class Worker:
    """Runs the jobs of one module. All methods are for the GUI thread."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._running: dict[str, _Running] = {}

    @property
    def is_busy(self) -> bool:
        """True while a job runs, so that `poll` must be called."""
        return bool(self._running)

    @property
    def tasks(self) -> frozenset[str]:
        """Tasks that have a running job."""
        return frozenset(self._running)

    def is_running(self, task: str) -> bool:
        """Return True if a task has a running job."""
        return task in self._running

    def start(self, task: str, job: Job, apply: Apply | None = None) -> int:
        """Run `job(cancel, report)` in a thread, and `apply(result)` in the GUI thread when `poll`
        fetches the result. Return the number of the job, which all its events have.
        """
        self.cancel(task)
        number, cancel = next(self._numbers), CancelToken()
        self._running[task] = _Running(number, cancel, apply)
        thread = threading.Thread(
            target=self._run,
            args=(task, number, job, cancel),
            name=f"SEGSAM {task} {number}",
            daemon=True,
        )
        thread.start()
        return number

    def cancel(self, task: str) -> bool:
        """Cancel the job of a task without waiting for its thread. One event `cancelled` follows,
        and nothing else of this job. Return False if nothing runs.
        """
        running = self._running.pop(task, None)
        if running is None:
            return False
        running.cancel.set()
        self._events.put(Event(task, running.number, "cancelled"))
        return True

    def cancel_all(self) -> None:
        """Cancel all jobs."""
        for task in list(self._running):
            self.cancel(task)

    def poll(self, wait_seconds: float = 0.01) -> list[Event]:
        """Return the events since the last call, without those of replaced jobs."""
        found = []
        wait = wait_seconds if self._running else 0.0
        while True:
            try:
                event = self._events.get(timeout=wait) if wait else self._events.get_nowait()
            except queue.Empty:
                return found
            wait = 0.0
            current = self._current(event)
            if current is not None and current.value is not DEFERRED:
                found.append(current)

    def _current(self, event: Event) -> Event | None:
        """Return the event with its result applied, None if its job was replaced or cancelled."""
        if event.kind == "cancelled":
            return event  # put there by `cancel`, which ended the job
        running = self._running.get(event.task)
        if running is None or running.number != event.number:
            return None
        if event.kind == "progress":
            return event
        del self._running[event.task]
        if event.kind == "failed" or running.apply is None:
            return event
        try:
            return replace(event, value=running.apply(event.value))
        except SegSamError as error:
            return replace(event, kind="failed", value=None, error=error)

    def _run(self, task: str, number: int, job: Job, cancel: CancelToken) -> None:
        def send(kind: str, value: Any = None, error: SegSamError | None = None) -> None:
            if not cancel.is_set:
                self._events.put(Event(task, number, kind, value, error))

        bug = _("This is a bug of the SEG-SAM module; the Python console has the details.")
        outcome: tuple[Any, SegSamError | None] = (None, ClientError(bug, code="bug"))
        try:
            cancel.check()
            outcome = (job(cancel, lambda progress: send("progress", progress)), None)
        except SegSamError as error:
            outcome = (None, error)
        finally:  # any other error goes to Python's console, and the widget gets `bug`
            result, wrong = outcome
            send("done" if wrong is None else "failed", result, wrong)
