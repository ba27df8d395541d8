"""Start-up rule, with the real commands: other computers only with a token.

One start is a process of its own, the others are forks of one that has imported MONAI Label.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from segsam_app.web.startup import EXIT_STATUS, bound_address, start_problem

from ...warm_python import WarmPython
from ..permissions import CAN_BE_HELD, UNPRIVILEGED

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("command", "address"),
    [
        (["/x/monailabel/main.py", "start_server", "--app", "a", "-i", "192.0.2.1"], "192.0.2.1"),
        (["/x/monailabel/main.py", "start_server", "--app", "a", "--host=::1"], "::1"),
        (["/x/monailabel/main.py", "start_server", "--app", "a"], "0.0.0.0"),
        (["/x/bin/uvicorn", "segsam_app.asgi:app"], "127.0.0.1"),
        (["/x/uvicorn/__main__.py", "segsam_app.asgi:app", "--host", "0.0.0.0"], "0.0.0.0"),
        (["/x/bin/uvicorn", "segsam_app.asgi:app", "--uds", "/run/segsam"], "unix"),
        (["/x/bin/gunicorn", "segsam_app.asgi:app"], None),
        (["pytest"], None),
    ],
)
def test_the_bound_address_of_a_command_line(command: list[str], address: str | None) -> None:
    assert bound_address(command) == address


def test_uvicorns_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UVICORN_HOST", "0.0.0.0")
    assert bound_address(["/x/bin/uvicorn", "segsam_app.asgi:app"]) == "0.0.0.0"


@pytest.mark.parametrize("bound", ["127.0.0.1", "::1", "localhost", "unix", None])
def test_loopback_needs_no_token(bound: str | None) -> None:
    assert start_problem(bound, None) is None


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_addresses_need_a_token(bound: str) -> None:
    assert f"would listen on {bound}" in str(start_problem(bound, None))
    assert start_problem(bound, "x" * 16) is None


class Run(Protocol):
    """Run `python` with these arguments to its end."""

    def __call__(
        self, arguments: list[str], *, cwd: Path, env: dict[str, str]
    ) -> subprocess.CompletedProcess[str]: ...


def run_anew(
    arguments: list[str], *, cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [*UNPRIVILEGED, sys.executable, *arguments]
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def run_warm() -> Iterator[Run]:
    with WarmPython("monailabel.app", "segsam_app.guard", prefix=UNPRIVILEGED) as python:
        yield python.run


def start(run: Run, folder: Path, *options: str, **env: str) -> tuple[str, str]:
    """Start a server that ends by itself; return its output and its log. No test needs more of its
    start than that it ends with a sentence.
    """
    app = folder / "app"
    app.mkdir()
    shutil.copy(ROOT / "monailabel_app" / "main.py", app)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SEGSAM_")}
    ended = run(
        ["-m", "monailabel.main", "start_server", "--port", "1", "--app", str(app), *options],
        cwd=folder,
        env={**kept, "MONAI_LABEL_TRACKING_ENABLED": "false", **env},
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode == EXIT_STATUS, output
    assert output.count("SEG-SAM does not start: ") == 1
    assert "Traceback" not in output
    return output.partition("SEG-SAM does not start: ")[2], (app / "logs" / "app.log").read_text()


LOCAL = ("--host", "127.0.0.1")


def test_a_process_of_its_own_reports_it_too(tmp_path: Path) -> None:
    sentence, _ = start(run_anew, tmp_path, "--studies", str(tmp_path / "studies"))
    assert "would listen on 0.0.0.0" in sentence


@pytest.mark.parametrize(
    ("options", "env", "words"),
    [
        (["--uvicorn_app", "segsam_app.asgi:app"], {}, ["would listen on 0.0.0.0"]),
        (LOCAL, {"SEGSAM_TOKEN": "short"}, ["16 to 512 characters"]),
        ([*LOCAL, "--conf", "device", "cuda:9"], {}, ["device cuda:9 is not there"]),
        (
            [*LOCAL, "--conf", "axes", "k", "--conf", "devices", "x"],
            {},
            ["--conf axes, devices are unknown; the app knows", " axis, "],
        ),
        (
            [*LOCAL, "--conf", "axis", "z"],
            {"SEGSAM_QUEUE": "many"},
            ["axis to be 'auto', 'i', 'j', 'k' or 'all', got 'z'", "queue to be a whole number"],
        ),
        ([*LOCAL, "--conf", "checkpoint", "nothing.safetensors"], {}, ["nothing.json"]),
    ],
    ids=["uvicorn_app", "token", "device", "names", "values", "checkpoint"],
)
def test_the_server_reports_why_it_does_not_start(
    run_warm: Run, tmp_path: Path, options: list[str], env: dict[str, str], words: list[str]
) -> None:
    sentence, _ = start(run_warm, tmp_path, "--studies", str(tmp_path / "studies"), *options, **env)
    assert all(one in sentence for one in words), sentence


@pytest.mark.skipif(not CAN_BE_HELD, reason="needs permissions that hold, or setpriv")
@pytest.mark.parametrize("kind", ["unreadable", "file"])
def test_studies_that_cannot_be_read_end_the_start(
    run_warm: Run, tmp_path: Path, kind: str
) -> None:
    studies = tmp_path / "studies"
    if kind == "file":
        studies.write_text("a file")
    else:
        studies.mkdir(mode=0)
    sentence, _ = start(run_warm, tmp_path, "--studies", str(studies), *LOCAL)
    assert "study folder is not possible: " in sentence
    studies.chmod(0o755)


def test_a_password_in_the_address_is_not_kept(run_warm: Run, tmp_path: Path) -> None:
    address = "https://me:a-password@127.0.0.1:9/x"
    sentence, log = start(run_warm, tmp_path, "--studies", address, *LOCAL)
    assert "must not hold a user and a password" in sentence
    assert "a-password" not in sentence
    assert "a-password" not in log
    assert "studies: 127.0.0.1:9/x" in log, "MONAI Label's line is still there"
