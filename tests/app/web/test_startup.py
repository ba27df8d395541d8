"""Start-up rule, with the real commands: other computers only with a token."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segsam_app.web.startup import EXIT_STATUS, bound_address, start_problem

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


@pytest.mark.parametrize(
    ("options", "env", "words"),
    [
        ([], {}, "would listen on 0.0.0.0"),
        (["--uvicorn_app", "segsam_app.asgi:app"], {}, "would listen on 0.0.0.0"),
        (["--host", "127.0.0.1"], {"SEGSAM_TOKEN": "short"}, "16 to 512 characters"),
        (["--host", "127.0.0.1", "--conf", "device", "cuda:9"], {}, "device cuda:9 is not there"),
    ],
    ids=["plain", "uvicorn_app", "token", "device"],
)
def test_the_server_reports_why_it_does_not_start(
    tmp_path: Path, options: list[str], env: dict[str, str], words: str
) -> None:
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--port", "1"]
    command += ["--app", str(ROOT / "monailabel_app"), "--studies", str(tmp_path / "studies")]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SEGSAM_")}
    ended = subprocess.run(
        [*command, *options],
        cwd=tmp_path,
        env={**kept, "MONAI_LABEL_TRACKING_ENABLED": "false", **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode == EXIT_STATUS
    assert "SEG-SAM does not start: " in output
    assert words in output
    assert "Traceback" not in output
