"""What killed servers left among the temporary files is swept; nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from segsam_app.inference.images import uploaded
from segsam_app.storage.leftovers import prefix, sweep


@pytest.fixture
def ended() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def start_file(folder: Path, name: str, logs: Path, *, age: float = 1e6) -> Path:
    path = folder / name
    content = {
        "disable_existing_loggers": False,
        "handlers": {"file": {"filename": str(logs / "app.log")}},
    }
    path.write_text(json.dumps(content))
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return path


def test_files_of_ended_servers_go(tmp_path: Path, ended: int) -> None:
    logs = tmp_path / "app" / "logs"
    upload = tmp_path / f"segsam-upload-{ended}-abc"
    upload.mkdir()
    (upload / "image.nii.gz").write_bytes(bytes(100))
    reply = tmp_path / f"segsam-reply-{ended}-abc.nrrd"
    reply.write_bytes(b"x")
    start = start_file(tmp_path, "tmpabcd_123.json", logs)
    sweep(tmp_path, logs)
    assert not any(path.exists() for path in (upload, reply, start))


def test_others_stay(tmp_path: Path, ended: int) -> None:
    logs = tmp_path / "app" / "logs"
    own = tmp_path / f"{prefix('upload')}abc"
    own.mkdir()
    (tmp_path / f"segsam-upload-x{ended}-abc").mkdir()
    (tmp_path / f"other-upload-{ended}-abc").mkdir()
    (tmp_path / "tmpabcd_124.json").write_text("{}")
    start_file(tmp_path, "tmpabcd_125.json", tmp_path / "another" / "logs")
    start_file(tmp_path, "tmpabcd_126.json", logs, age=-1000)
    start_file(tmp_path, "config.json", logs)
    before = sorted(tmp_path.iterdir())
    sweep(tmp_path, logs)
    assert sorted(tmp_path.iterdir()) == before
    sweep(tmp_path / "nowhere", logs)


def test_an_upload_lies_where_it_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (tmp_path / "x").open("w+b") as file, uploaded(file, "x.nii") as path:
        assert path.parent.name.startswith(f"segsam-upload-{os.getpid()}-")
