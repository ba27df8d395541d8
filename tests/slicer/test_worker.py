"""Jobs in threads, and what the GUI's thread hears of them."""

from __future__ import annotations

import threading
import time

import pytest
from SEGSAMLib.Errors import CancelledError, ClientError
from SEGSAMLib.Server.Worker import CancelToken, Event, Progress, ReportProgress, Worker


def heard(worker: Worker) -> list[Event]:
    """Everything until nothing runs any more."""
    events, deadline = [], time.monotonic() + 120
    while worker.is_busy and time.monotonic() < deadline:
        events += worker.poll()
    return events + worker.poll()


def test_an_answer_arrives() -> None:
    worker = Worker()
    number = worker.start("segment", lambda cancel, tell: 7)
    assert worker.is_running("segment")
    (event,) = heard(worker)
    assert (event.kind, event.value, event.number) == ("done", 7, number)
    assert not worker.is_busy


def test_progress_comes_in_order() -> None:
    def job(cancel: CancelToken, tell: ReportProgress) -> str:
        for done in range(3):
            tell(Progress(done, 3, "working"))
        return "end"

    worker = Worker()
    worker.start("segment", job)
    assert [event.kind for event in heard(worker)] == ["progress"] * 3 + ["done"]


def test_an_error_is_an_event() -> None:
    def job(cancel: CancelToken, tell: ReportProgress) -> None:
        raise ClientError("The server is busy.", code="busy")

    worker = Worker()
    worker.start("segment", job)
    (event,) = heard(worker)
    assert event.kind == "failed"
    assert str(event.error) == "The server is busy."


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_is_told_and_reported() -> None:
    def job(cancel: CancelToken, tell: ReportProgress) -> None:
        raise KeyError("oops")

    worker = Worker()
    worker.start("segment", job)
    (event,) = heard(worker)
    for thread in threading.enumerate():
        if thread.name.startswith("SEGSAM"):
            thread.join(10)  # so that what it prints counts as this test's
    assert event.error is not None
    assert event.error.code == "bug"


def test_a_new_job_of_a_lane_ends_the_one_before() -> None:
    release, worker = threading.Event(), Worker()

    def old(cancel: CancelToken, tell: ReportProgress) -> str:
        release.wait(10)
        tell(Progress(1, 1, "too late"))
        return "old"

    worker.start("segment", old)
    newest = worker.start("segment", lambda cancel, tell: "new")
    events = heard(worker)
    release.set()
    assert [(e.kind, e.value) for e in events if e.number == newest] == [("done", "new")]
    assert [e.kind for e in events if e.number != newest] == ["cancelled"]


def test_what_was_cancelled_is_heard_of_no_more() -> None:
    began, release, worker = threading.Event(), threading.Event(), Worker()

    def job(cancel: CancelToken, tell: ReportProgress) -> str:
        began.set()
        release.wait(120)
        return "late"

    worker.start("segment", job)
    assert began.wait(120)
    assert worker.cancel("segment")
    assert not worker.is_busy  # at once, though the thread still waits
    assert [event.kind for event in worker.poll()] == ["cancelled"]
    release.set()
    time.sleep(0.05)
    assert worker.poll() == []
    assert not worker.cancel("segment")


def test_lanes_do_not_disturb_each_other() -> None:
    worker = Worker()
    for lane in ("segment", "train", "label"):
        worker.start(lane, lambda cancel, tell, lane=lane: lane)
    assert sorted(event.value for event in heard(worker)) == ["label", "segment", "train"]


class TestCancel:
    def test_it_calls_once_and_at_once(self) -> None:
        calls: list[int] = []
        cancel = CancelToken()
        cancel.watch(lambda: calls.append(1))
        cancel.set()
        cancel.set()
        assert calls == [1]
        with pytest.raises(CancelledError):
            cancel.check()

    def test_who_comes_late_is_called_too(self) -> None:
        calls: list[int] = []
        cancel = CancelToken()
        cancel.set()
        cancel.watch(lambda: calls.append(1))
        assert calls == [1]

    def test_who_has_left_is_not_called(self) -> None:
        calls: list[int] = []
        cancel = CancelToken()
        cancel.watch(lambda: calls.append(1))
        cancel.watch(None)
        cancel.set()
        assert calls == []
