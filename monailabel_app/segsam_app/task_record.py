"""Record of the last batch inference and the last scoring, on disk: one that was interrupted is
known after a new start of the server, too. Trainings have a record of their own
(`training.progress`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from segsam.errors import OutputError
from segsam.system.atomic import write_json
from segsam.system.checked_json import with_checksum
from segsam_app.records import TypedFile
from segsam_app.task_ends import TIME_FORMAT, WHAT_REMAINS, Kind, may_run

logger = logging.getLogger(__name__)

TASKS = "tasks.json"
_MAX_BYTES = 1 << 16
_writing = threading.Lock()
_UNSEEN_END = "it was interrupted: its server ended, or was ended, before it did"


class _Task(TypedDict):
    """What is kept of a task; `status` is "" until it has ended."""

    server: int
    start_ts: str
    request: dict[str, str]
    status: str
    end_ts: str
    why: str


_FILE = TypedFile(TypeAdapter(dict[str, _Task]), _MAX_BYTES)


class TaskRecord:
    """Writer and reader of the record in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TASKS

    def note_accepted(self, kind: Kind, request: Mapping[str, Any]) -> None:
        """Write that this server starts a task now."""
        named = _named(request)
        task: _Task = {
            "server": os.getpid(),
            "start_ts": datetime.today().strftime(TIME_FORMAT),
            "request": named,
            "status": "",
            "end_ts": "",
            "why": "",
        }
        with _writing:
            self._write({**self._read(), kind: task})

    def note_end(self, kind: Kind, request: Mapping[str, Any], status: str, why: str) -> None:
        """Write how a task ended; one without a sentence `why` went well, and is forgotten."""
        with _writing:
            known = self._read()
            task = known.get(kind)
            if task is None or task["request"] != _named(request) or task["server"] != os.getpid():
                return
            if why:
                ended = datetime.today().strftime(TIME_FORMAT)
                known[kind] = {**task, "status": status, "end_ts": ended, "why": why}
            else:
                del known[kind]
            self._write(known)

    def interrupted(self, kind: Kind) -> dict[str, Any] | None:
        """Return the last task of an earlier start of the server, as MONAI Label describes one, if
        it did not end well.
        """
        task = self._read().get(kind)
        if task is None or (not task["status"] and self._may_run(task)):
            return None
        unseen = {"status": "ERROR", "why": f"{_UNSEEN_END}; {WHAT_REMAINS[kind]}"}
        return {**task, **({} if task["status"] else unseen)}

    def _may_run(self, task: _Task) -> bool:
        """Return True if another server, which runs, has the task."""
        return task["server"] != os.getpid() and may_run(self._path, task["server"])

    def _read(self) -> dict[str, _Task]:
        return _FILE.read(self._path)

    def _write(self, tasks: Mapping[str, _Task]) -> None:
        """Write the record; where that is not possible, tasks run all the same."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, with_checksum(tasks))
        except (OSError, OutputError) as error:
            logger.warning("the record of tasks was not written: %s", error)


def damage_of_tasks(folder: Path) -> str:
    """Return what is wrong with the record; empty if it is good, or there is none."""
    return _FILE.damage(folder / TASKS)


def _named(request: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells one task of a kind from another in a request."""
    return {key: str(request[key]) for key in ("model", "images", "method") if key in request}
