"""Prefetching: slices are encoded while the one before them is decoded.

An encoder uses the cores better with one slice on each core than with all cores on one slice. A
volume then takes less time, although each slice takes longer. The number of slices encoded early is
limited: if the object ends, only these few were encoded for nothing, and memory does not grow with
the depth of the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")


class Prefetcher(Generic[Loaded]):
    """Loads items by index in a scheduled order; for one consuming thread."""

    def __init__(self, load: Callable[[int], Loaded], workers: int) -> None:
        self._load = load
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="segsam-prefetch")
        self._order: Iterator[int] = iter(())
        self._futures: dict[int, Future[Loaded]] = {}

    def schedule(self, indices: Iterable[int]) -> None:
        """Load these items next, in this order; drop what was scheduled before."""
        self._drop()
        self._order = iter(indices)
        self._fill()

    def pop(self, index: int) -> Loaded | None:
        """Return a scheduled item, waiting until it is loaded; None if it was not scheduled.

        Raises whatever loading it raised.
        """
        future = self._futures.pop(index, None)
        self._fill()
        return None if future is None else future.result()

    def close(self) -> None:
        """Cancel all scheduled items; items that are being loaded are not waited for."""
        self._order = iter(())
        self._drop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _fill(self) -> None:
        # One item more than there are workers: each worker has a next item as soon as it is done.
        while len(self._futures) <= self._workers:
            index = next(self._order, None)
            if index is None:
                return
            self._futures[index] = self._pool.submit(self._load, index)

    def _drop(self) -> None:
        for future in self._futures.values():
            future.cancel()
        self._futures.clear()
