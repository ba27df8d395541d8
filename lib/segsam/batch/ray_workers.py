"""The cases of a batch shared out by Ray Data: each worker is a process with the model loaded.

A worker that is killed is started again, and what it was given is given out once more; what it had
finished is found in the ledger. Rows hold names only: images and results never pass through Ray.
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
from segsam.batch.ledger import Ledger, Record
from segsam.batch.run import CaseWorker, Order, Workers
from segsam.errors import BatchError

_STORE_BYTES = 100 << 20
_MOST_BLOCKS = 4096


class RowWorker:
    """`CaseWorker` in the form that Ray Data calls; built once in each worker."""

    def __init__(self, order: Order, out: str, threads: int) -> None:
        self._worker = CaseWorker(order, Path(out), threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        return {"case": self._worker(Item(**row)).case}


def done_by_ray(
    order: Order, items: Sequence[Item], out: Path, workers: Workers
) -> Iterator[Record]:
    """The records of `items`, in the order in which they are finished.

    Raises:
        BatchError: Ray is not installed, the cluster cannot be reached, or it gave up.
    """
    if importlib.util.find_spec("ray") is None:
        raise BatchError(
            "Several workers need Ray Data, which is not installed: pip install 'segsam[cluster]'. "
            "With --workers 0 this process does everything by itself."
        )
    if not workers.address:
        _keep_to_ourselves()
    import ray
    import ray.data
    from ray.exceptions import RayError

    threads = workers.threads or max(1, (os.cpu_count() or 1) // workers.count)
    try:
        _connect(ray, workers, threads)
        rows = ray.data.from_items(
            [asdict(item) for item in items],
            override_num_blocks=min(len(items), _MOST_BLOCKS),
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)  # our own bar tells of progress
        done = rows.map(
            RowWorker,
            fn_constructor_args=(order, str(out), threads),
            compute=ray.data.ActorPoolStrategy(size=workers.count, max_tasks_in_flight_per_actor=2),
            num_cpus=threads,
        )
        ledger = Ledger(out)
        for row in done.iter_rows():
            yield _record(ledger, row["case"])
    except (RayError, ConnectionError) as error:
        first = str(error).strip().splitlines()[0]
        raise BatchError(f"Ray gave up: {first}; what is finished is kept.") from error
    finally:
        ray.shutdown()


def _keep_to_ourselves() -> None:
    """Ray of this machine: sends no statistics, and listens (on all networks) to us alone. Has to
    be said before Ray is imported.
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


def _record(ledger: Ledger, case: str) -> Record:
    record = ledger.record(case)
    if record is None:
        raise BatchError(
            f"The record of {case} is not in {ledger.out}: do all machines reach that folder by "
            "this path?"
        )
    return record
