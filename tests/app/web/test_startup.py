"""Start-up rule, with the real commands: other computers only with a token."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segsam_app.web.startup import EXIT_STATUS, bound_address, start_problem

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


def start(folder: Path, *options: str, **env: str) -> tuple[str, str]:
    """Start a server that ends by itself; return its output and its log. No test needs more of its
    start than that it ends with a sentence.
    """
    app = folder / "app"
    app.mkdir()
    shutil.copy(ROOT / "monailabel_app" / "main.py", app)
    command = [*UNPRIVILEGED, sys.executable, "-m", "monailabel.main", "start_server"]
    command += ["--port", "1"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SEGSAM_")}
    ended = subprocess.run(
        [*command, "--app", str(app), *options],
        cwd=folder,
        env={**kept, "MONAI_LABEL_TRACKING_ENABLED": "false", **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode == EXIT_STATUS, output
    assert output.count("SEG-SAM does not start: ") == 1
    assert "Traceback" not in output
    return output.partition("SEG-SAM does not start: ")[2], (app / "logs" / "app.log").read_text()


LOCAL = ("--host", "127.0.0.1")


@pytest.mark.parametrize(
    ("options", "env", "words"),
    [
        ([], {}, ["would listen on 0.0.0.0"]),
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
    ids=["plain", "uvicorn_app", "token", "device", "names", "values", "checkpoint"],
)
def test_the_server_reports_why_it_does_not_start(
    tmp_path: Path, options: list[str], env: dict[str, str], words: list[str]
) -> None:
    sentence, _ = start(tmp_path, "--studies", str(tmp_path / "studies"), *options, **env)
    assert all(one in sentence for one in words), sentence


@pytest.mark.skipif(not CAN_BE_HELD, reason="needs permissions that hold, or setpriv")
@pytest.mark.parametrize("kind", ["unreadable", "file"])
def test_studies_that_cannot_be_read_end_the_start(tmp_path: Path, kind: str) -> None:
    studies = tmp_path / "studies"
    if kind == "file":
        studies.write_text("a file")
    else:
        studies.mkdir(mode=0)
    sentence, _ = start(tmp_path, "--studies", str(studies), *LOCAL)
    assert "study folder is not possible: " in sentence
    studies.chmod(0o755)


def test_a_password_in_the_address_is_not_kept(tmp_path: Path) -> None:
    address = "https://me:a-password@127.0.0.1:9/x"
    sentence, log = start(tmp_path, "--studies", address, *LOCAL)
    assert "must not hold a user and a password" in sentence
    assert "a-password" not in sentence
    assert "a-password" not in log
    assert "studies: 127.0.0.1:9/x" in log, "MONAI Label's line is still there"
