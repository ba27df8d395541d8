"""The body of a request, counted while it comes in: no more than allowed, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
from fastapi import HTTPException

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_LEAST_BYTES_PER_SECOND = 10_000
_DRAIN_SECONDS = 20


class Body:
    """A `receive` that stops at `most` bytes (413), or when the client is too slow (408): it may
    send nothing for `seconds`, and must on the whole send 10 kB in each further second.

    What it raises passes through FastAPI's reading of forms and JSON as it is.
    """

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self._receive = receive
        self._most = most
        self._seconds = seconds
        self._start = time.monotonic()
        self._is_complete = False
        self.bytes = 0

    async def receive(self) -> Message:
        """The next message of the server."""
        if self._is_complete:  # now it is only asked whether the client is still there
            return await self._receive()
        message = await self._in_time()
        self.bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self.bytes > self._most:
            raise HTTPException(413, too_large(self._most))
        return message

    async def drain(self) -> None:
        """Let a refused client finish what it is sending, within bounds: it reads no answer
        before.
        """
        allowed = 2 * self._most + self.bytes
        with anyio.move_on_after(_DRAIN_SECONDS):
            while not self._is_complete and self.bytes <= allowed:
                message = await self._receive()
                self.bytes += len(message.get("body", b""))
                self._is_complete = not message.get("more_body", False)

    async def _in_time(self) -> Message:
        allowed = self._seconds + self.bytes / _LEAST_BYTES_PER_SECOND
        left = max(self._start + allowed - time.monotonic(), 0)
        with anyio.move_on_after(left):
            return await self._receive()
        self._is_complete = True
        raise HTTPException(408, f"the body was not complete after {allowed:.0f} s")


def too_large(most: int) -> str:
    """The sentence of a 413."""
    size = f"{most >> 20} MB" if most >= 1 << 20 else f"{most >> 10} kB"
    return f"the body of this request may have {size}; it has more"
