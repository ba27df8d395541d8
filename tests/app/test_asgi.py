"""A server started with `--uvicorn_app` has the same guard."""

from __future__ import annotations

from typing import Any


def test_the_guard_is_there_from_the_first_request(tight: Any) -> None:
    assert tight.get("/info/").json()["name"] == "SEG-SAM"
    assert tight.get("/segsam/health").json()["live"]
    assert tight.ask("POST", "/reload").status_code == 404


def test_it_is_installed_once(tight: Any) -> None:
    reply = tight.get("/info/")
    headers = [name.lower() for name in reply.raw.headers if name.lower() == "x-request-id"]
    assert len(headers) == 1
    assert len(tight.lines_of(reply.headers["x-request-id"])) == 1
