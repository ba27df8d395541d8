"""Outermost middleware: checks each request, limits its body, and counts and logs its reply.

It is pure ASGI, so bodies stream through it. A rejected request never reaches MONAI Label.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from segsam_app.limits import DRAFT_BYTES, Limits
from segsam_app.web import request_log
from segsam_app.web.access import AccessRules, Rejection, Scope
from segsam_app.web.error_handlers import rejection_response
from segsam_app.web.metrics import Metrics
from segsam_app.web.request_body import LimitedBody, Message, Receive, too_large

Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID = "x-request-id"
POLICY = b"content-security-policy"
CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
"""Content-Security-Policy of every reply without one of its own (`routes/pages.py`): a browser runs
nothing of it and loads nothing for it. No page elsewhere may show one of ours in a frame, where its
user would click without knowing on what."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are logged by name; any other is logged as "other", because a client invents it."""
_UPLOADS = re.compile(
    r"PUT (/datastore/?|/datastore/image|/datastore/label|/session/?)|POST /infer/[^/]+"
)
_DRAFT = re.compile(r"PUT /segsam/draft/[^/]+")


@dataclass
class _Exchange:
    """A request and what is known of its reply so far."""

    scope: Scope
    send: Send
    body: LimitedBody
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    start: float = field(default_factory=time.perf_counter)
    status: int = 500
    bytes_out: int = 0

    async def reply(self, message: Message) -> None:
        """Send a message of the application to the client, with the id of the request."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            is_read = await self.body.drain(patient=self.status == 413)
            own = list(message.get("headers", ()))
            has_policy = any(name.lower() == POLICY for name, _ in own)
            headers = [
                *own,
                *([] if has_policy else [(POLICY, CONTENT_POLICY.encode())]),
                *([] if is_read else [(b"connection", b"close")]),
                (REQUEST_ID.encode(), self.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"x-frame-options", b"SAMEORIGIN"),  # for browsers without `frame-ancestors`
            ]
            message = {**message, "headers": headers}
        self.bytes_out += len(message.get("body", b""))
        await self.send(message)

    def record(self) -> request_log.RequestRecord:
        """Return what is logged and counted."""
        method = self.scope["method"]
        return request_log.RequestRecord(
            request=self.request_id,
            method=method if method in _METHODS else "other",
            route=str(getattr(self.scope.get("route"), "path", "none")),
            status=self.status,
            bytes_in=self.body.bytes,
            bytes_out=self.bytes_out,
            ms=round(1000 * (time.perf_counter() - self.start), 1),
        )


class GuardMiddleware:
    """ASGI middleware in front of MONAI Label. `prefix` is the prefix of all its routes."""

    def __init__(
        self,
        app: Application,
        *,
        access: AccessRules,
        limits: Limits,
        metrics: Metrics,
        prefix: str = "",
    ) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._metrics = metrics
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "websocket":  # the server has none, and browsers do not check Origin
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_bytes(scope)
        exchange = _Exchange(
            scope, send, LimitedBody(receive, max_bytes, self._limits.body_seconds)
        )
        try:
            rejection = self._access.rejection(scope) or _check_size(scope, max_bytes)
            app = self._app if rejection is None else rejection_response(rejection)
            await app(scope, exchange.body.receive, exchange.reply)
        finally:
            record = exchange.record()
            request_log.write(record)
            self._metrics.count(record)

    def _max_bytes(self, scope: Scope) -> int:
        path = (
            str(scope["path"]).removeprefix(scope.get("root_path", "")).removeprefix(self._prefix)
        )
        request = f"{scope['method']} {path}"
        if _DRAFT.fullmatch(request):
            return DRAFT_BYTES
        is_upload = _UPLOADS.fullmatch(request)
        return self._limits.upload_bytes if is_upload else self._limits.body_bytes


def _check_size(scope: Scope, max_bytes: int) -> Rejection | None:
    """Reject a request by the size that its client declares."""
    declared: list[Any] = [value for key, value in scope["headers"] if key == b"content-length"]
    if declared and (not declared[0].isdigit() or int(declared[0][:20]) > max_bytes):
        return Rejection(413, "too_large", too_large(max_bytes))
    return None
