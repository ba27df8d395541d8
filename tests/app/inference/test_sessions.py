"""Sessions end by their timers, stay within their limits, and leave nothing behind."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segsam.errors import VolumeError
from segsam_app.errors import BusyError, GoneError, NotFoundError
from segsam_app.inference.sessions import AppSessions, Session, Upload
from segsam_app.limits import Limits

LIMITS = Limits(sessions=2, sessions_megabytes=1, session_idle_seconds=600)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> AppSessions:
    return AppSessions(str(tmp_path), LIMITS, on_image=lambda _: None, clock=clock)


def opened(sessions: AppSessions, size: int = 3, idle: int = 0) -> Session:
    upload = Upload(io.BytesIO(b"x" * size), size, "image.nii.gz")
    return sessions.add([upload], lambda _: None, idle)


class TestLife:
    def test_use_keeps_it_alive(self, sessions: AppSessions, clock: Clock) -> None:
        session = opened(sessions)
        for _ in range(3):
            clock.now += 599
            assert sessions.get(session.id).image.read_bytes() == b"xxx"
        clock.now += 601
        with pytest.raises(GoneError, match="send the image again"):
            sessions.get(session.id)
        assert not session.image.parent.exists()
        with pytest.raises(GoneError):
            sessions.get(session.id)

    def test_reading_its_description_is_no_use(self, sessions: AppSessions, clock: Clock) -> None:
        session = opened(sessions)
        clock.now += 599
        sessions.get(session.id, use=False)
        clock.now += 2
        with pytest.raises(GoneError):
            sessions.get(session.id)

    def test_a_request_may_shorten_the_idle_time_only(self, sessions: AppSessions) -> None:
        assert opened(sessions, idle=5).idle_seconds == 5
        assert opened(sessions, idle=10**9).idle_seconds == 600

    def test_a_client_that_reports_alive_has_to_go_on(
        self, sessions: AppSessions, clock: Clock
    ) -> None:
        session = opened(sessions)
        clock.now += 61
        sessions.keep_alive(session.id)
        clock.now += 59
        sessions.keep_alive(session.id)
        clock.now += 61
        with pytest.raises(GoneError):
            sessions.get(session.id)

    def test_a_closed_session_is_not_found(self, sessions: AppSessions) -> None:
        session = opened(sessions)
        sessions.close(session.id)
        assert not session.image.exists()
        with pytest.raises(NotFoundError, match="it has ended or never was"):
            sessions.get(session.id)

    def test_what_is_kept_beside_a_session_goes_with_it(self, tmp_path: Path, clock: Clock) -> None:
        ended: list[str] = []
        sessions = AppSessions(
            str(tmp_path), LIMITS, on_image=lambda _: None, on_end=ended.append, clock=clock
        )
        first, second = opened(sessions), opened(sessions)
        sessions.close(first.id)
        clock.now += 601
        sessions.remove_expired()
        assert ended == [first.id, second.id]

    def test_an_unknown_session_is_not_found(self, sessions: AppSessions) -> None:
        with pytest.raises(NotFoundError):
            sessions.get("never")

    def test_setting_the_system_clock_ends_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sessions = AppSessions(str(tmp_path), LIMITS, on_image=lambda _: None)
        session = opened(sessions)
        for jump in (86_400, -86_400):
            monkeypatch.setattr("time.time", lambda jump=jump: 1_800_000_000 + jump)
            assert sessions.remove_expired() == 0
            assert sessions.get(session.id).image == session.image


class TestLimits:
    def test_the_number_is_limited(self, sessions: AppSessions, clock: Clock) -> None:
        opened(sessions)
        last = opened(sessions)
        with pytest.raises(BusyError, match=r"2 sessions are open.*setting sessions"):
            opened(sessions)
        sessions.close(last.id)
        opened(sessions)
        clock.now += 601  # unused sessions end to make room
        opened(sessions)
        assert sessions.count == 1

    def test_the_size_is_limited(self, sessions: AppSessions, tmp_path: Path) -> None:
        opened(sessions, 600_000)
        with pytest.raises(BusyError, match="sessions_megabytes"):
            opened(sessions, 600_000)
        assert sessions.bytes == 600_000
        assert len(list(sessions.folder.iterdir())) == 1

    def test_ids_cannot_be_guessed_and_are_ids(self, tmp_path: Path) -> None:
        from segsam_app.ids import checked_id

        many = AppSessions(str(tmp_path), Limits(sessions=500), on_image=lambda _: None)
        ids = {checked_id("session_id", opened(many).id) for _ in range(300)}
        assert len(ids) == 300
        assert all(len(each) >= 22 for each in ids)

    def test_the_last_one_takes_the_folder_along(self, sessions: AppSessions) -> None:
        first, second = opened(sessions), opened(sessions)
        sessions.close(first.id)
        assert sessions.folder.is_dir()
        sessions.close(second.id)
        assert not sessions.folder.exists()
        again = opened(sessions)
        assert sessions.get(again.id).image.read_bytes() == b"xxx"

    def test_a_refused_upload_leaves_nothing(self, sessions: AppSessions) -> None:
        def refuse(path: Path) -> None:
            raise VolumeError(f"{path.name} is no image")

        with pytest.raises(VolumeError):
            sessions.add([Upload(io.BytesIO(b"x"), 1, "image.png")], refuse)
        assert (sessions.count, sessions.bytes) == (0, 0)
        assert not sessions.folder.exists()

    def test_a_series_is_a_folder(self, sessions: AppSessions) -> None:
        files = [Upload(io.BytesIO(b"x"), 1, f"{number:05d}.dcm") for number in range(3)]
        session = sessions.add(files, lambda _: None)
        assert sorted(path.name for path in session.image.iterdir()) == [
            "00000.dcm",
            "00001.dcm",
            "00002.dcm",
        ]

    def test_no_path_of_the_server_is_sent(self, sessions: AppSessions, tmp_path: Path) -> None:
        assert str(tmp_path) not in str(opened(sessions).to_json())


class TestCleanUp:
    def test_it_survives_any_stray_file(self, sessions: AppSessions) -> None:
        session = opened(sessions)
        (sessions.folder / "half").mkdir()
        (sessions.folder / "half" / "meta.info").write_bytes(b"\0\xff")
        (sessions.folder / "file").write_text("x")
        (sessions.folder / "link").symlink_to(sessions.folder / session.id)
        assert sessions.remove_expired() == 0
        assert [path.name for path in sessions.folder.iterdir()] == [session.id]
        assert session.image.exists()

    def test_it_removes_nothing_else(self, sessions: AppSessions, tmp_path: Path) -> None:
        other = tmp_path / "somebody-elses"
        other.mkdir()
        living = tmp_path / f"segsam-{os.getppid()}"
        living.mkdir()
        sessions.remove_expired()
        assert other.is_dir()
        assert living.is_dir()

    def test_it_removes_what_a_killed_server_left(
        self, sessions: AppSessions, tmp_path: Path
    ) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        left = tmp_path / f"segsam-{ended.pid}"
        (left / "abc").mkdir(parents=True)
        sessions.remove_expired()
        assert not left.exists()

    def test_a_server_without_sessions_still_cleans(self, sessions: AppSessions) -> None:
        assert bool(sessions)  # MONAI Label checks it before the clean-up
        assert sessions.remove_expired() == 0
