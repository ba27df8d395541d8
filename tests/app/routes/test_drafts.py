"""Drafts of unsaved work by HTTP."""

from __future__ import annotations

import json
from typing import Any

import requests

from segsam_app.storage.drafts import FOLDER

IMAGE = "0123456789abcdef" * 4
PATH = f"/segsam/draft/{IMAGE}"
DRAFT = {"format": 1, "segments": [{"name": "spleen", "bits": "eJxjYGBg"}]}
KEYS = {name: {"X-Draft-Key": f"{name}-{'0' * 32}"} for name in ("anna", "ben")}


def asked(server: Any, method: str, user: str = "anna", **more: Any) -> requests.Response:
    reply: requests.Response = server.ask(
        method, more.pop("path", PATH), headers=KEYS[user], **more
    )
    return reply


def test_a_draft_is_of_one_user_and_no_label(server: Any) -> None:
    before = server.get("/datastore/").json()
    assert asked(server, "PUT", json=DRAFT).status_code == 204
    assert asked(server, "GET").json() == DRAFT
    assert (
        asked(server, "GET", "ben").status_code,
        asked(server, "DELETE", "ben").status_code,
    ) == (
        404,
        204,
    )
    assert server.get("/datastore/").json() == before
    (file,) = (server.sessions / FOLDER).iterdir()
    assert not list(server.studies.rglob(f"*{IMAGE}*"))
    assert server.get("/segsam/health").json()["damaged"].keys().isdisjoint({f"drafts/{file.name}"})
    assert asked(server, "DELETE").status_code == 204
    assert asked(server, "GET").json()["detail"] == "there is no unsaved work on this image"
    assert not file.exists()


def test_forgetting_all_of_a_user(server: Any) -> None:
    paths = [PATH, f"/segsam/draft/{'1' * 64}"]
    for user in KEYS:
        for path in paths:
            asked(server, "PUT", user, json=DRAFT, path=path)
    assert asked(server, "DELETE", path="/segsam/draft").status_code == 204
    assert [asked(server, "GET", path=path).status_code for path in paths] == [404, 404]
    assert asked(server, "GET", "ben").json() == DRAFT
    asked(server, "DELETE", "ben", path="/segsam/draft")


def test_a_damaged_one_is_named_by_health(server: Any) -> None:
    asked(server, "PUT", json=DRAFT)
    (file,) = (server.sessions / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    reply = asked(server, "GET")
    assert (reply.status_code, reply.json()["code"]) == (410, "gone")
    assert "its file was set aside" in reply.json()["detail"]
    (aside,) = (server.sessions / FOLDER).iterdir()
    assert "set aside" in server.get("/segsam/health").json()["damaged"][f"drafts/{aside.name}"]
    aside.unlink()
    assert asked(server, "GET").status_code == 404


def test_what_a_request_must_have(server: Any) -> None:
    for headers in ({}, {"X-Draft-Key": "short"}, {"X-Draft-Key": "a/" * 20}):
        reply = server.ask("PUT", PATH, json=DRAFT, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (400, "request")
        assert "X-Draft-Key with 16 to 128" in reply.json()["detail"]
    assert asked(server, "PUT", json={}).status_code == 400
    assert asked(server, "PUT", json=DRAFT, path="/segsam/draft/%2e%2e").status_code in (400, 404)


def test_a_draft_may_have_4_mb(tight: Any) -> None:
    """Any other request may have 64 kB there."""
    around = len(json.dumps({**DRAFT, "bits": ""}))
    for size, status in (((4 << 20) - around, 204), ((4 << 20) + 1, 413)):
        body = json.dumps({**DRAFT, "bits": "x" * size}).encode()
        assert asked(tight, "PUT", data=body).status_code == status
    assert len(asked(tight, "GET").json()["bits"]) == (4 << 20) - around
    asked(tight, "DELETE")
    assert tight.ask("PUT", "/datastore/image/info", data=bytes(70_000)).status_code == 413
