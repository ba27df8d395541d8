"""`POST /prefetch`: answered at once."""

from __future__ import annotations

from typing import Any

import pytest


def test_it_is_answered_at_once(server: Any) -> None:
    for query in (
        {"image": "straight"},
        {"image": "straight", "axis": "k", "slice": "3", "window": "lung", "model": "standin"},
        {"image": "straight", "axis": "i", "slice": "63", "window": "-100,200.5"},
        {"image": "text"},  # its first prompt will report that it is no image
    ):
        reply = server.ask("POST", "/prefetch", params=query)
        assert (reply.status_code, reply.json()) == (202, {"accepted": False}), "this server has 0"


def test_an_image_of_a_session(server: Any) -> None:
    image = (server.studies / "straight.nii.gz").read_bytes()
    made = server.ask("PUT", "/session/", files={"files": ("a.nii.gz", image)}).json()
    assert server.ask("POST", f"/prefetch?session_id={made['session_id']}").status_code == 202
    server.ask("DELETE", f"/session/{made['session_id']}")


@pytest.mark.parametrize(
    ("query", "status", "code", "sentence"),
    [
        ({}, 400, "request", "no image"),
        ({"image": "nobody"}, 404, "not_found", "there is no image 'nobody'"),
        ({"image": "../straight"}, 400, "request", "must be an id"),
        ({"session_id": "nobody"}, 404, "not_found", "session"),
        ({"image": "straight", "model": "nothing"}, 404, "not_found", "there is no model"),
        ({"image": "straight", "axis": "z"}, 400, "request", "axis"),
        ({"image": "straight", "slice": "-1"}, 400, "request", "slice"),
        ({"image": "straight", "axis": "k", "slice": "8"}, 400, "request", "from 0 to 7, got 8"),
        ({"image": "straight", "slice": "64"}, 400, "request", "from 0 to 63, got 64"),
        ({"image": "straight", "slice": "two"}, 400, "request", "slice"),
        ({"image": "straight", "window": "x-ray"}, 400, "request", "unknown window 'x-ray'"),
        ({"image": "straight", "window": "a,b"}, 400, "request", "low,high, got 'a,b'"),
        ({"image": "straight", "window": "2,1"}, 400, "request", "low, high"),
    ],
)
def test_an_invalid_query_is_refused(
    server: Any, query: dict[str, str], status: int, code: str, sentence: str
) -> None:
    reply = server.ask("POST", "/prefetch", params=query)
    assert reply.status_code == status
    assert reply.json()["code"] == code
    assert sentence in reply.json()["detail"]


def test_prefetched_slices_are_counted(server: Any) -> None:
    text = server.get("/metrics").text
    for name in ("ahead", "disk_bytes", "disk_limit_bytes", "disk_hits"):
        assert f"segsam_embeddings_{name} " in text
    assert "segsam_prefetch_images " in text
