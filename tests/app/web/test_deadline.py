"""Deadline of a request, and a client that disconnects."""

from __future__ import annotations

import pytest

from segsam.errors import CancelledError
from segsam_app.errors import DeadlineExceededError
from segsam_app.web.deadline import Deadline


def test_the_time_runs_from_the_arrival() -> None:
    now = 100.0
    deadline = Deadline(5, is_disconnected=lambda: False, clock=lambda: now)
    deadline.check()
    assert not deadline.should_stop()
    now = 105.5
    assert deadline.has_passed
    assert deadline.should_stop()
    with pytest.raises(DeadlineExceededError, match=r"more than 5 s \(setting infer_seconds\)"):
        deadline.check()


def test_a_client_that_has_disconnected() -> None:
    deadline = Deadline(5, is_disconnected=lambda: True)
    assert deadline.should_stop()
    assert not deadline.has_passed
    with pytest.raises(CancelledError, match="client has disconnected"):
        deadline.check()
