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
def ahead(loads: list[int]) -> Iterator[Prefetcher[int]]:
    def load(index: int) -> int:
        loads.append(index)
        if index == 13:
            raise ValueError("unlucky")
        return 10 * index

    made = Prefetcher(load, 2)
    yield made
    made.close()


def test_what_was_announced_is_there_in_any_order(ahead: Prefetcher[int]) -> None:
    ahead.expect(range(6))
    assert [ahead.take(index) for index in (0, 1, 3, 2, 4, 5)] == [0, 10, 30, 20, 40, 50]


def test_nothing_else_is(ahead: Prefetcher[int]) -> None:
    ahead.expect([1])
    assert ahead.take(2) is None
    assert ahead.take(1) == 10
    assert ahead.take(1) is None, "it was taken"


def test_it_does_not_run_far_ahead(ahead: Prefetcher[int], loads: list[int]) -> None:
    ahead.expect(range(100))
    ahead.take(0)
    ahead.take(1)
    ahead.close()
    assert max(loads) <= 4


def test_another_walk_replaces_the_first(ahead: Prefetcher[int]) -> None:
    ahead.expect(range(5))
    ahead.expect([20, 21])
    assert ahead.take(4) is None
    assert ahead.take(20) == 200


def test_what_goes_wrong_is_raised_where_it_is_taken(ahead: Prefetcher[int]) -> None:
    ahead.expect([13])
    with pytest.raises(ValueError, match="unlucky"):
        ahead.take(13)


def test_two_are_loaded_at_a_time() -> None:
    both = threading.Barrier(2, timeout=WAIT)
    ahead = Prefetcher(lambda index: both.wait() >= 0, 2)
    ahead.expect([0, 1])
    assert ahead.take(0)
    assert ahead.take(1)
    ahead.close()
