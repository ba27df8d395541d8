"""Worker that processes case after case in one process and records how each ended."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from segsam.batch.archive import Item, fingerprint
from segsam.batch.records import DONE, FAILED, MAX_ATTEMPTS, Record, RecordStore, this_worker
from segsam.errors import BatchError, SegSamError
from segsam.types import Cancel


@dataclass(frozen=True)
class CaseOutput:
    """Output of one case: its result as plain values, and its files with their SHA-256.

    File names are relative to the batch's folder.
    """

    result: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)


ProcessCase = Callable[[Item, Cancel], CaseOutput]
"""Processes one case. Raises SegSamError."""


class BatchTask(Protocol):
    """Work to do on every case. It is sent to the workers, so it must be picklable."""

    def to_json(self) -> Mapping[str, Any]:
        """Return the settings that distinguish this batch from another one."""

    def outputs(self, item: Item) -> Sequence[str]:
        """Return the files that a case writes below the batch's folder."""

    def prepare(self, out: Path) -> ProcessCase:
        """Load what all cases need, in the process that runs them. `out` is the batch's folder."""


@dataclass(frozen=True)
class Workers:
    """Number and place of the processes that do the work.

    `count` Ray processes with `threads` threads each run on the cluster at `address` or, if that is
    empty, on this machine. With `count` 0, this process does the work. `threads` 0 is PyTorch's
    default. Raises BatchError for invalid numbers.
    """

    count: int = 0
    threads: int = 0
    address: str = ""

    def __post_init__(self) -> None:
        if self.count < 0 or self.threads < 0:
            raise BatchError(
                "Expected numbers of workers and threads that are not negative, got "
                f"{self.count} and {self.threads}."
            )
        if self.address and not self.count:
            raise BatchError("A cluster needs workers; give their number with --workers.")


class CaseWorker:
    """Processes one case after another and records how each ended."""

    def __init__(self, task: BatchTask, out: Path, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._records = RecordStore(out)
        self._process = task.prepare(out)

    def __call__(self, item: Item) -> Record:
        """Process a case and return its record.

        Raises:
            KeyboardInterrupt: the user stopped it; the case counts as not started.
            OutputError: the record cannot be written.
        """
        finished = self._records.finished(item)
        if finished is not None:  # by a worker that was killed before it could report it
            return finished
        if self._records.attempts(item.case) >= MAX_ATTEMPTS:
            return self._finish(item, 0.0, _crashes())
        start = time.monotonic()
        try:
            self._records.start_attempt(item.case)
            ended = self._run(item)
        except KeyboardInterrupt:
            self._records.cancel_attempt(item.case)
            raise
        return self._finish(item, time.monotonic() - start, ended)

    def _run(self, item: Item) -> CaseOutput | BaseException:
        """Process the case in a second thread.

        Ctrl-C reaches the main thread, which waits here: it lets the case stop at its next slice
        instead of breaking off in the middle of a computation.
        """
        stop = threading.Event()
        with ThreadPoolExecutor(1) as thread:
            try:
                future = thread.submit(self._process, item, stop.is_set)
                error = future.exception()
            finally:
                stop.set()
        return future.result() if error is None else error

    def _finish(self, item: Item, seconds: float, ended: CaseOutput | BaseException) -> Record:
        if isinstance(ended, BaseException):
            status, output, error = FAILED, CaseOutput({}), _error_record(ended)
        else:
            status, output, error = DONE, ended, None
        record = Record(
            case=item.case,
            status=status,
            input=fingerprint(item),
            attempts=self._records.attempts(item.case),
            worker=this_worker(),
            seconds=round(seconds, 3),
            outputs=output.files,
            result=output.result,
            error=error,
        )
        self._records.finish(record)
        return record


def _crashes() -> BatchError:
    return BatchError(
        f"The case ended its process {MAX_ATTEMPTS} times, possibly for lack of memory; it was "
        "not tried again."
    )


def _error_record(error: BaseException) -> dict[str, str]:
    if isinstance(error, SegSamError):
        return {"code": error.code, "detail": str(error)}
    code = "memory" if isinstance(error, MemoryError) else "bug"
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {"code": code, "detail": f"{type(error).__name__}: {error}", "trace": "".join(lines)}
