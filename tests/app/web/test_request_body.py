"""The limits of a body are checked while it is received."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import HTTPException

from segsam_app.web.request_body import LimitedBody, too_large


class Client:
    """Client that sends `pieces`, then nothing, and counts the bytes that were received."""

    def __init__(self, pieces: Sequence[bytes], *, is_complete: bool = True) -> None:
        self.pieces = list(pieces)
        self.is_complete = is_complete
        self.taken = 0

    async def receive(self) -> dict[str, Any]:
        if not self.pieces:
            if self.is_complete:
                return {"type": "http.disconnect"}
            await asyncio.sleep(3600)
        piece = self.pieces.pop(0)
        self.taken += len(piece)
        more = bool(self.pieces) or not self.is_complete
        return {"type": "http.request", "body": piece, "more_body": more}


async def read(body: LimitedBody) -> bytes:
    content = b""
    while True:
        message = await body.receive()
        content += message["body"]
        if not message["more_body"]:
            return content


def test_a_small_body_passes() -> None:
    client = Client([b"12", b"34"])
    body = LimitedBody(client.receive, 4, 5)
    assert asyncio.run(read(body)) == b"1234"
    assert body.bytes == 4
    assert asyncio.run(body.receive()) == {"type": "http.disconnect"}


def test_a_large_body_is_refused_at_once() -> None:
    client = Client([b"12", b"345", b"6" * 100])
    body = LimitedBody(client.receive, 4, 5)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read(body))
    assert refused.value.status_code == 413
    assert client.taken == 5


def test_the_rest_of_a_refused_body_is_received_within_bounds() -> None:
    client = Client([b"x" * 10] * 3)
    asyncio.run(LimitedBody(client.receive, 20, 5).drain())
    assert client.taken == 30
    endless = Client([b"x" * 10] * 1000)
    asyncio.run(LimitedBody(endless.receive, 20, 5).drain())
    assert endless.taken <= 60


def test_a_silent_client_is_refused() -> None:
    client = Client([b"1"], is_complete=False)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read(LimitedBody(client.receive, 100, 0.05)))
    assert refused.value.status_code == 408


def test_the_sentence_names_the_limit() -> None:
    assert "64 kB" in too_large(65536)
    assert "2 MB" in too_large(2 << 20)
