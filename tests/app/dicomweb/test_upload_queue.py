"""Upload queue: what is pending, what is tried again, and what the thread does with errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from segsam.errors import VolumeError
from segsam_app.dicomweb.series import Series, SeriesList, is_uid
from segsam_app.dicomweb.upload_queue import PendingUpload, PeriodicThread, UploadQueue
from segsam_app.errors import PacsAwayError, PacsError
from segsam_app.storage.label_record import LabelVersion

Upload = Callable[[str, LabelVersion], str]


def saved_versions(labels: Path, image: str, *kinds: str) -> None:
    """Versions of these kinds, as the store keeps them."""
    folder = labels / ".versions" / image
    folder.mkdir(parents=True)
    for number, kind in enumerate(kinds, start=1):
        (folder / f"{number:04d}.nii.gz").write_bytes(b"voxels")
        record = {"number": number, "kind": kind, "ending": ".nii.gz"}
        (folder / f"{number:04d}.json").write_text(json.dumps(record))


class Server:
    """A server that accepts everything except what is in `refuses`."""

    def __init__(self) -> None:
        self.refuses: dict[PendingUpload, Exception] = {}
        self.taken: list[PendingUpload] = []

    def upload(self, image: str, version: LabelVersion) -> str:
        pending = PendingUpload(image, version.number)
        if pending in self.refuses:
            raise self.refuses[pending]
        self.taken.append(pending)
        return f"2.25.{len(self.taken)}"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def queue(tmp_path: Path, server: Server) -> UploadQueue:
    """Two series: of one two labels that were current and a conflict, of the other one label."""
    labels = tmp_path / "labels" / "final"
    saved_versions(labels, "1.2", "saved", "conflict", "restored")
    saved_versions(labels, "1.3", "saved")
    saved_versions(labels, "not-a-series", "saved")
    made = UploadQueue(labels, tmp_path / "records", server.upload)
    made.rescan()
    return made


ALL = [PendingUpload("1.2", 1), PendingUpload("1.2", 3), PendingUpload("1.3", 1)]


def test_what_was_ever_current_is_sent_once(queue: UploadQueue, server: Server) -> None:
    assert queue.pending == ALL
    queue.send()
    queue.rescan()
    queue.send()
    assert server.taken == ALL
    assert queue.confirmed("1.2") == {1: "2.25.1", 3: "2.25.2"}
    assert queue.confirmed("1.4") == {}


def test_one_refusal_does_not_hold_up_the_others(queue: UploadQueue, server: Server) -> None:
    server.refuses[ALL[0]] = PacsError("out of resources")
    with pytest.raises(PacsError, match="out of resources"):
        queue.send()
    assert (queue.pending, queue.problem) == ([ALL[0]], "out of resources")
    server.refuses.clear()
    queue.send()
    assert (queue.pending, queue.problem) == ([], None)


def test_a_server_that_is_away_is_not_asked_for_each(queue: UploadQueue, server: Server) -> None:
    server.refuses[ALL[0]] = PacsAwayError("away")
    with pytest.raises(PacsAwayError):
        queue.send()
    assert (queue.pending, server.taken) == (ALL, [])


def test_what_cannot_be_sent_says_why_and_is_tried_when_asked(
    queue: UploadQueue, server: Server
) -> None:
    server.refuses[ALL[1]] = VolumeError("the label is empty")
    queue.send()
    assert (queue.pending, queue.problem) == ([], None)
    assert queue.refused == {ALL[1]: "the label is empty"}
    queue.add("1.2")
    assert queue.pending == []
    queue.rescan()
    assert queue.pending == [ALL[1]]


def test_a_version_that_is_gone(queue: UploadQueue, tmp_path: Path) -> None:
    (tmp_path / "labels" / "final" / ".versions" / "1.3" / "0001.json").unlink()
    queue.send()
    assert list(queue.refused) == [ALL[2]]


def test_a_record_that_cannot_be_read_is_made_again(
    queue: UploadQueue, tmp_path: Path, server: Server
) -> None:
    queue.send()
    (tmp_path / "records" / "1.3" / "0001.json").write_text("torn")
    queue.rescan()
    assert queue.pending == [ALL[2]]


def test_the_thread_goes_on_whatever_a_call_does(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception | None] = [
        PacsError("the same"),
        PacsError("the same"),
        KeyError("a bug"),
        None,
    ]
    done, rounds = threading.Event(), 0

    def one() -> None:
        nonlocal rounds
        rounds += 1
        error = errors[rounds - 1] if rounds <= len(errors) else None
        if rounds > len(errors):
            done.set()
        if error is not None:
            raise error

    thread = PeriodicThread(one, 0.01)
    thread.start()
    assert done.wait(30)
    messages = [record.message for record in caplog.records]
    assert messages.count("the same") == 1
    assert any("updating from the DICOMweb server failed" in line for line in messages)


class TestKnownSeries:
    def test_it_is_found_again(self, tmp_path: Path) -> None:
        file = tmp_path / "series.json"
        known, one = SeriesList(file), Series("1.2", "1", "CT", "20260102", "abdomen", 5)
        known.replace({"1.2": one, "1.3": Series("1.3", "1")}, frozenset())
        assert SeriesList(file).series == known.series
        known.replace({}, frozenset({"1.2"}))
        assert SeriesList(file).series == {"1.2": one}
        known.add(Series("1.4", "1"))
        assert set(SeriesList(file).series) == {"1.2", "1.4"}

    @pytest.mark.parametrize(
        "content", ["", "{", "[1]", '[{"uid": 1}]', '[{"uid": 1, "study": 2}]']
    )
    def test_a_damaged_list_is_made_anew(self, tmp_path: Path, content: str) -> None:
        file = tmp_path / "series.json"
        file.write_text(content)
        assert SeriesList(file).series == {}


@pytest.mark.parametrize("text", ["1", "1.2.840.113619", "2.25." + "9" * 59])
def test_uids(text: str) -> None:
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", ".1", "1.", "1..2", "1.a", "1/2", "1.2\n", "\u0661.2", "1" * 65]
)
def test_invalid_uids(text: str) -> None:
    assert not is_uid(text)
