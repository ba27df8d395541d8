"""A form with one file in it, sent without copying the file."""

from __future__ import annotations

import secrets
from typing import IO, Any, Mapping


def multipart(
    fields: Mapping[str, str], name: str = "", filename: str = ""
) -> tuple[dict[str, str], bytes, bytes]:
    """(headers, what comes before the file, what comes after it); without a `name` there is no
    file. The boundary is random, so that nothing in the file can be one.
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
    """Bytes, a file and bytes, read one after the other: a form around a file, uncopied."""

    def __init__(self, head: bytes, file: IO[bytes], tail: bytes) -> None:
        self._parts: list[Any] = [_Bytes(head), file, _Bytes(tail)]

    def read(self, size: int) -> bytes:
        while self._parts:
            found: bytes = self._parts[0].read(size)
            if found:
                return found
            self._parts.pop(0)
        return b""


class _Bytes:
    def __init__(self, left: bytes) -> None:
        self._left = left

    def read(self, size: int) -> bytes:
        found, self._left = self._left[:size], self._left[size:]
        return found
