"""Sessions: images that a client sent, and that live until it leaves or is not heard of any more.

Two clocks, both of the monotonic kind, so that a clock that is set ends nothing. A session that
nobody uses ends after its idle time (the setting `session_idle_seconds`, or less when the request
that opened it said `expiry`). A client that once said that it is alive (`PUT
/session/{id}/alive`) has to say so again within `session_alive_seconds`; stock clients never do,
and for them only the idle time counts.

Ids are random, files get names of ours, and an upload is never unpacked. The folder of a process
is `segsam-<its number>` inside MONAI Label's session folder; the cleaner touches nothing but such
folders: in its own whatever belongs to no session, and those of processes that are no more.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from segsam_app.errors import BusyError, GoneError, NotFoundError
from segsam_app.limits import Limits

_KEPT_IDS = 10_000
_OWN = re.compile(r"segsam-(\d{1,10})")


@dataclass
class Session:
    """One image; times are of the monotonic clock, but for `created`."""

    id: str
    image: Path
    bytes: int
    idle_seconds: float
    created: float
    opened: float
    used: float
    alive: float | None = None
    is_complete: bool = False

    def told(self) -> dict[str, Any]:
        """As MONAI Label tells it, without where things lie on the server."""
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
    """A file that came with a request: its bytes, how many, and the name that we give it."""

    file: BinaryIO
    bytes: int
    name: str


def sessions_folder(folder: str) -> Path:
    """Where this process keeps sessions: inside `folder` or, if that is empty, MONAI Label's."""
    chosen = folder.strip() or str(Path.home() / ".cache" / "monailabel" / "sessions")
    return Path(chosen) / f"segsam-{os.getpid()}"


class AppSessions:
    """All sessions of one server; every method may be called from any thread."""

    def __init__(
        self,
        folder: str,
        limits: Limits,
        *,
        on_image: Callable[[Path], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = sessions_folder(folder)
        self._limits = limits
        self._on_image = on_image
        self._clock = clock
        self._lock = threading.RLock()
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    def add(
        self, uploads: Sequence[Upload], check: Callable[[Path], None], idle_seconds: int = 0
    ) -> Session:
        """Keep one image, or the files of one DICOM series, once `check` has accepted it.

        Raises `BusyError` when there are as many sessions, or as many bytes, as are allowed.
        """
        session = self._reserved(sum(upload.bytes for upload in uploads), idle_seconds)
        try:
            session.image = self._written(session.id, uploads)
            check(session.image)
            session.is_complete = True
        finally:
            if not session.is_complete:
                self._end(session.id)
        self._on_image(session.image)
        return session

    def get(self, session_id: str, *, use: bool = True) -> Session:
        """The session, whose idle clock starts again with `use`. Raises `GoneError` when it has
        ended by itself, `NotFoundError` when it never was or its client closed it.
        """
        with self._lock:
            self._sweep()
            session = self._open.get(session_id)
            if session is None or not session.is_complete:
                raise self._missing(session_id)
            if use:
                session.used = self._clock()
            return session

    def path(self, session_id: str) -> Path:
        """Where its image lies. Raises as `get` does."""
        return self.get(session_id).image

    def keep_alive(self, session_id: str) -> Session:
        """The client is there. Raises as `get` does."""
        session = self.get(session_id, use=False)
        session.alive = self._clock()
        return session

    def close(self, session_id: str) -> Session:
        """End a session for its client. Raises as `get` does."""
        session = self.get(session_id, use=False)
        self._end(session_id)
        return session

    def remove_expired(self) -> int:
        """Clean up: called by MONAI Label every five minutes. Returns how many sessions ended."""
        with self._lock:
            ended = self._sweep()
            known = set(self._open)
            strays = [path for path in _inside(self.folder) if path.name not in known]
        for path in [*strays, *self._of_dead_processes()]:
            _remove(path)
        return ended

    @property
    def count(self) -> int:
        return len(self._open)

    @property
    def bytes(self) -> int:
        with self._lock:
            return sum(session.bytes for session in self._open.values())

    def _reserved(self, size: int, idle_seconds: int) -> Session:
        most_idle = self._limits.session_idle_seconds
        idle = min(idle_seconds, most_idle) if idle_seconds > 0 else most_idle
        with self._lock:
            self._sweep()
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
            session_id = f"s{secrets.token_urlsafe(16)}"  # an id does not begin with "-"
            now = self._clock()
            session = Session(session_id, self.folder, size, idle, time.time(), now, now)
            self._open[session_id] = session
            return session

    def _written(self, session_id: str, uploads: Sequence[Upload]) -> Path:
        folder = self.folder / session_id
        folder.mkdir(mode=0o700, parents=True)
        for upload in uploads:
            with (folder / upload.name).open("xb") as copy:
                shutil.copyfileobj(upload.file, copy, 1 << 20)
        return folder / uploads[0].name if len(uploads) == 1 else folder

    def _sweep(self) -> int:
        """End what has run out; the caller holds the lock."""
        out = [each.id for each in self._open.values() if each.is_complete and self._is_over(each)]
        for session_id in out:
            self._end(session_id)
            self._ended[session_id] = None
        while len(self._ended) > _KEPT_IDS:
            self._ended.popitem(last=False)
        return len(out)

    def _is_over(self, session: Session) -> bool:
        now = self._clock()
        is_silent = (
            session.alive is not None and now - session.alive > self._limits.session_alive_seconds
        )
        return is_silent or now - session.used > session.idle_seconds

    def _end(self, session_id: str) -> None:
        with self._lock:
            self._open.pop(session_id, None)
        _remove(self.folder / session_id)

    def _missing(self, session_id: str) -> GoneError | NotFoundError:
        if session_id in self._ended:
            return GoneError("the session has ended, for nobody used it; send the image again")
        return NotFoundError(
            f"there is no session {session_id!r:.80}: it has ended or never was; "
            "send the image again"
        )

    def _of_dead_processes(self) -> list[Path]:
        found = [(path, _OWN.fullmatch(path.name)) for path in _inside(self.folder.parent)]
        return [path for path, own in found if own and not psutil.pid_exists(int(own.group(1)))]


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # not there yet, or not any more
        return []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return  # the next cleaning tries again
