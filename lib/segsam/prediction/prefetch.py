"""Features of the slices that come next, while the one before is decoded.

An encoder uses the cores better with one slice on each than with all of them on one slice, so a
volume takes less time although each slice takes more. How far ahead is bounded: an object that ends
has cost a few slices too many, and memory does not grow with the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")


class Prefetcher(Generic[Loaded]):
    """Loads by index, in the order that was announced; for one thread that takes them."""

    def __init__(self, load: Callable[[int], Loaded], workers: int) -> None:
        self._load = load
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="segsam-ahead")
        self._order: Iterator[int] = iter(())
        self._coming: dict[int, Future[Loaded]] = {}

    def expect(self, indices: Iterable[int]) -> None:
        """These come next; what else was announced is not wanted any more."""
        self._drop()
        self._order = iter(indices)
        self._fill()

    def take(self, index: int) -> Loaded | None:
        """What was loaded for an announced index, waited for if need be; None for any other.

        Raises what loading it raised.
        """
        future = self._coming.pop(index, None)
        self._fill()
        return None if future is None else future.result()

    def close(self) -> None:
        """Nothing more is wanted; what is being loaded is not waited for."""
        self._order = iter(())
        self._drop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _fill(self) -> None:
        """One is taken next, and each worker has another one."""
        while len(self._coming) <= self._workers:
            index = next(self._order, None)
            if index is None:
                return
            self._coming[index] = self._pool.submit(self._load, index)

    def _drop(self) -> None:
        for future in self._coming.values():
            future.cancel()
        self._coming.clear()
