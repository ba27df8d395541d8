"""Records of a batch: one small JSON file per case, written once its result is complete.

OUT/order.json            the settings of the batch
OUT/records/CASE.json     how a case ended
OUT/started/CASE.json     a case that a worker is processing, or was when it was killed

A batch that is started again processes the cases without a record. A case that failed, or that
ended its process three times, keeps its record and is retried only on request.

Nothing that others wrote is replaced: a batch begins in a new or empty folder, and a label that was
corrected since stays, or is kept beside the new one where its case has to be done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from segsam.batch.archive import Item, fingerprint
from segsam.errors import BatchError, OutputError
from segsam.imaging.image_files import first_file_in
from segsam.system.atomic import write_bytes, write_json

SETTINGS, RECORDS, STARTED = "order.json", "records", "started"
MAX_ATTEMPTS = 3
DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class Record:
    """Record of how one case ended.

    `input` is its `fingerprint`; `outputs` are files below the batch's folder with their SHA-256,
    or with their sizes in bytes in records of segsam 0.1; `result` is what the task found; `error`
    is {"code", "detail"} of a case that failed.
    """

    case: str
    status: str
    input: str
    attempts: int
    worker: str
    seconds: float
    outputs: Mapping[str, str | int]
    result: Mapping[str, Any]
    error: Mapping[str, str] | None = None


class RecordStore:
    """Records in the folder of one batch; processes on several machines may share it."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def open(self, settings: Mapping[str, Any]) -> None:
        """Start or continue a batch with these settings.

        Raises:
            BatchError: the folder cannot be used, or holds a batch with other settings, or other
                files and no batch.
            OutputError: the settings cannot be written.
        """
        text = json.dumps(settings, indent=1, sort_keys=True, default=str) + "\n"
        path = self.out / SETTINGS
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            found = path.read_text(encoding="utf-8") if path.exists() else None
            other = first_file_in(self.out)
        except OSError as error:
            raise BatchError(f"{self.out} cannot be used: {error.strerror}.") from error
        if found is not None and found != text:
            changed = _changed(found, settings)
            raise BatchError(
                f"{self.out} holds a batch with other settings ({changed}); use the same settings, "
                "or another folder."
            )
        if found is None:
            if other is not None:
                raise BatchError(
                    f"Expected a new or empty folder, or that of an earlier batch, got {self.out} "
                    f"with {other}. Nothing in it was changed."
                )
            write_bytes(path, text.encode())

    def record(self, case: str) -> Record | None:
        """Return how a case ended; None if it has no record, or one that cannot be read."""
        try:
            text = self._path(RECORDS, case).read_text(encoding="utf-8")
            return Record(**json.loads(text))
        except (OSError, ValueError, TypeError):
            return None

    def finished(self, item: Item, *, retry_failed: bool = False) -> Record | None:
        """Return the record of a case that needs no more work, or None.

        The record must belong to the same image and prompts, and its output files must be there.
        """
        record = self.record(item.case)
        if record is None or record.input != fingerprint(item):
            return None
        if record.status == FAILED:
            return None if retry_failed else record
        return record if all((self.out / name).is_file() for name in record.outputs) else None

    def changed(self, record: Record) -> tuple[str, ...]:
        """Return the output files of a case that are not as the batch wrote them."""
        return tuple(name for name, mark in record.outputs.items() if not self._is_own(name, mark))

    def keep_others(self, case: str, names: Sequence[str]) -> dict[str, str]:
        """Rename the files at the places of a case's outputs that the batch did not write so.

        Returns:
            The new name of each, such as `labels/a.kept-1.nii.gz`.

        Raises:
            OutputError: a file cannot be renamed.
        """
        record, kept = self.record(case), dict[str, str]()
        for name in names:
            mark = "" if record is None else record.outputs.get(name, "")
            if (self.out / name).is_file() and not self._is_own(name, mark):
                kept[name] = _set_aside(self.out / name).relative_to(self.out).as_posix()
        return kept

    def reset(self, case: str) -> None:
        """Delete the record and the attempts of a case, so that it is processed again."""
        for folder in (RECORDS, STARTED):
            self._path(folder, case).unlink(missing_ok=True)

    def start_attempt(self, case: str) -> None:
        """Note that this process starts to process a case."""
        self._write(STARTED, case, {"attempts": self.attempts(case) + 1, "worker": this_worker()})

    def attempts(self, case: str) -> int:
        """Return how often a case was started since it last ended."""
        try:
            found = json.loads(self._path(STARTED, case).read_text(encoding="utf-8"))
            return int(found["attempts"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def cancel_attempt(self, case: str) -> None:
        """Forget an attempt that the user stopped: it does not count."""
        self._path(STARTED, case).unlink(missing_ok=True)

    def finish(self, record: Record) -> None:
        """Write how a case ended. Raises OutputError if it cannot be written."""
        self._write(RECORDS, record.case, asdict(record))
        with contextlib.suppress(OSError):
            self._path(STARTED, record.case).unlink(missing_ok=True)

    def _is_own(self, name: str, mark: str | int) -> bool:
        path = self.out / name
        found = path.stat().st_size if isinstance(mark, int) else file_hash(path)
        return found == mark

    def _write(self, folder: str, case: str, value: Mapping[str, Any]) -> None:
        path = self._path(folder, case)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, value, indent=None, default=_plain)

    def _path(self, folder: str, case: str) -> Path:
        if Path(case).is_absolute() or ".." in Path(case).parts:
            raise BatchError(f"Expected a case with a name inside of the batch, got {case!r:.80}.")
        return self.out / folder / f"{case}.json"


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _set_aside(path: Path) -> Path:
    """Rename a file to the first free name of its kind, and return that."""
    stem, dot, ending = path.name.partition(".")
    free = (path.with_name(f"{stem}.kept-{n}{dot}{ending}") for n in count(1))
    target = next(one for one in free if not one.exists())
    try:
        return path.rename(target)
    except OSError as error:
        raise OutputError(f"Cannot rename {path} to {target.name}: {error.strerror}.") from error


def this_worker() -> str:
    """Return the name of this process among those of all machines: host:pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _plain(value: object) -> object:
    """Convert numpy values for JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _changed(text: str, settings: Mapping[str, Any]) -> str:
    try:
        before = json.loads(text)
    except ValueError:
        return "which cannot be read"
    now = json.loads(json.dumps(settings, default=str))
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return ", ".join(names)
