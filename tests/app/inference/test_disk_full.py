"""No space for temporary files, and a log that cannot be written: matrix F16."""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.requests import Request

from segsam.errors import OutputError
from segsam.imaging.volume import Volume
from segsam_app.inference.images import uploaded
from segsam_app.web.error_handlers import error_response

from ...warm_python import WarmPython
from ..conftest import ROOT

REQUEST = Request({"type": "http", "method": "PUT", "path": "/datastore/image", "headers": []})


@pytest.fixture
def files_of_10_kb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder for temporary files, which cannot grow beyond 10 kB."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_upload_on_a_full_disk(files_of_10_kb: Path) -> None:
    with (
        pytest.raises(OSError, match="File too large") as refused,
        uploaded(io.BytesIO(bytes(50_000)), "x.nii"),
    ):
        pytest.fail("it cannot have been written")
    reply = asyncio.run(error_response(REQUEST, refused.value))
    body = json.loads(bytes(reply.body))
    assert (reply.status_code, body["code"]) == (507, "storage")
    assert body["detail"].startswith("The server cannot write: ")
    assert list(files_of_10_kb.iterdir()) == []


def test_a_result_on_a_full_disk(files_of_10_kb: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 40)).astype(np.uint8)
    with pytest.raises(OutputError) as refused:
        Volume.from_array(noise).save(files_of_10_kb / "answer.nii.gz")
    reply = asyncio.run(error_response(REQUEST, refused.value))
    assert (reply.status_code, json.loads(bytes(reply.body))["code"]) == (507, "output")
    assert list(files_of_10_kb.iterdir()) == []


def test_an_unwritable_log_is_reported_at_the_start(
    tmp_path: Path, warm_monailabel: WarmPython
) -> None:
    app = tmp_path / "app"
    (app / "logs" / "app.log").mkdir(parents=True)
    shutil.copy(ROOT / "monailabel_app" / "main.py", app)
    command = ["-m", "monailabel.main", "start_server", "--host", "127.0.0.1"]
    ended = warm_monailabel.run(
        [*command, "--app", str(app), "--studies", str(tmp_path / "studies"), "--port", "1"],
        cwd=tmp_path,
        env={**os.environ, "MONAI_LABEL_TRACKING_ENABLED": "false"},
    )
    assert ended.returncode not in (0, None)
    assert str(app / "logs" / "app.log") in ended.stdout + ended.stderr
