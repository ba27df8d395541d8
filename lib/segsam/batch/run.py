"""Run of one batch from its first case to its last, in this process or on Ray workers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsam.batch.archive import Item
from segsam.batch.case_worker import BatchTask, CaseWorker, Workers
from segsam.batch.ray_workers import run_on_ray
from segsam.batch.records import FAILED, Record, RecordStore
from segsam.types import Progress


@dataclass(frozen=True)
class Outcome:
    """Outcome of a batch: the records in the order of the cases."""

    records: tuple[Record, ...]
    done_before: int
    """Cases that an earlier run had done; not those that failed in it."""
    seconds: float
    changed: tuple[str, ...] = ()
    """Files of finished cases that somebody changed since; they stay as they are."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """New names of files that others wrote where a case had to be done again."""

    @property
    def failed(self) -> tuple[Record, ...]:
        """Records of the cases that failed."""
        return tuple(record for record in self.records if record.status == FAILED)


def run_batch(
    task: BatchTask,
    items: Sequence[Item],
    out: Path,
    *,
    workers: Workers,
    retry_failed: bool = False,
    progress: Progress,
) -> Outcome:
    """Process the cases that are not finished yet; nothing that others wrote is replaced.

    Args:
        task: what to do with every case.
        items: the cases.
        out: the batch's folder. Workers on other machines must reach it, and the images, by the
            same paths.
        workers: number and place of the processes.
        retry_failed: also process the cases again that failed before.
        progress: called after each case as (done, total, name of the case).

    Raises:
        BatchError: the folder holds another batch or other files, or Ray is missing or failed.
        OutputError: the folder cannot be written to.
    """
    start, store = time.monotonic(), RecordStore(out.absolute())
    store.open(task.to_json())
    finished = {item.case: store.finished(item, retry_failed=retry_failed) for item in items}
    records = {case: record for case, record in finished.items() if record is not None}
    missing = [item for item in items if item.case not in records]
    changed = [name for record in records.values() for name in store.changed(record)]
    kept = dict[str, str]()
    for item in missing:
        kept |= store.keep_others(item.case, task.outputs(item))
        if store.record(item.case) is not None:
            store.reset(item.case)
    done_before = sum(record.status != FAILED for record in records.values())
    progress(len(records), len(items), "")
    for record in _run_missing(task, missing, store.out, workers):
        records[record.case] = record
        progress(len(records), len(items), record.case)
    ordered = tuple(records[item.case] for item in items)
    return Outcome(ordered, done_before, time.monotonic() - start, tuple(changed), kept)


def _run_missing(
    task: BatchTask, items: Sequence[Item], out: Path, workers: Workers
) -> Iterator[Record]:
    if items and workers.count:
        yield from run_on_ray(task, items, out, workers)
    elif items:
        worker = CaseWorker(task, out, workers.threads)
        yield from map(worker, items)
