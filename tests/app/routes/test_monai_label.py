"""MONAI Label's routes in worker threads, and those that are off: matrix B9 and W22."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from fastapi import Request

from segsam_app.errors import ConfigError, RequestError
from segsam_app.limits import Limits
from segsam_app.routes.monai_label import in_thread, threaded_routes

OFF = [
    ("PUT", "/model/segsam"),
    ("DELETE", "/model/segsam"),
    ("POST", "/reload"),
    ("GET", "/logs/"),
    ("GET", "/logs/gpu"),
    ("DELETE", "/datastore/"),
    ("DELETE", "/datastore/image"),
    ("DELETE", "/datastore/label"),
    ("POST", "/infer/wsi/segsam"),
    ("POST", "/infer/wsi_v2/segsam"),
]


@pytest.mark.parametrize(("method", "path"), OFF, ids=str)
def test_a_route_that_is_off_is_refused(server: Any, method: str, path: str) -> None:
    query = {"id": "straight", "tag": "final", "image": "/etc/passwd"}
    reply = server.ask(method, path, params=query)
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    sentence = reply.json()["detail"]
    assert "switched off on this server" in sentence or "not offered" in sentence
    assert (server.studies / "straight.nii.gz").exists()


def test_a_route_that_is_on_works(tight: Any) -> None:
    assert tight.ask("DELETE", "/datastore/image", params={"id": "text"}).status_code == 200
    assert tight.get("/datastore/image", params={"image": "text"}).status_code == 404
    assert tight.ask("DELETE", "/datastore/image", params={"id": "../x"}).status_code == 400
    assert tight.ask("DELETE", "/datastore/image", params={"id": "nowhere"}).status_code == 404
    assert tight.get("/logs/").status_code == 404


def test_monai_labels_proxy_is_replaced(server: Any) -> None:
    """This study folder holds no DICOM series."""
    reply = server.get("/proxy/dicom/qido/studies")
    assert (reply.status_code, reply.json()) == (200, [])
    reply = server.get("/proxy/dicom/wado/studies/1.2.3/metadata")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert server.get("/proxy/dicom/..%2fsystem").status_code == 404
    assert server.ask("POST", "/proxy/dicom/stow/studies", data=b"x").status_code == 405
    with pytest.raises(ConfigError, match=r"routes to .*not name proxy: .* is always on"):
        Limits.read({"routes": "proxy"})


def test_every_switch_changes_routes() -> None:
    def refusing(*on: str) -> int:
        return sum(route.endpoint.__name__ == "refuse" for route in threaded_routes(on).routes)  # type: ignore[attr-defined]

    everything = refusing()
    for switch in ("model", "reload", "logs", "delete"):
        assert refusing(switch) < everything


ODD = [
    ("GET", "/datastore/?output=some"),
    ("GET", "/datastore/image"),
    ("HEAD", "/datastore/image?image=straight&check_sum=NONE:1"),
    ("HEAD", "/datastore/image?image=straight&check_sum=:"),
    ("HEAD", "/datastore/image?image=nowhere"),
    ("HEAD", "/datastore/label?image=straight&tag=final"),
    ("GET", "/datastore/image/info?image=nowhere"),
    ("GET", "/datastore/label/info?label=nowhere&tag=final"),
    ("GET", "/datastore/label/info?label=straight&tag=nothing"),
    ("PUT", "/datastore/label/info?label=straight&tag=nothing"),
    ("PUT", "/datastore/updatelabelinfo?label=straight&tag=nothing"),
    ("PUT", "/datastore/label?image=straight"),
    ("GET", "/datastore/dataset?limit_cases=-1"),
    ("GET", "/datastore/dataset?limit_cases=x"),
    ("GET", "/model/segsam"),
    ("GET", "/model/nothing"),
    ("GET", "/model/info/segsam"),
    ("GET", "/train/?all=maybe"),
    ("DELETE", "/train/"),
    ("DELETE", "/scoring/"),
    ("DELETE", "/batch/infer"),
    ("POST", "/train/?run_sync=true"),
    ("POST", "/scoring/"),
    ("GET", "/session/"),
    ("DELETE", "/session/never"),
    ("GET", "/ohif/"),
    ("GET", "/ohif//etc/passwd"),
    ("GET", "/ohif/..%2f..%2fapp.py"),
    ("GET", "/static/..%2f..%2fapp.py"),
    ("GET", "/infer/segsam"),
    ("POST", "/infer/segsam?image=straight&output=film"),
]


@pytest.mark.parametrize(("method", "path"), ODD, ids=str)
def test_odd_requests_are_no_bugs(server: Any, method: str, path: str) -> None:
    reply = server.ask(method, path)
    assert reply.status_code < 500
    assert b"root:" not in reply.content
    assert b"uvicorn" not in reply.content
    if reply.status_code >= 400 and method != "HEAD":
        assert set(reply.json()) == {"detail", "code"}


def test_an_endpoint_runs_in_a_worker_thread() -> None:
    async def stock(image: str, label: object = None) -> dict[str, Any]:
        return {"thread": threading.current_thread().name, "score": float("nan")}

    run = in_thread(stock)
    body = asyncio.run(run(image="case0", label=object())).body
    assert b"MainThread" not in body
    assert b'"score":null' in body
    with pytest.raises(RequestError):
        asyncio.run(run(image="../x"))


def test_the_body_is_received_before_the_thread_starts() -> None:
    async def stock(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"12345", "more_body": False}

    request = Request({"type": "http", "headers": []}, receive)
    assert asyncio.run(in_thread(stock)(request=request)).body == b'{"bytes":5}'


def test_an_endpoint_that_suspends_is_an_error() -> None:
    async def stock() -> None:
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="cannot run outside the event loop"):
        asyncio.run(in_thread(stock)())
