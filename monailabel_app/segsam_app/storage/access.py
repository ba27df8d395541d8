"""One writer at a time, in this process and among all that work on the same study folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from segsam_app.storage.durable import disk

_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.002


class Turn:
    """A lock for threads and, by MONAI Label's own file `.lock`, for processes; re-entrant.

    The file's lock ends with its process, however that ends.
    """

    def __init__(self, folder: Path) -> None:
        self._threads = threading.RLock()
        self._path = folder / ".lock"
        self._depth = 0
        self._file = FileLock(
            str(self._path),
            timeout=_PATIENCE_SECONDS,
            thread_local=False,  # the other lock keeps threads apart
            poll_interval=_LOOK_SECONDS,
        )

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Hold both; True for the outermost holder. Raises `OutputError` when the folder does not
        let it, or another process keeps it for a minute.
        """
        with self._threads:
            with disk("Locking the study folder"):
                self._file.acquire()
            self._depth += 1
            try:
                yield self._depth == 1
            finally:
                self._depth -= 1
                self._file.release()
