"""A training does not outlive its server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from segsam_app.training.server_watch import stopping_with_server

from ..conftest import soon

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows does not tell when a parent goes")

_TRAINING = """
import pathlib, sys, time
from segsam_app.training.server_watch import stopping_with_server
state = pathlib.Path(sys.argv[1])
try:
    with stopping_with_server(poll_seconds=0.05):
        state.write_text("training")
        time.sleep(60)
except KeyboardInterrupt:
    state.write_text("stopped")
"""
_SERVER = """
import signal, subprocess, sys, time
from segsam_app.training.server_watch import mark_children
if sys.argv[3] == "begun with &":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
mark_children()
subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
time.sleep(60)
"""


_IMPORTING = """
import pathlib, sys, time
from segsam_app.training.server_watch import end_while_starting
end_while_starting(poll_seconds=0.05)
pathlib.Path(sys.argv[1]).write_text("importing")
time.sleep(60)
pathlib.Path(sys.argv[1]).write_text("imported")
"""


def has_state(path: Path, word: str) -> bool:
    return path.exists() and path.read_text() == word


@pytest.mark.parametrize("server", ["in a terminal", "begun with &"])
def test_it_is_interrupted_when_the_server_is_killed(tmp_path: Path, server: str) -> None:
    state = tmp_path / "state"
    words = [sys.executable, "-c", _SERVER, _TRAINING, str(state), server]
    with subprocess.Popen(words) as process:
        assert soon(lambda: has_state(state, "training"), seconds=30)
        process.send_signal(signal.SIGKILL)
    assert soon(lambda: has_state(state, "stopped"), seconds=30)


def test_while_it_imports_it_ends_at_once(tmp_path: Path) -> None:
    state, pids = tmp_path / "state", tmp_path / "pids"
    importing = f"import os; open({str(pids)!r}, 'w').write(str(os.getpid())){_IMPORTING}"
    words = [sys.executable, "-c", _SERVER, importing, str(state), "in a terminal"]
    with subprocess.Popen(words) as process:
        assert soon(lambda: has_state(state, "importing"), seconds=30)
        process.send_signal(signal.SIGKILL)
    assert soon(lambda: not psutil.pid_exists(int(pids.read_text())), seconds=30)
    assert has_state(state, "importing")


def test_the_app_watches_before_its_other_imports() -> None:
    main = Path(__file__).parents[3] / "monailabel_app" / "main.py"
    lines = [line for line in main.read_text().splitlines() if line.startswith(("import", "from"))]
    assert lines[:2] == [
        "from __future__ import annotations",
        "import segsam_app.task_start  # noqa: F401  # before what takes seconds to import",
    ]


def test_one_that_no_server_started_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getppid", lambda: pytest.fail("watched") if watched else 1)
    watched = False
    with stopping_with_server(poll_seconds=0.01):
        watched = True
        time.sleep(0.1)
