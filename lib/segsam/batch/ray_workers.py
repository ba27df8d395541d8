"""Ray Data workers for a batch: each is a process with the model loaded.

Ray restarts a worker that is killed and gives its cases out again; the records show which of them
it had finished. Rows hold names only: images and results never pass through Ray.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segsam.batch.archive import Item
from segsam.batch.case_worker import BatchTask, CaseWorker, Workers
from segsam.batch.records import Record, RecordStore
from segsam.errors import BatchError

_STORE_BYTES = 100 << 20
_MAX_BLOCKS = 4096


class RowWorker:
    """`CaseWorker` in the form that Ray Data calls; built once in each worker process."""

    def __init__(self, task: BatchTask, out: str, threads: int) -> None:
        self._worker = CaseWorker(task, Path(out), threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        return {"case": self._worker(Item(**row)).case}


def run_on_ray(
    task: BatchTask, items: Sequence[Item], out: Path, workers: Workers
) -> Iterator[Record]:
    """Yield the records of `items` in the order in which they finish.

    Raises:
        BatchError: Ray is not installed, the cluster cannot be reached, or Ray failed.
    """
    if importlib.util.find_spec("ray") is None:
        raise BatchError(
            "Several workers need Ray Data, which is not installed: pip install 'segsam[cluster]'. "
            "With --workers 0 this process does all the work."
        )
    if not workers.address:
        _set_local_defaults()
    import ray
    import ray.data
    from ray.exceptions import RayError

    threads = workers.threads or max(1, (os.cpu_count() or 1) // workers.count)
    try:
        _connect(ray, workers, threads)
        rows = ray.data.from_items(
            [asdict(item) for item in items],
            override_num_blocks=min(len(items), _MAX_BLOCKS),
        )
        ray.data.DataContext.get_current().enable_progress_bars = False  # the command has its own
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        done = rows.map(
            RowWorker,
            fn_constructor_args=(task, str(out), threads),
            compute=ray.data.ActorPoolStrategy(size=workers.count, max_tasks_in_flight_per_actor=2),
            num_cpus=threads,
        )
        store = RecordStore(out)
        for row in done.iter_rows():
            yield _record(store, row["case"])
    except (RayError, ConnectionError) as error:
        first = str(error).strip().splitlines()[0]
        raise BatchError(f"Ray failed: {first}; finished cases are kept.") from error
    finally:
        ray.shutdown()


def _set_local_defaults() -> None:
    """Disable Ray's usage statistics and require a token, since Ray listens on all networks.

    Ray reads these variables when it is imported.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _connect(ray: Any, workers: Workers, threads: int) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if workers.address:
        ray.init(address=workers.address, **quiet)
        return
    ray.init(
        address="local",
        num_cpus=workers.count * threads,
        object_store_memory=_STORE_BYTES,
        include_dashboard=False,
        **quiet,
    )


def _record(store: RecordStore, case: str) -> Record:
    record = store.record(case)
    if record is None:
        raise BatchError(
            f"Expected a record of {case} in {store.out}, got none; all machines must reach that "
            "folder by this path."
        )
    return record
