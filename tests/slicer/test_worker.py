"""Jobs in threads, and their events in the GUI thread."""

from __future__ import annotations

import threading
import time

import pytest
from SEGSAMLib.Errors import CancelledError, ClientError, NodeError
from SEGSAMLib.Server.Worker import DEFERRED, CancelToken, Event, Progress, ReportProgress, Worker


def events_until_idle(worker: Worker) -> list[Event]:
    """All events until no job runs."""
    events, deadline = [], time.monotonic() + 120
    while worker.is_busy and time.monotonic() < deadline:
        events += worker.poll()
    return events + worker.poll()


def test_an_answer_arrives() -> None:
    worker = Worker()
    number = worker.start("segment", lambda cancel, report: 7)
    assert worker.is_running("segment")
    (event,) = events_until_idle(worker)
    assert (event.kind, event.value, event.number) == ("done", 7, number)
    assert not worker.is_busy


def test_progress_comes_in_order() -> None:
    def job(cancel: CancelToken, report: ReportProgress) -> str:
        for done in range(3):
            report(Progress(done, 3, "working"))
        return "end"

    worker = Worker()
    worker.start("segment", job)
    assert [event.kind for event in events_until_idle(worker)] == ["progress"] * 3 + ["done"]


def test_an_error_is_an_event() -> None:
    def job(cancel: CancelToken, report: ReportProgress) -> None:
        raise ClientError("The server is busy.", code="busy")

    worker = Worker()
    worker.start("segment", job)
    (event,) = events_until_idle(worker)
    assert event.kind == "failed"
    assert str(event.error) == "The server is busy."


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_is_an_event_and_reported() -> None:
    def job(cancel: CancelToken, report: ReportProgress) -> None:
        raise KeyError("oops")

    worker = Worker()
    worker.start("segment", job)
    (event,) = events_until_idle(worker)
    for thread in threading.enumerate():
        if thread.name.startswith("SEGSAM"):
            thread.join(10)  # so that what it prints counts as this test's
    assert event.error is not None
    assert event.error.code == "bug"


def test_a_new_job_of_a_task_cancels_the_previous_one() -> None:
    release, worker = threading.Event(), Worker()

    def old(cancel: CancelToken, report: ReportProgress) -> str:
        release.wait(10)
        report(Progress(1, 1, "too late"))
        return "old"

    worker.start("segment", old)
    newest = worker.start("segment", lambda cancel, report: "new")
    events = events_until_idle(worker)
    release.set()
    assert [(e.kind, e.value) for e in events if e.number == newest] == [("done", "new")]
    assert [e.kind for e in events if e.number != newest] == ["cancelled"]


def test_a_cancelled_job_sends_no_more_events() -> None:
    began, release, worker = threading.Event(), threading.Event(), Worker()

    def job(cancel: CancelToken, report: ReportProgress) -> str:
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


def test_tasks_do_not_disturb_each_other() -> None:
    worker = Worker()
    for task in ("segment", "train", "label"):
        worker.start(task, lambda cancel, report, task=task: task)
    assert sorted(event.value for event in events_until_idle(worker)) == [
        "label",
        "segment",
        "train",
    ]


def test_a_result_is_applied_when_it_is_polled() -> None:
    worker = Worker()
    worker.start("segment", lambda cancel, report: 7, lambda value: value + 1)
    (event,) = events_until_idle(worker)
    assert (event.kind, event.value) == ("done", 8)


def test_a_result_that_cannot_be_applied_has_failed() -> None:
    def refuse(value: object) -> object:
        raise NodeError("The segment was removed.")

    worker = Worker()
    worker.start("segment", lambda cancel, report: 7, refuse)
    (event,) = events_until_idle(worker)
    assert (event.kind, event.value, str(event.error)) == (
        "failed",
        None,
        "The segment was removed.",
    )


def test_a_deferred_value_comes_with_the_event_of_a_later_job() -> None:
    worker = Worker()

    def continue_in_a_thread(value: int) -> object:
        worker.start("segment", lambda cancel, report: value + 1)
        return DEFERRED

    worker.start("segment", lambda cancel, report: 7, continue_in_a_thread)
    assert [(event.kind, event.value) for event in events_until_idle(worker)] == [("done", 8)]


class TestCancel:
    def test_it_calls_once_and_at_once(self) -> None:
        calls: list[int] = []
        cancel = CancelToken()
        cancel.set_callback(lambda: calls.append(1))
        cancel.set()
        cancel.set()
        assert calls == [1]
        with pytest.raises(CancelledError):
            cancel.check()

    def test_a_late_callback_is_called_too(self) -> None:
        calls: list[int] = []
        cancel = CancelToken()
        cancel.set()
        cancel.set_callback(lambda: calls.append(1))
        assert calls == [1]

    def test_a_removed_callback_is_not_called(self) -> None:
        calls: list[int] = []
        cancel = CancelToken()
        cancel.set_callback(lambda: calls.append(1))
        cancel.set_callback(None)
        cancel.set()
        assert calls == []
