"""What is done of a batch: one small file for each case, written when its result is whole.

OUT/order.json            what was asked of every case
OUT/records/CASE.json     how a case ended, and what of
OUT/started/CASE.json     a case that somebody is working on, or was when he was killed

A batch that is started again does what has no record. A case that failed, or that ended its process
three times, keeps its record and is not tried again unless that is asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segsam.batch.archive import Item, fingerprint
from segsam.errors import BatchError
from segsam.system.atomic import write_bytes

ORDER, RECORDS, STARTED = "order.json", "records", "started"
MOST_ATTEMPTS = 3
DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class Record:
    """How one case ended.

    `input` is its `fingerprint`; `outputs` are files below the batch's folder, with their bytes;
    `result` is what the work says of it, `error` {"code", "detail"} of one that failed.
    """

    case: str
    status: str
    input: str
    attempts: int
    worker: str
    seconds: float
    outputs: Mapping[str, int]
    result: Mapping[str, Any]
    error: Mapping[str, str] | None = None


class Ledger:
    """The records in the folder of one batch; processes of many machines may share it."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def open(self, order: Mapping[str, Any]) -> None:
        """Begin, or go on with, a batch. Raises BatchError when the folder holds another one, and
        OutputError when it cannot be written to.
        """
        text = json.dumps(order, indent=1, sort_keys=True, default=str) + "\n"
        path = self.out / ORDER
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            found = path.read_text(encoding="utf-8") if path.exists() else None
        except OSError as error:
            raise BatchError(f"{self.out} cannot be used: {error.strerror}.") from error
        if found is not None and found != text:
            changed = _changed(found, order)
            raise BatchError(
                f"{self.out} holds a batch with other settings ({changed}); go on with those, or "
                "name another folder."
            )
        if found is None:
            write_bytes(path, text.encode())

    def record(self, case: str) -> Record | None:
        """How a case ended; None while it has not, and for a record that cannot be read."""
        try:
            text = self._path(RECORDS, case).read_text(encoding="utf-8")
            return Record(**json.loads(text))
        except (OSError, ValueError, TypeError):
            return None

    def settled(self, item: Item, *, retry_failed: bool = False) -> Record | None:
        """The record of a case that needs nothing more: of this very image and prompts, with its
        results in place.
        """
        record = self.record(item.case)
        if record is None or record.input != fingerprint(item):
            return None
        if record.status == FAILED:
            return None if retry_failed else record
        return record if all(self._is_whole(*one) for one in record.outputs.items()) else None

    def forget(self, case: str) -> None:
        """Let a case be tried anew."""
        for folder in (RECORDS, STARTED):
            self._path(folder, case).unlink(missing_ok=True)

    def begin(self, case: str) -> int:
        """Say that this process works on a case; the how manieth attempt it is."""
        attempts = self.attempts(case) + 1
        self._write(STARTED, case, {"attempts": attempts, "worker": this_worker()})
        return attempts

    def attempts(self, case: str) -> int:
        """How often a case was begun since it was last settled."""
        try:
            found = json.loads(self._path(STARTED, case).read_text(encoding="utf-8"))
            return int(found["attempts"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def undo(self, case: str) -> None:
        """The attempt was broken off by who ordered it, and does not count."""
        self._path(STARTED, case).unlink(missing_ok=True)

    def settle(self, record: Record) -> None:
        """Write down how a case ended. Raises OutputError when the disk refuses."""
        self._write(RECORDS, record.case, asdict(record))
        with contextlib.suppress(OSError):
            self._path(STARTED, record.case).unlink(missing_ok=True)

    def _is_whole(self, name: str, size: int) -> bool:
        path = self.out / name
        return path.is_file() and path.stat().st_size == size

    def _write(self, folder: str, case: str, value: Mapping[str, Any]) -> None:
        path = self._path(folder, case)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, (json.dumps(value, default=_plain, allow_nan=False) + "\n").encode())

    def _path(self, folder: str, case: str) -> Path:
        return self.out / folder / f"{case}.json"


def this_worker() -> str:
    """This process among those of all machines: host:pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _plain(value: object) -> object:
    """What JSON has no word for, as what it has one for."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON")


def _changed(text: str, order: Mapping[str, Any]) -> str:
    try:
        before = json.loads(text)
    except ValueError:
        return "which cannot be read"
    now = json.loads(json.dumps(order, default=str))
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return ", ".join(names)
