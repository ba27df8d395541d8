"""Watch on the server that started a task: training, batch inference and scoring stop when their
server has ended.

A server that is asked to end stops them itself (`web/shutdown.py`). One that is killed would leave
them running: nothing would show or stop them, and the next server could not train. While a task
still imports what it needs, some ten seconds, it has nothing to lose, and ends at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_SERVER = "SEGSAM_SERVER_PROCESS"
_POLL_SECONDS = 0.5
_has_started = threading.Event()
"""Set when a task begins, which has something to lose."""


def mark_children() -> None:
    """Tell child processes through the environment that this process is their server."""
    os.environ[_SERVER] = str(os.getpid())


def end_while_starting(poll_seconds: float = _POLL_SECONDS) -> None:
    """End this process soon after its server has ended, until `stopping_with_server` is entered.

    Has no effect in a process that no server started, nor on Windows. Returns at once.
    """
    server = _server_of_this()
    if server is None:
        return

    def watch() -> None:
        while not _has_started.wait(poll_seconds):
            if os.getppid() != server:
                os._exit(1)

    threading.Thread(target=watch, name="start-watch", daemon=True).start()


@contextmanager
def stopping_with_server(poll_seconds: float = _POLL_SECONDS) -> Iterator[None]:
    """Interrupt the main thread, as Ctrl-C does, soon after the server has ended.

    Has no effect in a process that no server started, nor on Windows, where a process cannot see
    that its parent has ended. Enter it in the main thread. Raises KeyboardInterrupt at once if the
    server has ended already.
    """
    server = _server_of_this()
    _has_started.set()
    if server is None:
        if _has_server_ended():
            raise KeyboardInterrupt  # while this process was starting
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(poll_seconds):
            if os.getppid() != server:
                os.kill(os.getpid(), signal.SIGINT)
                return

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:  # inherited from a server that a shell script started with &
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=watch, name="server-watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_without_server() -> None:
    """End this process at once if its server has ended: what is to be kept is on the disk, and the
    interpreter needs seconds to take itself apart.
    """
    if _has_server_ended():
        os._exit(1)


def _server_of_this() -> int | None:
    """Return the id of the server that started this process; None if none did."""
    parent = os.getppid()
    return parent if os.name != "nt" and os.environ.get(_SERVER) == str(parent) else None


def _has_server_ended() -> bool:
    marked = os.environ.get(_SERVER, "")
    return os.name != "nt" and marked.isdecimal() and not psutil.pid_exists(int(marked))
