"""How far a long inference is: `GET /segsam/progress/{request_id}` while it runs.

The client gives the inference a `request_id` of its own; nothing is kept of those without one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Depends
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from segsam.types import Progress
from segsam_app.errors import NotFoundError
from segsam_app.ids import checked_id

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)
_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))


class Jobs:
    """The inferences that run now; safe from any thread."""

    def __init__(self) -> None:
        self._running: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def told(self, request_id: str | None) -> Iterator[Progress]:
        """What to call with (done, planned, what); it is forgotten at the end."""
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

    def look(self, request_id: str) -> dict[str, Any]:
        """{"done", "planned", "what"} of a running one. Raises `NotFoundError`."""
        with self._lock:
            found = self._running.get(request_id)
        if found is None:
            raise NotFoundError(f"no inference with the request_id {request_id!r:.80} runs")
        return dict(found)


@router.get("/segsam/progress/{request_id}", include_in_schema=False)
def progress_of(request_id: str, user: User = _USER) -> dict[str, Any]:
    """How far the inference is that was sent with this `request_id`."""
    found: dict[str, Any] = app_instance().jobs.look(checked_id("request_id", request_id))
    return found
