"""Progress file of a training, which the server reads while another process writes it, and the file
of the trainings that a server accepted: one that never began is known after a new start, too.

Numbers are finite or left out: with a single NaN in `/info/`, 3D Slicer cannot connect at all.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from segsam.system.atomic import write_json
from segsam.system.checked_json import with_checksum
from segsam.training.run_state import LAST
from segsam.types import Progress
from segsam_app.records import TypedFile
from segsam_app.strict_json import json_safe
from segsam_app.task_ends import may_run

logger = logging.getLogger(__name__)

FILE = "training.json"
ACCEPTED = "accepted.json"
FILES = (FILE, ACCEPTED)
PREPARING, LEARNING, MEASURING = "preparing", "learning", "measuring"
DONE, ERROR, STOPPED = "done", "error", "stopped"
_ENDINGS = frozenset({DONE, ERROR, STOPPED})
_STARTING = "starting"
"""What a training does until it writes something else."""
_UNSEEN_END = (
    "the process of the training ended before the training did: it was stopped or ended with its "
    "server, or perhaps memory ran out"
)
_CONTINUES = "the next training on the same labels continues from"
_STARTS_ANEW = "it left no checkpoint, so the next training starts anew"
_START_AGAIN = "it had made no step: start it again"
_NEVER_BEGAN = "this training was interrupted before its first step: start it again"
_ANOTHER_NEVER_BEGAN = "the training that waited for it was interrupted too: start it again"
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
    accepted: float
    pid: int
    epoch: int
    total_epochs: int
    done: int
    total: int
    best_metric: float


class _Accepted(TypedDict):
    """Trainings of one server that had not ended when it accepted the last of them."""

    server: int
    accepted: list[float]


_READERS = {
    FILE: TypedFile(TypeAdapter(_Facts), _MAX_BYTES),
    ACCEPTED: TypedFile(TypeAdapter(_Accepted), _MAX_BYTES),
}


class ProgressFile:
    """Writer of the progress file; its keys are those that MONAI Label's clients read."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        *,
        accepted: float | None = None,
    ) -> None:
        """Write into `folder` about the training that a server `accepted` at that time, if any."""
        self._path = folder / FILE
        self._clock = clock
        self._started = clock()
        self._written = self._logged = -1e9
        self._facts: dict[str, Any] = started_facts(os.getpid(), time.time(), accepted)

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


def read_progress(folder: Path, unfinished: Collection[float] = ()) -> dict[str, Any]:
    """Return the progress of the last training; {} if there was none, or its file is damaged.

    A training whose process is gone has ended, although it could not write that. One that a server
    accepted, and that never began, was interrupted: its server is gone, or it is not one of the
    `unfinished` trainings of this process.
    """
    facts = _facts(folder)
    if facts and is_under_way(facts) and not may_run(folder / FILE, facts.get("pid")):
        facts |= {"status": ERROR, "why": f"{_UNSEEN_END}; {_what_remains(folder, facts)}"}
    trainings = _read(folder, ACCEPTED)
    if (facts and is_under_way(facts)) or not _is_interrupted(folder, facts, trainings, unfinished):
        return facts
    if facts.get("accepted") in trainings["accepted"]:
        why = "; ".join(filter(None, [facts.get("why"), _ANOTHER_NEVER_BEGAN]))
        return facts | {"why": why}
    last = trainings["accepted"][-1]
    return started_facts(None, last, last) | {"status": ERROR, "why": _NEVER_BEGAN}


def note_accepted(folder: Path, accepted: Sequence[float]) -> None:
    """Write when this server accepted its trainings that have not ended, the last one now.

    Raises `OutputError`.
    """
    record: _Accepted = {"server": os.getpid(), "accepted": list(accepted)}
    write_json(folder / ACCEPTED, with_checksum(record))


def note_end(folder: Path, pid: int, status: str, why: str, *, accepted: float = 0.0) -> None:
    """Write how the training in the process `pid` ended, unless it wrote that itself. If the file
    does not tell of the one that was `accepted` then, it ended before it wrote anything.

    Raises `OutputError`.
    """
    facts = _facts(folder)
    if accepted and facts.get("accepted") != accepted:
        facts = started_facts(pid, accepted, accepted)
    if facts.get("pid") == pid and is_under_way(facts):
        write_json(folder / FILE, with_checksum(facts | {"status": status, "why": why}))


def what_remains(folder: Path, accepted: float | None, saved: str = "its last checkpoint") -> str:
    """Return what is left for the next training of one that ends now: a clause."""
    facts = _facts(folder)
    return _what_remains(folder, facts if facts.get("accepted") == accepted else {}, saved)


def last_checkpoint(folder: Path) -> Path:
    """Return the file with the last checkpoint of a training that has not ended by itself."""
    return folder / "run" / "learning" / LAST


def started_facts(pid: int | None, started: float, accepted: float | None = None) -> dict[str, Any]:
    """Return the facts about a training that has only been started, or accepted."""
    return {
        "status": PREPARING,
        "what": _STARTING,
        "started": started,
        **({} if accepted is None else {"accepted": accepted}),
        **({} if pid is None else {"pid": pid}),
        "epoch": 0,
        "total_epochs": 0,
        "best_metric": 0.0,
    }


def is_under_way(facts: Mapping[str, Any]) -> bool:
    """Return True for the facts about a training that has not ended."""
    return facts.get("status") not in _ENDINGS


def _facts(folder: Path) -> dict[str, Any]:
    return _read(folder, FILE)


def _read(folder: Path, name: str) -> dict[str, Any]:
    return _READERS[name].read(folder / name)


def _what_remains(
    folder: Path, facts: Mapping[str, Any], saved: str = "its last checkpoint"
) -> str:
    """Return what is left for the next training. Until a training has compared its plan with that
    of the one before, a checkpoint that is there may be of either.
    """
    if facts.get("what", _STARTING) == _STARTING:
        return _START_AGAIN
    return f"{_CONTINUES} {saved}" if last_checkpoint(folder).is_file() else _STARTS_ANEW


def _is_interrupted(
    folder: Path,
    facts: Mapping[str, Any],
    trainings: Mapping[str, Any],
    unfinished: Collection[float],
) -> bool:
    """Return True if the last of the accepted trainings never wrote anything, and will not."""
    accepted = trainings.get("accepted")
    if not accepted:
        return False
    last, server = accepted[-1], trainings["server"]
    is_told_of = facts.get("accepted") == last
    is_followed = facts.get("accepted") not in accepted and facts.get("started", 0.0) >= last
    if is_told_of or is_followed or last in unfinished:
        return False
    return server == os.getpid() or not may_run(folder / ACCEPTED, server)


def damage_of_progress(folder: Path, name: str = FILE) -> str:
    """Return what is wrong with one of the `FILES`; empty if it is good, or there is none."""
    return _READERS[name].damage(folder / name)
