"""Limits of a request's body, checked while it is received."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
from fastapi import HTTPException

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_MIN_BYTES_PER_SECOND = 10_000
_DRAIN_BYTES, _DRAIN_SECONDS = 1 << 20, 0.5
_PATIENT_BYTES, _PATIENT_SECONDS = 16 << 20, 5.0
"""What is received of a body after the reply to it is known: of one that is too large, more."""


class LimitedBody:
    """Body of a request, of at most `max_bytes` (status 413) and not too slow (status 408).

    A client may send nothing for `seconds`; on average it must send 10 kB in each further second.
    The exceptions are HTTPException, which FastAPI's readers of forms and JSON pass on unchanged.
    """

    def __init__(self, receive: Receive, max_bytes: int, seconds: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._start = time.monotonic()
        self._is_complete = self._is_cut = False
        self.bytes = 0

    async def receive(self) -> Message:
        """Return the next ASGI message of the request."""
        if self._is_complete:  # from here on, only a disconnect is waited for: without a limit
            return await self._receive()
        message = await self._receive_in_time()
        self._count(message)
        if self.bytes > self._max_bytes:
            raise HTTPException(413, too_large(self._max_bytes))
        return message

    async def drain(self, *, patient: bool = False) -> bool:
        """Receive and drop the rest of a body, within bounds: many clients read no reply before
        they have sent everything. Return False if there is more, which has to be cut off.
        """
        most = min(_PATIENT_BYTES if patient else _DRAIN_BYTES, 2 * self._max_bytes)
        allowed = self.bytes + most
        with anyio.move_on_after(_PATIENT_SECONDS if patient else _DRAIN_SECONDS):
            while not self._is_complete and self.bytes <= allowed:
                self._count(await self._receive())
        return self._is_complete and not self._is_cut

    def _count(self, message: Message) -> None:
        self.bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)

    async def _receive_in_time(self) -> Message:
        allowed = self._seconds + self.bytes / _MIN_BYTES_PER_SECOND
        left = max(self._start + allowed - time.monotonic(), 0)
        with anyio.move_on_after(left):
            return await self._receive()
        self._is_complete = self._is_cut = True
        raise HTTPException(408, f"the body was not complete after {allowed:.0f} s")


def too_large(max_bytes: int) -> str:
    """Return the sentence of a 413."""
    size = f"{max_bytes >> 20} MB" if max_bytes >= 1 << 20 else f"{max_bytes >> 10} kB"
    return f"the body of this request may have {size}; it has more"
