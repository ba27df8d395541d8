"""Drafts of unsaved work on the server. HTTP only, blocking, like `Client`."""

from __future__ import annotations

from typing import Any

from SEGSAMLib.Server.Http import Http, HttpRequest
from SEGSAMLib.Server.HttpReply import HttpReply, check_status, json_object
from SEGSAMLib.Server.Worker import CancelToken
from SEGSAMLib.Values.Draft import MAX_BYTES

_PATH = "/segsam/draft"
_NO_ROUTE = (404, 405)
GONE = 410
"""Status for a draft that was damaged: the server set it aside, so there is none any more."""


class DraftRoutes:
    """Drafts of this user on one server; `content` is the SHA-256 of an image.

    `are_kept` is False once the server turned out to keep none: it is of an earlier version, or its
    operator switched drafts off.
    """

    def __init__(self, http: Http, key: str) -> None:
        """`key` tells this user from others with the same token."""
        self._http = http
        self._headers = {"X-Draft-Key": key}
        self.are_kept = True

    def get(self, content: str, cancel: CancelToken) -> dict[str, Any] | None:
        """Return the draft of an image, None if there is none. Raises `ClientError`."""
        reply = self._send("GET", f"/{content}", cancel)
        return None if reply.status == 404 else json_object(reply)

    def put(self, content: str, draft: bytes, cancel: CancelToken) -> None:
        """Replace the draft of an image, if the server keeps drafts. Raises `ClientError`."""
        reply = self._send("PUT", f"/{content}", cancel, draft)
        if reply.status in _NO_ROUTE:
            self.are_kept = False
        else:
            check_status(reply)

    def delete(self, content: str, cancel: CancelToken) -> None:
        """Delete the draft of an image, or with an empty `content` all drafts of this user. Raises
        `ClientError`.
        """
        reply = self._send("DELETE", f"/{content}" if content else "", cancel)
        if reply.status not in _NO_ROUTE:
            check_status(reply)

    def _send(self, method: str, path: str, cancel: CancelToken, body: bytes = b"") -> HttpReply:
        headers = {**self._headers, **({"Content-Type": "application/json"} if body else {})}
        request = HttpRequest(
            method, f"{_PATH}{path}", headers=headers, body=body, max_bytes=MAX_BYTES + 1024
        )
        return self._http.send(request, cancel)
