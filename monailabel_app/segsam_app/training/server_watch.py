"""Watch on the server that started a task: training, batch inference and scoring stop when their
server has ended.

A server that is asked to end stops them itself (`web/shutdown.py`). One that is killed would leave
them running: nothing would show or stop them, and the next server could not train.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_SERVER = "SEGSAM_SERVER_PROCESS"
_POLL_SECONDS = 1.0


def mark_children() -> None:
    """Tell child processes through the environment that this process is their server."""
    os.environ[_SERVER] = str(os.getpid())


@contextmanager
def stopping_with_server(poll_seconds: float = _POLL_SECONDS) -> Iterator[None]:
    """Interrupt the main thread, as Ctrl-C does, soon after the server has ended.

    Has no effect in a process that no server started, nor on Windows, where a process cannot see
    that its parent has ended. Enter it in the main thread. Raises KeyboardInterrupt at once if the
    server has ended already.
    """
    server = os.getppid()
    marked = os.environ.get(_SERVER, "")
    if os.name == "nt" or not marked.isdecimal():
        yield
        return
    if marked != str(server):
        if not psutil.pid_exists(int(marked)):  # it ended while this process was starting
            raise KeyboardInterrupt
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
