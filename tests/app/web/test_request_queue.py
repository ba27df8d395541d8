"""Queue of the model: in order, bounded, and without cancelled requests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from segsam.errors import CancelledError
from segsam_app.errors import BusyError
from segsam_app.web.request_queue import RequestQueue


def nothing() -> None:
    """Check of a request that waits without a limit."""


def until(queue: RequestQueue, waiting: int) -> None:
    for _ in range(1000):
        if queue.waiting == waiting:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{queue.waiting} wait, not {waiting}")


def test_one_at_a_time_in_the_order_of_arrival() -> None:
    queue, order, inside = RequestQueue(8), [], []

    def request(number: int) -> None:
        with queue.slot(nothing):
            inside.append(queue.running)
            order.append(number)

    with ThreadPoolExecutor(8) as threads, queue.slot(nothing):
        for number in range(8):
            threads.submit(request, number)
            until(queue, number + 1)
        assert (queue.running, queue.waiting, order) == (1, 8, [])
    assert order == list(range(8))
    assert inside == [1] * 8
    assert (queue.running, queue.waiting) == (0, 0)


def test_a_full_queue_refuses_at_once() -> None:
    queue = RequestQueue(0)
    with (
        queue.slot(nothing),
        pytest.raises(BusyError, match="0 requests wait"),
        queue.slot(nothing),
    ):
        pass
    with queue.slot(nothing):
        assert queue.running == 1


def test_a_cancelled_request_leaves_the_queue() -> None:
    queue = RequestQueue(2)

    def gone() -> None:
        raise CancelledError("gone")

    with queue.slot(nothing), pytest.raises(CancelledError), queue.slot(gone):
        pass
    assert (queue.running, queue.waiting) == (0, 0)


def test_an_error_frees_the_model() -> None:
    queue = RequestQueue(0)
    with pytest.raises(KeyError), queue.slot(nothing):
        raise KeyError
    assert queue.running == 0


def test_a_long_job_lets_waiting_requests_go_first() -> None:
    queue, order = RequestQueue(8), []

    def click() -> None:
        with queue.slot(nothing):
            order.append("click")

    with ThreadPoolExecutor(2) as threads:
        with queue.slot(nothing) as requeue:
            requeue()  # no request waits, so it goes on at once
            order.append("first slice")
            threads.submit(click)
            threads.submit(click)
            until(queue, 2)
            requeue()
            order.append("second slice")
        threads.shutdown(wait=True)
    assert order == ["first slice", "click", "click", "second slice"]
    assert queue.running == 0


def test_a_long_job_may_be_cancelled_while_it_waits_again() -> None:
    queue, is_gone = RequestQueue(2), threading.Event()

    def check() -> None:
        if is_gone.is_set():
            raise CancelledError("gone")

    held = threading.Event()

    def click() -> None:
        with queue.slot(nothing):
            is_gone.set()
            held.wait(5)

    with ThreadPoolExecutor(1) as threads:
        with queue.slot(check) as requeue:
            threads.submit(click)
            until(queue, 1)
            with pytest.raises(CancelledError):
                requeue()
        held.set()
    assert queue.running == 0


def test_background_work_waits_until_the_queue_is_empty() -> None:
    queue, order = RequestQueue(2), []

    def background() -> None:
        queue.wait_until_idle(lambda: False)
        order.append("background")

    with ThreadPoolExecutor(1) as threads:
        with queue.slot(nothing):
            threads.submit(background)
            threading.Event().wait(0.05)
            order.append("click")
        threads.shutdown(wait=True)
    assert order == ["click", "background"]
    with queue.slot(nothing):
        queue.wait_until_idle(lambda: True)  # it should stop, so it does not wait
