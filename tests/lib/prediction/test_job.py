from __future__ import annotations

import numpy as np
import pytest
import torch

from segsam.errors import CancelledError
from segsam.prediction.decoding import SliceMask
from segsam.prediction.job import Job
from segsam.prediction.result import SliceReport


def mask(index: int, *, propagated: bool = False) -> SliceMask:
    report = SliceReport(index, axis=1, predicted_iou=0.9, propagated=propagated)
    return SliceMask(np.ones((2, 2), np.float32), torch.zeros(1, 1, 4, 4), report)


def test_tells_what_was_done_where() -> None:
    told: list[tuple[int, int, str]] = []
    job = Job(lambda *said: told.append(said), None, planned=2)
    job.decoded(mask(4), "looked at")
    job.kept(mask(5))
    job.kept(mask(6, propagated=True))
    assert told == [
        (1, 2, "looked at slice j 4"),
        (2, 2, "segmented slice j 5"),
        (3, 3, "propagated to slice j 6"),
    ]
    assert [kept.report.index for kept in job.slices] == [5, 6]
    assert [kept.area for kept in job.slices] == [4, 4]


def test_stops_when_asked() -> None:
    job = Job(None, lambda: True, planned=7)
    with pytest.raises(CancelledError, match="Cancelled after 0 of 7 slices; nothing was kept"):
        job.before_slice()


def test_goes_on_when_not() -> None:
    Job(None, None).before_slice()
    Job(None, lambda: False).before_slice()
