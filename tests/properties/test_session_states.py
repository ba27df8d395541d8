"""Sessions in any order of operations (matrix Z5): opened, used, kept alive, closed, expired.

Open sessions, files on disk and refusals must agree with the two time limits.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from segsam.errors import VolumeError
from segsam_app.errors import BusyError, GoneError, NotFoundError
from segsam_app.inference.sessions import AppSessions, Upload
from segsam_app.limits import Limits

FULL = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")
RUNS, STEPS = (5000, 30) if FULL else (100, 30)
LIMITS = Limits(sessions=3, session_idle_seconds=600, session_alive_seconds=60)


@dataclass
class Expected:
    """Expected state of one session."""

    idle: float
    used: float
    alive: float | None = None
    closed: bool = False
    gone: bool = False

    def is_over(self, now: float) -> bool:
        silent = self.alive is not None and now - self.alive > LIMITS.session_alive_seconds
        return silent or now - self.used > self.idle


class SessionMachine(RuleBasedStateMachine):
    """Sessions of one server, its clock, and the expected states."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.base = Path(tempfile.mkdtemp())
        self.known: dict[str, Expected] = {}
        self.sessions = AppSessions(
            str(self.base), LIMITS, on_image=lambda _: None, clock=lambda: self.now
        )

    def teardown(self) -> None:
        shutil.rmtree(self.base)

    def sweep(self) -> None:
        """Expire sessions as any call does first."""
        for one in self.known.values():
            one.gone = one.gone or (not one.closed and one.is_over(self.now))

    def living(self) -> set[str]:
        return {name for name, one in self.known.items() if not one.closed and not one.gone}

    @rule(target=ids, idle=st.sampled_from([0, 30, 900]))
    def open(self, idle: int) -> str:
        self.sweep()
        has_room = len(self.living()) < LIMITS.sessions
        try:
            session = self.sessions.add(
                [Upload(io.BytesIO(b"xyz"), 3, "image.nii.gz")], lambda _: None, idle
            )
        except BusyError:
            assert not has_room
            return "never-was"
        assert has_room
        most = float(LIMITS.session_idle_seconds)
        self.known[session.id] = Expected(min(idle, most) if idle else most, self.now)
        return session.id

    @rule()
    def refuse_an_image(self) -> None:
        def refuse(path: Path) -> None:
            raise VolumeError("no image")

        try:
            self.sessions.add([Upload(io.BytesIO(b"x"), 1, "image.nii")], refuse)
        except (VolumeError, BusyError):
            self.sweep()

    @rule(name=ids)
    def use(self, name: str) -> None:
        if self.answered(name, lambda: self.sessions.get(name)):
            self.known[name].used = self.now

    @rule(name=ids)
    def keep_alive(self, name: str) -> None:
        if self.answered(name, lambda: self.sessions.keep_alive(name)):
            self.known[name].alive = self.now

    @rule(name=ids)
    def close(self, name: str) -> None:
        if self.answered(name, lambda: self.sessions.close(name)):
            self.known[name].closed = True

    @rule(seconds=st.sampled_from([1, 29, 31, 59, 61, 599, 601]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def clean(self) -> None:
        (self.sessions.folder / "stray").mkdir(parents=True, exist_ok=True)
        self.sessions.remove_expired()
        self.sweep()
        assert not (self.sessions.folder / "stray").exists()

    def answered(self, name: str, call: object) -> bool:
        """Return True if the call succeeds, i.e. if the session is open."""
        self.sweep()
        assert callable(call)
        one = self.known.get(name)
        try:
            call()
        except GoneError:
            assert one is not None
            assert one.gone
            return False
        except NotFoundError:
            assert one is None or one.closed
            return False
        assert name in self.living()
        return True

    @invariant()
    def the_disk_holds_what_is_open(self) -> None:
        folder = self.sessions.folder
        on_disk = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        assert self.living() <= on_disk
        assert on_disk <= set(self.known)
        assert self.sessions.count <= LIMITS.sessions
        assert self.sessions.bytes == 3 * self.sessions.count


class TestStates(SessionMachine.TestCase):
    settings = settings(max_examples=RUNS, stateful_step_count=STEPS, deadline=None)
