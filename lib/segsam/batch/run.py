"""One batch from its first case to its last, in this process or in the workers of Ray."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from segsam.batch.archive import Item, fingerprint
from segsam.batch.ledger import DONE, FAILED, MOST_ATTEMPTS, Ledger, Record, this_worker
from segsam.errors import BatchError, SegSamError
from segsam.types import Cancel, Progress

Work = Callable[[Item, Cancel], tuple[dict[str, Any], dict[str, int]]]
"""Does one case: (what there is to say, file below the batch's folder -> its bytes)."""


class Order(Protocol):
    """What is asked of every case; it travels to the workers."""

    def to_json(self) -> Mapping[str, Any]:
        """What makes it another order."""

    def open(self, out: Path) -> Work:
        """Get ready for case after case, in the process that does them."""


@dataclass(frozen=True)
class Workers:
    """Who does it: `count` processes of Ray with `threads` threads each, on the cluster at
    `address` or, when that is empty, on this machine; with `count` 0 this process does. `threads`
    0 are as many as PyTorch takes.
    """

    count: int = 0
    threads: int = 0
    address: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; raises BatchError."""
        if self.count < 0 or self.threads < 0:
            raise BatchError(
                f"Numbers of workers and threads are not negative; got {self.count} and "
                f"{self.threads}."
            )
        if self.address and not self.count:
            raise BatchError("A cluster's address needs workers: say how many with --workers.")


@dataclass(frozen=True)
class Outcome:
    """How a batch went: cases in their order, and how many of them were settled before."""

    records: tuple[Record, ...]
    kept: int
    seconds: float

    @property
    def failed(self) -> tuple[Record, ...]:
        """Those that could not be done."""
        return tuple(record for record in self.records if record.status == FAILED)


def run_batch(
    order: Order,
    items: Sequence[Item],
    out: Path,
    *,
    workers: Workers,
    retry_failed: bool = False,
    progress: Progress,
) -> Outcome:
    """Do what is not done yet.

    Args:
        order: what is asked of every case.
        items: the cases.
        out: the batch's folder; workers on other machines reach it, and the images, by the same
            paths.
        workers: who does it.
        retry_failed: also do again what failed before.
        progress: called after each case as (done, of all, its name).

    Raises:
        BatchError: a folder of another batch, or no Ray.
        OutputError: a folder that cannot be written to.
    """
    began, ledger = time.monotonic(), Ledger(out.absolute())
    ledger.open(order.to_json())
    records: dict[str, Record] = {}
    missing = []
    for item in items:
        settled = ledger.settled(item, retry_failed=retry_failed)
        if settled is None:
            missing.append(item)
        else:
            records[item.case] = settled
    kept = len(records)
    for item in missing:
        if ledger.record(item.case) is not None:
            ledger.forget(item.case)
    progress(kept, len(items), "")
    for record in _done(order, missing, ledger, workers):
        records[record.case] = record
        progress(len(records), len(items), record.case)
    ordered = tuple(records[item.case] for item in items)
    return Outcome(ordered, kept, time.monotonic() - began)


def _done(
    order: Order, items: Sequence[Item], ledger: Ledger, workers: Workers
) -> Iterator[Record]:
    if not items:
        return
    if workers.count:
        from segsam.batch.ray_workers import done_by_ray

        yield from done_by_ray(order, items, ledger.out, workers)
        return
    worker = CaseWorker(order, ledger.out, workers.threads)
    for item in items:
        yield worker(item)


class CaseWorker:
    """Does case after case in this process, and writes down how each ended."""

    def __init__(self, order: Order, out: Path, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._ledger = Ledger(out)
        self._work = order.open(out)

    def __call__(self, item: Item) -> Record:
        """How it ended. Raises KeyboardInterrupt, and OutputError when not even that can be
        written.
        """
        settled = self._ledger.settled(item)
        if settled is not None:  # by a worker that was killed before it could say so
            return settled
        if self._ledger.attempts(item.case) >= MOST_ATTEMPTS:
            return self._settled(item, 0.0, _ends_its_process(MOST_ATTEMPTS))
        began, stop = time.monotonic(), threading.Event()
        try:
            self._ledger.begin(item.case)
            with ThreadPoolExecutor(1) as thread:
                try:
                    future = thread.submit(self._work, item, stop.is_set)
                    error = future.exception()
                finally:
                    stop.set()
        except KeyboardInterrupt:
            self._ledger.undo(item.case)
            raise
        seconds = time.monotonic() - began
        if error is not None:
            return self._settled(item, seconds, error)
        result, outputs = future.result()
        return self._settled(item, seconds, None, result, outputs)

    def _settled(
        self,
        item: Item,
        seconds: float,
        error: BaseException | None,
        result: Mapping[str, Any] | None = None,
        outputs: Mapping[str, int] | None = None,
    ) -> Record:
        record = Record(
            case=item.case,
            status=DONE if error is None else FAILED,
            input=fingerprint(item),
            attempts=self._ledger.attempts(item.case),
            worker=this_worker(),
            seconds=round(seconds, 3),
            outputs=outputs or {},
            result=result or {},
            error=None if error is None else _told(error),
        )
        self._ledger.settle(record)
        return record


def _ends_its_process(attempts: int) -> BatchError:
    return BatchError(
        f"The case ended its process {attempts} times, as too little memory does; it was not tried "
        "again."
    )


def _told(error: BaseException) -> dict[str, str]:
    if isinstance(error, SegSamError):
        return {"code": error.code, "detail": str(error)}
    code = "memory" if isinstance(error, MemoryError) else "bug"
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {"code": code, "detail": f"{type(error).__name__}: {error}", "trace": "".join(lines)}
