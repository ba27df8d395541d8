"""Shutdown: a server that was asked to end (SIGTERM, Ctrl-C) has ended `SECONDS` later, whatever
its clients do, and takes the processes along that it started.

uvicorn alone waits for every client: for an upload that sends a byte now and then, for a reply that
nobody reads, for an inference. Then the interpreter waits for the threads of MONAI Label, each of
which waits for its task. So from the signal on:

* at once, tasks that wait are dropped, a batch inference and a scoring are ended, and a training is
  asked to stop: it writes what it has learnt. One that takes as long as the server may is ended,
  too; the next training continues from what it wrote before.
* requests that wait for the model or hold it end at their next slice with status 503.
* after `GRACE_SECONDS`, the connections that are left are closed, as if their clients had gone.
* after `SECONDS`, the process ends, whatever still runs in it. What is on the disk is whole after
  that, as it is after a kill (docs/reliability.md). If no thread can run, because one is in a long
  computation outside of Python, the operating system ends the process a second later.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import FrameType
from typing import Any

import psutil
import uvicorn
from monailabel.utils.async_tasks import utils as async_tasks
from uvicorn.server import HANDLED_SIGNALS

logger = logging.getLogger(__name__)

SECONDS = 8.0
"""Time from the signal to the end of the process at the latest."""
GRACE_SECONDS = 4.0
"""Time that requests have to be answered."""
_KILL_SECONDS = 2.0
"""Time that a batch inference or a scoring has to end."""
_POLL_SECONDS = 0.1
_MARGIN_SECONDS = 1.0
"""Time that the process has to end by itself."""
_TRAINING = "train"


class Shutdown:
    """End of this server. `has_begun` becomes True with the first signal."""

    def __init__(self, on_begin: Sequence[Callable[[], None]] = ()) -> None:
        """`on_begin` are called once, in a thread, when the server is asked to end."""
        self._on_begin = tuple(on_begin)
        self._begun = threading.Event()
        self._signal = 0

    @property
    def has_begun(self) -> bool:
        """True if the server was asked to end."""
        return self._begun.is_set()

    def install(self) -> None:
        """Take the signals over from uvicorn, and pass them on to it. Call it in the main thread,
        while the server starts; in a process without uvicorn it has no effect.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        handlers = {number: signal.getsignal(number) for number in HANDLED_SIGNALS}
        owners = [getattr(handler, "__self__", None) for handler in handlers.values()]
        servers = [owner for owner in owners if isinstance(owner, uvicorn.Server)]
        if len(servers) < len(owners):
            return
        # The threads exist before the signal: a signal handler should start none.
        close = partial(_close_connections, asyncio.get_running_loop(), servers)
        for work in (self._end_tasks, partial(self._end_process, close)):
            threading.Thread(target=work, name="segsam-shutdown", daemon=True).start()
        atexit.register(_kill_children)
        for number, handler in handlers.items():
            signal.signal(number, self._receiver(handler))
        for server in servers:
            if server.should_exit:  # the signal came a moment before
                self._begun.set()

    def _receiver(self, passed_on: Any) -> Callable[[int, FrameType | None], None]:
        def receive(number: int, frame: FrameType | None) -> None:
            self._signal = number
            if not self._begun.is_set() and hasattr(signal, "setitimer"):
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, SECONDS + _MARGIN_SECONDS)
            self._begun.set()
            passed_on(number, frame)

        return receive

    def _end_tasks(self) -> None:
        self._begun.wait()
        for work in self._on_begin:
            work()
        asked: dict[int, float] = {}
        end_tasks(asked)
        logger.info("the server ends within %d s", round(SECONDS))
        while True:
            time.sleep(_POLL_SECONDS)
            end_tasks(asked)

    def _end_process(self, close_connections: Callable[[], None]) -> None:
        """End the process when its time is over. It waits for nothing, nor does it write a log,
        whose reader may have stopped reading.
        """
        self._begun.wait()
        time.sleep(GRACE_SECONDS)
        close_connections()
        time.sleep(SECONDS - GRACE_SECONDS)
        _kill_children()
        os._exit(128 + self._signal)


def _kill_children() -> None:
    """End every process that this one started, and theirs: also a task that MONAI Label does not
    list yet.
    """
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _close_connections(loop: asyncio.AbstractEventLoop, servers: Iterable[uvicorn.Server]) -> None:
    def close() -> None:
        for server in servers:
            for connection in list(server.server_state.connections):
                connection.transport.abort()

    with contextlib.suppress(RuntimeError):  # the loop has ended: no connection is left
        loop.call_soon_threadsafe(close)


def end_tasks(asked: dict[int, float]) -> None:
    """Drop the tasks that wait, ask each training once to stop, and end the other tasks with their
    children. Call it again and again: a task may have been between its place in the queue and its
    process. `asked` holds when each process was asked, by its id.
    """
    for executor in list(async_tasks.background_executors.values()):
        executor.shutdown(wait=False, cancel_futures=True)
    for kind, process in _running_tasks():
        is_new = process.pid not in asked
        seconds = time.monotonic() - asked.setdefault(process.pid, time.monotonic())
        if kind == _TRAINING:
            if is_new:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGINT)
        elif is_new or seconds > _KILL_SECONDS:
            _end(process, kill=not is_new)


def _running_tasks() -> list[tuple[str, psutil.Process]]:
    found = []
    for kind, processes in list(async_tasks.background_processes.items()):
        for process in list(processes.values()):
            if process.poll() is None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.append((kind, psutil.Process(process.pid)))
    return found


def _end(process: psutil.Process, *, kill: bool) -> None:
    """End a process and its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill() if kill else one.terminate()
