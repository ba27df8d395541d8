"""Multipart form with one file, sent without copying the file."""

from __future__ import annotations

import io
import secrets
from typing import IO, Mapping


def multipart(
    fields: Mapping[str, str], name: str = "", filename: str = ""
) -> tuple[dict[str, str], bytes, bytes]:
    """Return (headers, bytes before the file, bytes after the file); without a `name` there is no
    file. The boundary is random, so that the file cannot contain it.
    """
    boundary = f"----SEGSAM{secrets.token_hex(16)}"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    if name:
        disposition = f'form-data; name="{name}"; filename="{filename}"'
        parts.append(
            f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
            "Content-Type: application/octet-stream\r\n\r\n"
        )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    end = "\r\n" if name else ""
    return headers, "".join(parts).encode(), f"{end}--{boundary}--\r\n".encode()


class ConcatenatedReader:
    """Reader of bytes, a file and bytes, one after the other."""

    def __init__(self, head: bytes, file: IO[bytes], tail: bytes) -> None:
        self._parts: list[IO[bytes]] = [io.BytesIO(head), file, io.BytesIO(tail)]

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, empty at the end."""
        while self._parts:
            found = self._parts[0].read(size)
            if found:
                return found
            self._parts.pop(0)
        return b""
