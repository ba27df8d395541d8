"""MONAI Label's sessions: images that a client sent and that live until it leaves or an hour has
passed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monailabel.utils.sessions import SessionInfo, Sessions


class AppSessions(Sessions):
    """Sessions whose new images are announced, and whose ids cannot point elsewhere in the file
    system.

    Our inference runs in worker threads, and looking a session up writes its time of last use: one
    lock around both.
    """

    def __init__(self, store_path: str, expiry: int, *, on_image: Callable[[Path], None]) -> None:
        super().__init__(store_path, expiry)
        self._on_image = on_image
        self._lock = threading.RLock()

    def get_session(
        self, session_id: str, update_ts: bool = True, fetch_cache: bool = True
    ) -> SessionInfo | None:
        """The session, or None when there is none. An id with a separator in it would be joined to
        a path.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", session_id):
            return None
        with self._lock:
            return super().get_session(session_id, update_ts, fetch_cache)

    def add_session(self, data_file: str, *args: Any, **kwargs: Any) -> tuple[str, SessionInfo]:
        """Keep the image in `data_file` as a new session and announce where it lies now."""
        with self._lock:
            session_id, session = super().add_session(data_file, *args, **kwargs)
        self._on_image(Path(session.image))
        return session_id, session
