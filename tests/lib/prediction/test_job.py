from __future__ import annotations

import pytest

from segsam.errors import CancelledError
from segsam.prediction.job import Job


def test_progress_counts_slices_and_names_them() -> None:
    messages: list[tuple[int, int, str]] = []
    job = Job(lambda *message: messages.append(message), planned=2)
    job.report("looked at", 1, 4)
    job.report("segmented", 1, 5)
    job.report("propagated to", 1, 6)
    assert messages == [
        (1, 2, "looked at slice j 4"),
        (2, 2, "segmented slice j 5"),
        (3, 3, "propagated to slice j 6"),
    ]


def test_progress_of_a_part_continues_that_of_the_job() -> None:
    messages: list[tuple[int, int, str]] = []
    job = Job(lambda *message: messages.append(message), planned=1)
    job.report("searched", 2, 0)
    update = job.progress_of_part()
    update(1, 4, "segmented slice k 1")
    assert messages[-1] == (2, 5, "segmented slice k 1")
    assert (job.done, job.planned) == (2, 5)


def test_times_are_added_up() -> None:
    job = Job()
    for _ in range(2):
        with job.timed("decode"):
            pass
    assert set(job.times) == {"encode", "decode", "total"}
    assert 0 < job.times["decode"] <= job.times["total"]


def test_a_cancelled_job_stops() -> None:
    job = Job(None, lambda: True, planned=7)
    with pytest.raises(CancelledError, match="Cancelled after 0 of 7 slices; nothing was kept"):
        job.raise_if_cancelled()


def test_a_job_that_is_not_cancelled_goes_on() -> None:
    Job().raise_if_cancelled()
    Job(None, lambda: False).raise_if_cancelled()
