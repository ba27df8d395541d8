"""The log over HTTP: plain text without paths of this computer; where there is none, a sentence."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from monailabel.config import settings

from segsam_app.routes.logs import shown_log
from segsam_app.routes.monai_label import threaded_routes
from segsam_app.web.error_handlers import HANDLED, error_response


def asked(path: str) -> httpx.Response:
    app = FastAPI()
    app.include_router(threaded_routes(["logs"]))
    for kind in HANDLED:
        app.add_exception_handler(kind, error_response)

    async def answered() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    return asyncio.run(answered())


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "MONAI_LABEL_APP_DIR", str(tmp_path))
    file = tmp_path / "logs" / "app.log"
    file.parent.mkdir()
    file.write_text(
        "Initializing App from: /usr/share/app; studies: /etc/patients/of ward; conf: {}\n"
        '  File "/usr/lib/python3/x.py", line 3, in f\n'
        f"GET /datastore/label 200 {tmp_path}/logs and C:\\Users\\me\\x.nii\n"
    )
    return file


def test_the_log_names_no_path_and_loads_no_script(log: Path) -> None:
    for query in ("", "?text=true", "?html=true&refresh=5"):
        reply = asked(f"/logs/{query}")
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/plain")
        for hidden in ("/usr", "/etc", "share", str(log.parent), "C:", "Users", "http", "<"):
            assert hidden not in reply.text
        assert "/datastore/label 200" in reply.text
        assert '"...' in reply.text
        assert "x.py" in reply.text
    assert asked("/logs/?lines=1").text.startswith("GET /datastore/label")


def test_what_cannot_be_answered_is_said(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for lines in ("9223372036854775808", "0", "-1", "x"):
        reply = asked(f"/logs/?lines={lines}")
        assert reply.status_code == 400
        assert reply.json()["detail"].startswith("Expected lines to be ")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    reply = asked("/logs/gpu")
    assert (reply.status_code, reply.json()["code"]) == (501, "not_possible")
    log.unlink()
    assert asked("/logs/").status_code == 404


def test_a_route_is_no_path() -> None:
    assert shown_log("PUT /train/segsam and 1/2 at http://x/y") == (
        "PUT /train/segsam and 1/2 at http://x/y"
    )
