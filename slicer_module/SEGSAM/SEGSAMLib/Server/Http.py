"""One request to one server, that can be cancelled at any moment and believes nothing.

No redirects are followed (an image is not to go where nobody agreed to), replies have limits of
size and time, and whatever goes wrong is a `ClientError` with a sentence. Certificates are always
verified, against the system's and one file of the user's.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Callable, Mapping, NoReturn, Protocol
from urllib.parse import quote, urlencode

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Server.HttpReply import HttpReply, not_ours
from SEGSAMLib.Server.Worker import CancelToken
from SEGSAMLib.Values.Address import Address

CONNECT_SECONDS = 8.0
REPLY_SECONDS = 30.0
MOST_JSON_BYTES = 64 << 20
_CHUNK = 256 << 10
Sent = Callable[[int, int], None]
"""Told bytes sent and bytes in all."""


class Readable(Protocol):
    """What a body can be read from."""

    def read(self, size: int) -> bytes: ...


@dataclass(frozen=True)
class HttpRequest:
    """What to ask. `body` is bytes, or something with `read` that has `length` bytes."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Readable = b""
    length: int = 0
    reply_seconds: float = REPLY_SECONDS
    most_bytes: int = MOST_JSON_BYTES


class Http:
    """Of one server. Every call has a connection of its own, so that threads need not wait."""

    def __init__(self, address: Address, *, token: str = "", ca_file: str = "") -> None:
        """Connects nowhere. Raises `ClientError` for a certificate file that cannot be read, or a
        token that is none.
        """
        if token and (not token.isascii() or not token.isprintable() or " " in token):
            raise ClientError("The token has characters that no token has.", code="token")
        self.address = address
        self._token = token
        self._tls = _tls_context(ca_file) if address.scheme == "https" else None

    def ask(
        self,
        call: HttpRequest,
        cancel: CancelToken,
        *,
        sent: Sent | None = None,
        into: IO[bytes] | None = None,
    ) -> HttpReply:
        """The reply, of any status. With `into`, the body of a 2xx reply is written there. Raises
        `ClientError`, `CancelledError`.
        """
        cancel.check()
        connection, patience = self._connection(), CONNECT_SECONDS
        try:
            connection.connect()
            patience = call.reply_seconds
            wire: socket.socket = connection.sock  # the connection itself lets go of it early
            cancel.watch(lambda: _hang_up(wire))
            cancel.check()
            wire.settimeout(call.reply_seconds)
            self._send(connection, call, cancel, sent)
            return _read(connection.getresponse(), call, cancel, into)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            cancel.check()  # hanging up makes any of these out of a cancellation
            self._explain(error, patience)
        finally:
            cancel.watch(None)
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self.address.host, self.address.port
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=self._tls)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        call: HttpRequest,
        cancel: CancelToken,
        sent: Sent | None,
    ) -> None:
        query = f"?{urlencode(call.query, quote_via=quote)}" if call.query else ""
        connection.putrequest(call.method, f"{self.address.path}{call.path}{query}")
        connection.putheader("Accept", "application/json, */*;q=0.5")
        connection.putheader("User-Agent", "SEGSAM-Slicer")
        if self._token:
            connection.putheader("Authorization", f"Bearer {self._token}")
        for name, value in call.headers.items():
            connection.putheader(name, value)
        total = call.length if not isinstance(call.body, bytes) else len(call.body)
        if total or call.method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(total))
        connection.endheaders()
        done = 0
        while done < total:
            cancel.check()
            chunk = (
                call.body[done : done + _CHUNK]
                if isinstance(call.body, bytes)
                else call.body.read(min(_CHUNK, total - done))
            )
            try:
                connection.send(chunk)
            except (BrokenPipeError, ConnectionResetError):
                return  # a server may refuse early; its answer is there to be read
            done += len(chunk)
            if sent is not None:
                sent(done, total)

    def _explain(self, error: Exception, patience: float) -> NoReturn:
        """What went wrong, for the person at the screen; `patience` is in seconds."""
        where = self.address.url
        for kinds, code, sentence in (
            (ssl.SSLCertVerificationError, "tls", _certificate_sentence(error)),
            (
                ssl.SSLError,
                "tls",
                f"{where} does not speak TLS as it should; is it http:// instead of https://?",
            ),
            (
                (socket.gaierror, UnicodeError),
                "dns",
                f"There is no computer called {self.address.host}.",
            ),
            (
                ConnectionRefusedError,
                "refused",
                f"Nothing answers at {where}: start the server, or check host and port.",
            ),
            (
                (socket.timeout, TimeoutError),
                "timeout",
                f"{where} did not answer within {patience:.0f} s: it is busy, or a "
                "firewall swallows what is sent.",
            ),
            (
                (http.client.HTTPException, ConnectionError),
                "reply",
                f"{where} broke off, or does not speak HTTP.",
            ),
        ):
            if isinstance(error, kinds):
                raise ClientError(sentence, code=code) from error
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ClientError(f"{where} cannot be reached: {reason}.", code="unreachable") from error


def _read(
    response: http.client.HTTPResponse,
    call: HttpRequest,
    cancel: CancelToken,
    into: IO[bytes] | None,
) -> HttpReply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    most = call.most_bytes
    if response.length is not None and response.length > most:
        raise ClientError(
            f"The server announces {response.length >> 20} MB, and {most >> 20} MB are the most "
            "that this can have.",
            code="reply",
            status=response.status,
        )
    if headers.get("content-encoding", "identity") != "identity":
        raise ClientError(not_ours("packed in a way that nobody asked for"), code="reply")
    keep = into is not None and 200 <= response.status < 300
    body, size = [], 0
    deadline = time.monotonic() + call.reply_seconds + most / (100 << 10)
    while True:
        cancel.check()
        chunk = response.read(_CHUNK)
        if not chunk:
            break
        size += len(chunk)
        if size > most or time.monotonic() > deadline:
            raise ClientError(not_ours("without an end"), code="reply", status=response.status)
        if keep and into is not None:
            into.write(chunk)
        else:
            body.append(chunk)
    cancel.check()
    declared = headers.get("content-length", "")
    if declared.isdigit() and size != int(declared):
        raise ClientError("The server's answer was cut off; try again.", code="reply")
    return HttpReply(response.status, headers, b"".join(body))


def _hang_up(wire: socket.socket) -> None:
    """End a connection from another thread: whoever reads or writes gets an error at once."""
    with suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


def _tls_context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    with suppress(ImportError, OSError):
        import certifi  # Slicer bundles it; on some systems OpenSSL finds none of its own

        context.load_verify_locations(certifi.where())
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ClientError(
                f"The file of certificates {ca_file} cannot be read as PEM.", code="ca_file"
            ) from error
    return context


def _certificate_sentence(error: Exception) -> str:
    reason = getattr(error, "verify_message", "") or "it cannot be verified"
    return (
        f"The server's certificate is not accepted: {reason}. If it is your hospital's own, choose "
        "its file of certificates (CA) in the connection's settings."
    )
