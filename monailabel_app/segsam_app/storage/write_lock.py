"""Write lock of the study folder: one writer at a time, over all threads and processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from segsam_app.storage.disk import output_errors

_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.002


class WriteLock:
    """Re-entrant lock: an `RLock` for threads, MONAI Label's file `.lock` for processes.

    The operating system releases the file lock when its process ends, even after a kill.
    """

    def __init__(self, folder: Path) -> None:
        self._threads = threading.RLock()
        self._file = FileLock(
            str(folder / ".lock"),
            timeout=_TIMEOUT_SECONDS,
            thread_local=False,  # the RLock already separates threads
            poll_interval=_POLL_SECONDS,
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold both locks inside the block.

        Raises `OutputError` if the folder cannot be written to, or another process holds the lock
        for a minute.
        """
        with self._threads:
            with output_errors("Locking the study folder"):
                self._file.acquire()
            try:
                yield
            finally:
                self._file.release()
