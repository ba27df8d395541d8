"""Progress file of a training, which the server reads while another process writes it.

Numbers are finite or left out: with a single NaN in `/info/`, 3D Slicer cannot connect at all.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from segsam.errors import DamagedRecordError
from segsam.system.atomic import write_json
from segsam.system.checked_json import read_object, with_checksum
from segsam.system.records import sentence_of
from segsam.types import Progress
from segsam_app.strict_json import json_safe

logger = logging.getLogger(__name__)

FILE = "training.json"
PREPARING, LEARNING, MEASURING = "preparing", "learning", "measuring"
DONE, ERROR, STOPPED = "done", "error", "stopped"
_ENDINGS = frozenset({DONE, ERROR, STOPPED})
_UNSEEN_END = (
    "the process of the training ended before the training did: it was stopped or ended with its "
    "server, or perhaps memory ran out; the next training on the same labels continues from its "
    "last checkpoint"
)
_TIMES_DIFFER_SECONDS = 2.0
_MAX_BYTES = 1 << 20
_WRITE_SECONDS = 0.5
_LOG_SECONDS = 5.0


class _Facts(TypedDict, total=False):
    """Types of the keys that clients calculate with."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    status: str
    what: str
    why: str
    started: float
    pid: int
    epoch: int
    total_epochs: int
    done: int
    total: int
    best_metric: float


_READER = TypeAdapter(_Facts)


class ProgressFile:
    """Writer of the progress file; its keys are those that MONAI Label's clients read."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._started = clock()
        self._written = self._logged = -1e9
        self._facts: dict[str, Any] = started_facts(os.getpid(), time.time())

    def phase(self, name: str, what: str) -> Progress:
        """Begin a phase; call the returned function with (done, total, what) at each step."""
        self._facts |= {"status": name, "what": what, "done": 0, "total": 0}
        self._write()
        logger.info("training: %s", what)

        def step(done: int, total: int, what: str) -> None:
            self._facts |= {"what": what, "done": done, "total": total}
            now = self._clock()
            if now - self._written >= _WRITE_SECONDS:
                self._write()
            if now - self._logged >= _LOG_SECONDS:
                self._logged = now
                logger.info("training: %s %d of %d: %s", name, done, total, what)

        return step

    def learning(self, epochs: int) -> Progress:
        """Begin the phase of the training steps, which are also counted as `epochs`."""
        report = self.phase(LEARNING, "learning")
        self._facts["total_epochs"] = epochs

        def step(done: int, total: int, what: str) -> None:
            self._facts["epoch"] = min(epochs, 1 + done * epochs // max(1, total))
            report(done, total, what)

        return step

    def add(self, **facts: Any) -> None:
        """Add facts."""
        self._facts |= facts
        self._write()

    def finish(self, status: str, why: str, **facts: Any) -> dict[str, Any]:
        """Write the final status and the sentence `why`, and return all facts."""
        seconds = round(self._clock() - self._started)
        epochs = self._facts["total_epochs"]
        self._facts |= {"status": status, "why": why, "total_time": str(timedelta(seconds=seconds))}
        self._facts |= {"epoch": epochs} if status == DONE else {}
        self.add(**facts)
        logger.info("training: %s", why)
        return dict(json_safe(self._facts))

    def _write(self) -> None:
        self._written = self._clock()
        write_json(self._path, with_checksum(json_safe(self._facts)))


def read_progress(folder: Path) -> dict[str, Any]:
    """Return the progress of the last training; {} if there was none, or its file is damaged.

    A training whose process is gone has ended, although it could not write that.
    """
    facts = _facts(folder)
    if facts and _is_under_way(facts) and not _may_run(folder / FILE, facts.get("pid")):
        facts |= {"status": ERROR, "why": _UNSEEN_END}
    return facts


def note_end(folder: Path, pid: int, status: str, why: str, *, accepted: float = 0.0) -> None:
    """Write how the training in the process `pid` ended, unless it wrote that itself. One that was
    `accepted` later than what the file tells of ended before it wrote anything.

    Raises `OutputError`.
    """
    facts = _facts(folder)
    if facts.get("started", 0.0) < accepted:
        facts = started_facts(pid, accepted)
    if facts.get("pid") == pid and _is_under_way(facts):
        write_json(folder / FILE, with_checksum(facts | {"status": status, "why": why}))


def started_facts(pid: int, started: float) -> dict[str, Any]:
    """Return the facts about a training that has only been started."""
    return {
        "status": PREPARING,
        "what": "starting",
        "started": started,
        "pid": pid,
        "epoch": 0,
        "total_epochs": 0,
        "best_metric": 0.0,
    }


def _facts(folder: Path) -> dict[str, Any]:
    try:
        return dict(_READER.validate_python(read_object(folder / FILE, _MAX_BYTES), strict=True))
    except (DamagedRecordError, ValidationError, OSError):
        return {}


def _is_under_way(facts: Mapping[str, Any]) -> bool:
    return facts.get("status") not in _ENDINGS


def _may_run(path: Path, pid: object) -> bool:
    """Return False if the process that wrote a progress file is gone: there is none of its number,
    or one that began after the file was written.
    """
    if not isinstance(pid, int):
        return True
    try:
        process = psutil.Process(pid)
        is_later = process.create_time() > path.stat().st_mtime + _TIMES_DIFFER_SECONDS
        return process.status() != psutil.STATUS_ZOMBIE and not is_later
    except psutil.NoSuchProcess:
        return False
    except (psutil.AccessDenied, OSError):
        return True


def damage_of_progress(folder: Path) -> str:
    """Return what is wrong with the progress file; empty if it is good, or there is none."""
    try:
        _READER.validate_python(read_object(folder / FILE, _MAX_BYTES), strict=True)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or type(error).__name__
    except DamagedRecordError as error:
        return str(error)
    except ValidationError as error:
        return sentence_of(error)
    return ""
