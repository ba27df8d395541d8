"""The outermost layer: each request is checked, measured, limited and written down, in this order.

It is pure ASGI, so bodies stream through it. What it refuses never reaches MONAI Label.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from segsam_app.limits import Limits
from segsam_app.web import request_log as journal
from segsam_app.web.access import Access, Refusal, Scope
from segsam_app.web.body import Body, Message, Receive, too_large
from segsam_app.web.metrics import Meters
from segsam_app.web.replies import refused

Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID = "x-request-id"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UPLOADS = re.compile(
    r"PUT (/datastore/?|/datastore/image|/datastore/label|/session/?)|POST /infer/[^/]+"
    r"|POST /proxy/.*"
)


@dataclass
class Call:
    """One request on its way."""

    scope: Scope
    send: Send
    body: Body
    request: str = field(default_factory=lambda: secrets.token_hex(8))
    start: float = field(default_factory=time.perf_counter)
    status: int = 500
    bytes_out: int = 0

    async def reply(self, message: Message) -> None:
        """Send on what the app answers, under the request's id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status == 413:
                await self.body.drain()
            own = [
                (REQUEST_ID.encode(), self.request.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        self.bytes_out += len(message.get("body", b""))
        await self.send(message)

    def entry(self) -> journal.Entry:
        """What is written down about it."""
        method = self.scope["method"]
        return journal.Entry(
            request=self.request,
            method=method if method in _METHODS else "other",
            route=str(getattr(self.scope.get("route"), "path", "none")),
            status=self.status,
            bytes_in=self.body.bytes,
            bytes_out=self.bytes_out,
            ms=round(1000 * (time.perf_counter() - self.start), 1),
        )


class GuardMiddleware:
    """The middleware. `prefix` is MONAI Label's prefix of all routes."""

    def __init__(
        self, app: Application, *, access: Access, limits: Limits, meters: Meters, prefix: str = ""
    ) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._meters = meters
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there is none here, and they know no Origin
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most_bytes(scope)
        call = Call(scope, send, Body(receive, most, self._limits.body_seconds))
        try:
            refusal = self._access.refusal(scope) or _of_size(scope, most)
            if refusal is None:
                await self._app(scope, call.body.receive, call.reply)
            else:
                await refused(refusal)(scope, call.body.receive, call.reply)
        finally:
            entry = call.entry()
            journal.write(entry)
            self._meters.count(entry)

    def _most_bytes(self, scope: Scope) -> int:
        path = (
            str(scope["path"]).removeprefix(scope.get("root_path", "")).removeprefix(self._prefix)
        )
        is_upload = _UPLOADS.fullmatch(f"{scope['method']} {path}")
        return self._limits.upload_bytes if is_upload else self._limits.body_bytes


def _of_size(scope: Scope, most: int) -> Refusal | None:
    """Refuse by the size that the client declares."""
    declared: list[Any] = [value for key, value in scope["headers"] if key == b"content-length"]
    if declared and (not declared[0].isdigit() or int(declared[0][:20]) > most):
        return Refusal(413, "too_large", too_large(most))
    return None
