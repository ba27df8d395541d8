"""When an answer is not worth computing any more."""

from __future__ import annotations

import pytest

from segsam.errors import CancelledError
from segsam_app.errors import OverTimeError
from segsam_app.web.deadline import Deadline


def test_time_runs_from_the_arrival() -> None:
    now = 100.0
    patience = Deadline(5, is_gone=lambda: False, clock=lambda: now)
    patience.check()
    assert not patience.ended()
    now = 105.5
    assert patience.is_over
    assert patience.ended()
    with pytest.raises(OverTimeError, match=r"more than 5 s \(setting infer_seconds\)"):
        patience.check()


def test_a_client_that_has_gone() -> None:
    patience = Deadline(5, is_gone=lambda: True)
    assert patience.ended()
    assert not patience.is_over
    with pytest.raises(CancelledError, match="client has gone"):
        patience.check()
