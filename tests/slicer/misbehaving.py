"""Small HTTP server on loopback that sends exactly the reply of a test, valid or not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[socket.socket, bytes], None]


@dataclass
class Misbehaving:
    """`requests` are the heads (and what came with them) of all requests so far."""

    url: str
    requests: list[bytes] = field(default_factory=list)


def answer(
    body: bytes = b"{}", status: str = "200 OK", *headers: str, length: int | None = None
) -> Script:
    """Reply with a body, and a `length` that may be wrong."""

    def send(connection: socket.socket, request: bytes) -> None:
        size = len(body) if length is None else length
        head = [f"HTTP/1.1 {status}", f"Content-Length: {size}", "Connection: close", *headers]
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    return send


def raw(data: bytes) -> Script:
    """Reply of these bytes, then the end of the connection."""
    return lambda connection, request: connection.sendall(data)


def silence(connection: socket.socket, request: bytes) -> None:
    """Send nothing until the other side closes the connection."""
    with suppress(OSError):
        while connection.recv(65536):
            continue


@contextmanager
def serving(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[Misbehaving]:
    """One script per request, the last one for all that follow."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme = "https" if tls else "http"
        found = Misbehaving(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(listener, scripts, found, tls), daemon=True)
        thread.start()
        yield found
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _serve(
    listener: socket.socket,
    scripts: tuple[Script, ...],
    found: Misbehaving,
    tls: ssl.SSLContext | None,
) -> None:
    number = 0
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        script = scripts[min(number, len(scripts) - 1)]
        number += 1
        with suppress(OSError), plain:
            plain.settimeout(10)
            connection = tls.wrap_socket(plain, server_side=True) if tls else plain
            with connection:
                request = _whole(connection)
                found.requests.append(request)
                script(connection, request)


def _whole(connection: socket.socket) -> bytes:
    """A request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        data += more
        if not more or data.startswith(b"\x16\x03"):  # the end, or TLS, which is not spoken here
            return data
    head, body = data.split(b"\r\n\r\n", 1)
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while lengths and len(body) < lengths[0]:
        more = connection.recv(65536)
        if not more:
            break
        body += more
    return head + b"\r\n\r\n" + body
