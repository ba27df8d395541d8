"""Turns in front of the model: in order, bounded, and left by those who gave up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from segsam.errors import CancelledError
from segsam_app.errors import BusyError
from segsam_app.web.request_queue import RequestQueue


def nothing() -> None:
    """A request whose client waits patiently."""


def until(gate: RequestQueue, waiting: int) -> None:
    for _ in range(1000):
        if gate.waiting == waiting:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{gate.waiting} wait, not {waiting}")


def test_one_at_a_time_in_the_order_of_arrival() -> None:
    gate, order, inside = RequestQueue(8), [], []

    def request(number: int) -> None:
        with gate.turn(nothing):
            inside.append(gate.running)
            order.append(number)

    with ThreadPoolExecutor(8) as threads, gate.turn(nothing):
        for number in range(8):
            threads.submit(request, number)
            until(gate, number + 1)
        assert (gate.running, gate.waiting, order) == (1, 8, [])
    assert order == list(range(8))
    assert inside == [1] * 8
    assert (gate.running, gate.waiting) == (0, 0)


def test_a_full_queue_refuses_at_once() -> None:
    gate = RequestQueue(0)
    with gate.turn(nothing), pytest.raises(BusyError, match="0 requests wait"), gate.turn(nothing):
        pass
    with gate.turn(nothing):
        assert gate.running == 1


def test_who_gives_up_leaves_the_line() -> None:
    gate = RequestQueue(2)

    def gone() -> None:
        raise CancelledError("gone")

    with gate.turn(nothing), pytest.raises(CancelledError), gate.turn(gone):
        pass
    assert (gate.running, gate.waiting) == (0, 0)


def test_a_failure_inside_passes_the_turn_on() -> None:
    gate = RequestQueue(0)
    with pytest.raises(KeyError), gate.turn(nothing):
        raise KeyError
    assert gate.running == 0


def test_a_long_job_lets_the_others_go_first() -> None:
    gate, order = RequestQueue(8), []

    def click() -> None:
        with gate.turn(nothing):
            order.append("click")

    with ThreadPoolExecutor(2) as threads:
        with gate.turn(nothing) as step_aside:
            step_aside()  # nobody waits, so it goes on at once
            order.append("first slice")
            threads.submit(click)
            threads.submit(click)
            until(gate, 2)
            step_aside()
            order.append("second slice")
        threads.shutdown(wait=True)
    assert order == ["first slice", "click", "click", "second slice"]
    assert gate.running == 0


def test_a_long_job_may_give_up_while_it_steps_aside() -> None:
    gate, is_gone = RequestQueue(2), threading.Event()

    def check() -> None:
        if is_gone.is_set():
            raise CancelledError("gone")

    held = threading.Event()

    def click() -> None:
        with gate.turn(nothing):
            is_gone.set()
            held.wait(5)

    with ThreadPoolExecutor(1) as threads:
        with gate.turn(check) as step_aside:
            threads.submit(click)
            until(gate, 1)
            with pytest.raises(CancelledError):
                step_aside()
        held.set()
    assert gate.running == 0


def test_work_in_the_background_waits_until_nobody_has_the_model() -> None:
    gate, order = RequestQueue(2), []

    def background() -> None:
        gate.wait_until_idle(lambda: False)
        order.append("background")

    with ThreadPoolExecutor(1) as threads:
        with gate.turn(nothing):
            threads.submit(background)
            threading.Event().wait(0.05)
            order.append("click")
        threads.shutdown(wait=True)
    assert order == ["click", "background"]
    with gate.turn(nothing):
        gate.wait_until_idle(lambda: True)  # it is over: it does not wait
