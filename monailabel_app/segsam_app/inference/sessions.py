"""Sessions: images that a client uploaded, until the client closes them or stops using them.

Two timers end a session, both on the monotonic clock, so that setting the system clock ends none.
The idle timer ends a session that nobody uses for `session_idle_seconds`, or less if the request
that opened it had an `expiry`. The alive timer holds for a client that has once called
`PUT /session/{id}/alive`: it has to call again within `session_alive_seconds`. Stock clients never
do, so only the idle timer holds for them.

Ids are random, files get names of ours, and an upload is never unpacked. The folder of a process is
`segsam-<process id>` inside MONAI Label's session folder. The clean-up removes only from such
folders: files without a session in its own, and whole folders of processes that have ended.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from segsam.imaging.readers import ending_by_content
from segsam_app.errors import BusyError, GoneError, NotFoundError
from segsam_app.limits import Limits

_MAX_ENDED_IDS = 10_000
_PROCESS_FOLDER = re.compile(r"segsam-(\d{1,10})")


@dataclass
class Session:
    """One image. `created` is wall-clock time, the other times are on the monotonic clock."""

    id: str
    image: Path
    bytes: int
    idle_seconds: float
    created: float
    opened: float
    used: float
    alive: float | None = None
    is_complete: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the description in MONAI Label's form, without paths of the server."""
        return {
            "name": self.id,
            "path": "",
            "image": self.image.name,
            "meta": {},
            "create_ts": int(self.created),
            "last_access_ts": int(self.created + self.used - self.opened),
            "expiry": int(self.idle_seconds),
        }


@dataclass(frozen=True)
class Upload:
    """File of a request: its content, its size, the name that the server gives it, and the name
    with which it was sent, for sentences; "" for the only file.
    """

    file: BinaryIO
    bytes: int
    name: str
    sent_name: str = ""


def sessions_folder(folder: str) -> Path:
    """Return the folder of this process inside `folder` or, if that is empty, inside MONAI Label's
    default.
    """
    chosen = folder.strip() or str(Path.home() / ".cache" / "monailabel" / "sessions")
    return Path(chosen) / f"segsam-{os.getpid()}"


class AppSessions:
    """Sessions of one server. Thread-safe."""

    def __init__(
        self,
        folder: str,
        limits: Limits,
        *,
        on_image: Callable[[Path], None],
        on_end: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_image` is called with the image of each new session, `on_end` with the id of each
        that has ended.
        """
        self.folder = sessions_folder(folder)
        self._limits = limits
        self._on_image = on_image
        self._on_end = on_end
        self._clock = clock
        self._lock = threading.RLock()
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    def add(
        self, uploads: Sequence[Upload], check: Callable[[Path], None], idle_seconds: int = 0
    ) -> Session:
        """Store one image, or the files of one DICOM series, if `check` accepts it.

        Raises `BusyError` if the limit of sessions or of their bytes is reached.
        """
        session = self._reserve(sum(upload.bytes for upload in uploads), idle_seconds)
        try:
            session.image = self._write(session.id, uploads)
            check(session.image)
            session.is_complete = True
        finally:
            if not session.is_complete:
                self._end(session.id)
        self._on_image(session.image)
        return session

    def get(self, session_id: str, *, use: bool = True) -> Session:
        """Return the session; `use` restarts its idle timer. Raises `GoneError` if it has ended by
        itself, `NotFoundError` if it never existed or its client closed it.
        """
        with self._lock:
            self._end_expired()
            session = self._open.get(session_id)
            if session is None or not session.is_complete:
                raise self._missing(session_id)
            if use:
                session.used = self._clock()
            return session

    def keep_alive(self, session_id: str) -> Session:
        """Restart the alive timer. Raises as `get` does."""
        session = self.get(session_id, use=False)
        session.alive = self._clock()
        return session

    def close(self, session_id: str) -> Session:
        """End a session at its client's request. Raises as `get` does."""
        session = self.get(session_id, use=False)
        self._end(session_id)
        return session

    def remove_expired(self) -> int:
        """End expired sessions, remove stray files, and return the number of ended sessions. MONAI
        Label calls it every five minutes.
        """
        with self._lock:
            ended = self._end_expired()
            known = set(self._open)
            strays = [path for path in _inside(self.folder) if path.name not in known]
        for path in [*strays, *self._folders_of_ended_processes()]:
            _remove(path)
        self._remove_empty_folder()
        return ended

    @property
    def count(self) -> int:
        """Number of open sessions."""
        return len(self._open)

    @property
    def bytes(self) -> int:
        """Size of all open sessions."""
        with self._lock:
            return sum(session.bytes for session in self._open.values())

    def _reserve(self, size: int, idle_seconds: int) -> Session:
        max_idle = self._limits.session_idle_seconds
        idle = min(idle_seconds, max_idle) if idle_seconds > 0 else max_idle
        with self._lock:
            self._end_expired()
            if len(self._open) >= self._limits.sessions:
                raise BusyError(
                    f"{len(self._open)} sessions are open, as many as may be (setting sessions); "
                    "close one, or try again later"
                )
            if self.bytes + size > self._limits.sessions_bytes:
                raise BusyError(
                    f"the open sessions have {self.bytes >> 20} MB, and with this image they would "
                    f"have more than {self._limits.sessions_megabytes} MB (setting "
                    "sessions_megabytes); close one, or try again later"
                )
            session_id = f"s{secrets.token_urlsafe(16)}"  # an id may not begin with "-"
            now = self._clock()
            session = Session(session_id, self.folder, size, idle, time.time(), now, now)
            self._open[session_id] = session
            return session

    def _write(self, session_id: str, uploads: Sequence[Upload]) -> Path:
        folder = self.folder / session_id
        with self._lock:  # it does not vanish in between
            folder.mkdir(mode=0o700, parents=True)
        if len(uploads) > 1:
            folder = folder / "upload"  # sentences about the series name its folder
            folder.mkdir(mode=0o700)
        for upload in uploads:
            with (folder / upload.name).open("xb") as copy:
                shutil.copyfileobj(upload.file, copy, 1 << 20)
        if len(uploads) > 1:
            return folder
        image = folder / uploads[0].name
        return image if image.suffix else image.rename(image.with_suffix(ending_by_content(image)))

    def _end_expired(self) -> int:
        """End the expired sessions and return their number; the caller holds the lock."""
        expired = [one.id for one in self._open.values() if one.is_complete and self._expired(one)]
        for session_id in expired:
            self._end(session_id)
            self._ended[session_id] = None
        while len(self._ended) > _MAX_ENDED_IDS:
            self._ended.popitem(last=False)
        return len(expired)

    def _expired(self, session: Session) -> bool:
        now = self._clock()
        is_silent = (
            session.alive is not None and now - session.alive > self._limits.session_alive_seconds
        )
        return is_silent or now - session.used > session.idle_seconds

    def _end(self, session_id: str) -> None:
        with self._lock:
            self._open.pop(session_id, None)
        _remove(self.folder / session_id)
        self._remove_empty_folder()
        self._on_end(session_id)

    def _remove_empty_folder(self) -> None:
        """Remove this process's folder while it holds no session: nobody does so at the end."""
        with self._lock, suppress(OSError):
            self.folder.rmdir()

    def _missing(self, session_id: str) -> GoneError | NotFoundError:
        if session_id in self._ended:
            return GoneError("the session has ended because it was not used; send the image again")
        return NotFoundError(
            f"there is no session {session_id!r:.80}: it has ended or never was; "
            "send the image again"
        )

    def _folders_of_ended_processes(self) -> list[Path]:
        found = [(p, _PROCESS_FOLDER.fullmatch(p.name)) for p in _inside(self.folder.parent)]
        return [path for path, own in found if own and not psutil.pid_exists(int(own.group(1)))]


def require_sessions(sessions: AppSessions | None) -> AppSessions:
    """Return `sessions`. Raises `NotFoundError` if the server has none."""
    if sessions is None:
        raise NotFoundError("sessions are switched off on this server (MONAI_LABEL_SESSIONS)")
    return sessions


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it does not exist yet, or no longer
        return []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return  # the next clean-up tries again
