"""Write lock of the study folder: one writer at a time, over all threads and processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from segsam.errors import OutputError
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

    @property
    def is_possible(self) -> bool:
        """True if this process may write to the folder; a full disk does not count."""
        file = Path(self._file.lock_file)
        return _is_writable(file.parent) and (not file.exists() or _is_writable(file))

    def check(self) -> None:
        """Raise `OutputError` if this process may not write to the folder."""
        if not self.is_possible:
            raise OutputError(
                "The study folder can only be read (it is read-only, or belongs to another user); "
                "nothing was changed."
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold both locks inside the block.

        Raises `OutputError` if the folder cannot be written to, or another process holds the lock
        for a minute.
        """
        self.check()
        with self._threads:
            with output_errors("Locking the study folder"):
                self._file.acquire()
            try:
                yield
            finally:
                self._file.release()


def _is_writable(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK, effective_ids=effective)
