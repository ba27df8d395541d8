"""A clock that is set by years, in either direction, refuses no save and loses nothing (C16)."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from segsam_app.choosing.strategies import _is_assigned
from segsam_app.storage import disk
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.store import Store

from ..stored import label, make_studies, voxels_of, write

YEAR = 365 * 24 * 3600.0


class Clock:
    """The system clock, which can be set; the steady clock goes on as it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset = 0.0
        real, real_ns, real_gmtime = time.time, time.time_ns, time.gmtime
        monkeypatch.setattr(time, "time", lambda: real() + self.offset)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(self.offset * 1e9))
        monkeypatch.setattr(
            time, "gmtime", lambda at=None: real_gmtime(time.time() if at is None else at)
        )
        self._real = real

    def touch(self, *files: Path) -> None:
        """Give files the time that the clock shows, as the file system would."""
        for file in files:
            os.utime(file, (time.time(),) * 2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(make_studies(tmp_path / "studies", 2)), on_image=lambda _: None)


def drawn(folder: Path, value: int) -> Path:
    return write(folder / f"drawn{value}.nii.gz", label(value))


@pytest.mark.parametrize("jump", [12 * YEAR, -12 * YEAR])
def test_saves_go_on(store: Store, tmp_path: Path, clock: Clock, jump: float) -> None:
    folder = Path(store._datastore_path) / "labels" / "final"
    for number in range(1, 5):
        clock.offset = jump * (number % 2)
        info = {"expected_version": number - 1}
        assert store.save("case0", drawn(tmp_path, number), "final", info).number == number
        clock.touch(folder / "case0.nii.gz")
        assert voxels_of(store.get_label_uri("case0", "final")).max() == number
        assert store.get_label_info("case0", "final")["version"] == number
    again = Store(store._datastore_path, on_image=lambda _: None)
    assert again.get_label_info("case0", "final")["version"] == 4
    assert [each.kind for each in again.history("case0", "final").all()] == ["saved"] * 4
    assert again.restore("case0", "final", 1).number == 5


@pytest.mark.parametrize("jump", [12 * YEAR, -12 * YEAR])
def test_a_save_under_way_is_not_swept(
    store: Store, tmp_path: Path, clock: Clock, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is set, and another annotator saves, while the copies of one label are written."""
    store.save("case0", drawn(tmp_path, 1), "final", {})
    staged, arrived, go_on = LabelHistory.staged, threading.Event(), threading.Event()

    def slowly(history: LabelHistory, source: Path) -> Any:
        made = staged(history, source)
        if source.name == "drawn2.nii.gz":
            copies = made.__enter__()
            arrived.set()
            assert go_on.wait(60)

            class Entered:
                def __enter__(self) -> Any:
                    return copies

                def __exit__(self, *error: Any) -> None:
                    made.__exit__(*error)

            return Entered()
        return made

    monkeypatch.setattr(LabelHistory, "staged", slowly)
    saved: list[int] = []
    slow = threading.Thread(
        target=lambda: saved.append(store.save("case0", drawn(tmp_path, 2), "final", {}).number)
    )
    slow.start()
    assert arrived.wait(60)
    clock.offset = jump
    saved.append(store.save("case0", drawn(tmp_path, 3), "final", {}).number)
    store.refresh()
    go_on.set()
    slow.join(60)
    assert saved == [2, 3]
    assert voxels_of(store.get_label_uri("case0", "final")).max() == 2


@pytest.mark.parametrize("jump", [12 * YEAR, -12 * YEAR])
def test_what_is_abandoned(tmp_path: Path, clock: Clock, jump: float) -> None:
    file = tmp_path / ".a.partial"
    file.touch()
    clock.offset = jump
    assert not disk.is_abandoned(file)
    clock.touch(file)
    assert not disk.is_abandoned(file)
    clock.offset = 0.0
    os.utime(file, (time.time() - 7200,) * 2)
    assert disk.is_abandoned(file)


def test_a_folder_of_the_future_is_not_read_again_and_again(store: Store, clock: Clock) -> None:
    clock.offset = -12 * YEAR
    store.list_images()
    store.list_images()
    assert not store._scanner.has_changed()


def test_an_image_given_out_before_the_clock_was_set_back(store: Store, clock: Clock) -> None:
    store.update_image_info("case0", {"strategy": {"random": {"ts": int(time.time())}}})
    assert _is_assigned(store, "case0")
    for jump in (12 * YEAR, -12 * YEAR):
        clock.offset = jump
        assert not _is_assigned(store, "case0")
