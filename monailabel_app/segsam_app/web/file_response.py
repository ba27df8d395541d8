"""Replies with a file, all of it from one open file.

A reply that opens its file by name a second time may send the length of one content and the bytes
of another, when a program replaces the file in between.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from fastapi.responses import FileResponse, JSONResponse
from starlette.types import Message, Receive, Scope, Send

_BAD_RANGES = (400, 416)
"""Statuses of a range that is none, and of one beyond the file."""
_OPEN_FILES = ("/proc/self/fd", "/dev/fd")
"""Folders in which a system names the files that a process has open."""


class OpenFileResponse(FileResponse):
    """Reply with an open file, which it closes. What is added to the file meanwhile is not sent."""

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        media_type: str | None = None,
        *,
        etag: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """`name` is that under which a client saves the file; `notes` are sent as `X-Notes`."""
        headers = {} if etag is None else {"ETag": etag}
        if notes:
            headers["X-Notes"] = json.dumps(list(notes))  # ASCII, whatever the notes hold
        self._stream = stream
        super().__init__(
            _path_of(stream),
            headers=headers,
            media_type=media_type,
            filename=name,
            stat_result=os.fstat(stream.fileno()),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply."""
        left, refused = int(self.headers["content-length"]), list[int]()

        async def send_promised(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start" and message["status"] in _BAD_RANGES:
                refused.append(message["status"])
            if refused:
                return  # Starlette's words, as plain text
            if message["type"] == "http.response.start":
                promised = dict(message["headers"]).get(b"content-length", b"0")
                left = int(promised)
            elif message["type"] == "http.response.body":
                body = message.get("body", b"")[:left]
                left -= len(body)
                message = {**message, "body": body}
            await send(message)

        with self._stream:
            await super().__call__(scope, receive, send_promised)
        if refused:
            size = self.headers["content-length"]
            sentence = f"expected Range: bytes=FIRST-LAST within the {size} bytes of the file"
            body = {"detail": sentence, "code": "request"}
            headers = {"Content-Range": f"bytes */{size}"}
            await JSONResponse(body, refused[0], headers=headers)(scope, receive, send)


def _path_of(stream: BinaryIO) -> Path:
    """Return a path by which the file that is open is opened once more, whatever its name is now.

    A system without such paths keeps the name of an open file for it.
    """
    for folder in _OPEN_FILES:
        if Path(folder).is_dir():
            return Path(folder) / str(stream.fileno())
    return Path(stream.name)
