"""Progress of the inferences that run now (`GET /segsam/progress/{request_id}`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from segsam.types import Progress
from segsam_app.errors import NotFoundError


class ProgressTracker:
    """Progress by the `request_id` that clients choose; nothing is stored of a request without one.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._running: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def track(self, request_id: str | None) -> Iterator[Progress]:
        """Return the function to call with (done, planned, what); its last report is dropped at the
        end of the block.
        """
        name = request_id or ""

        def progress(done: int, planned: int, what: str) -> None:
            if name:
                with self._lock:
                    self._running[name] = {"done": done, "planned": planned, "what": what}

        try:
            yield progress
        finally:
            with self._lock:
                self._running.pop(name, None)

    def get(self, request_id: str) -> dict[str, Any]:
        """Return {"done", "planned", "what"} of a running inference. Raises `NotFoundError`."""
        with self._lock:
            found = self._running.get(request_id)
        if found is None:
            raise NotFoundError(f"no inference with the request_id {request_id!r:.80} runs")
        return dict(found)
