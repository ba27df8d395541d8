"""A training ends with the server that started it, and keeps what it has done.

Ctrl-C in a terminal and a service's manager end both; a signal to the server alone would leave the
training to itself, where nobody sees or stops it, and the next server would have to refuse one.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SERVER = "SEGSAM_SERVER_PROCESS"
_LOOK_SECONDS = 1.0


def tell_children() -> None:
    """Called by a server: the processes that it starts know whose they are."""
    os.environ[_SERVER] = str(os.getpid())


@contextmanager
def ends_with_its_server(look_seconds: float = _LOOK_SECONDS) -> Iterator[None]:
    """Inside, the main thread is interrupted as by Ctrl-C soon after the server has gone.

    Nothing is watched in a process that no server started, nor on Windows, which does not tell when
    a parent goes. Enter it in the main thread.
    """
    server = os.getppid()
    if os.environ.get(_SERVER) != str(server) or os.name == "nt":
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(look_seconds):
            if os.getppid() != server:
                os.kill(os.getpid(), signal.SIGINT)
                return

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:  # a server that a script began with & hands that down
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=watch, name="server-watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
