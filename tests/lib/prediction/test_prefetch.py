from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from segsam.prediction.prefetch import Prefetcher

WAIT = 5.0


@pytest.fixture
def loads() -> list[int]:
    return []


@pytest.fixture
def prefetcher(loads: list[int]) -> Iterator[Prefetcher[int]]:
    def load(index: int) -> int:
        loads.append(index)
        if index == 13:
            raise ValueError("unlucky")
        return 10 * index

    made = Prefetcher(load, 2)
    yield made
    made.close()


def test_scheduled_items_are_there_in_any_order(prefetcher: Prefetcher[int]) -> None:
    prefetcher.schedule(range(6))
    assert [prefetcher.pop(index) for index in (0, 1, 3, 2, 4, 5)] == [0, 10, 30, 20, 40, 50]


def test_other_items_are_not(prefetcher: Prefetcher[int]) -> None:
    prefetcher.schedule([1])
    assert prefetcher.pop(2) is None
    assert prefetcher.pop(1) == 10
    assert prefetcher.pop(1) is None, "an item is returned once"


def test_it_does_not_load_far_in_advance(prefetcher: Prefetcher[int], loads: list[int]) -> None:
    prefetcher.schedule(range(100))
    prefetcher.pop(0)
    prefetcher.pop(1)
    prefetcher.close()
    assert max(loads) <= 4


def test_another_schedule_replaces_the_first(prefetcher: Prefetcher[int]) -> None:
    prefetcher.schedule(range(5))
    prefetcher.schedule([20, 21])
    assert prefetcher.pop(4) is None
    assert prefetcher.pop(20) == 200


def test_an_error_while_loading_is_raised_by_pop(prefetcher: Prefetcher[int]) -> None:
    prefetcher.schedule([13])
    with pytest.raises(ValueError, match="unlucky"):
        prefetcher.pop(13)


def test_two_items_are_loaded_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=WAIT)
    prefetcher = Prefetcher(lambda index: both.wait() >= 0, 2)
    prefetcher.schedule([0, 1])
    assert prefetcher.pop(0)
    assert prefetcher.pop(1)
    prefetcher.close()
