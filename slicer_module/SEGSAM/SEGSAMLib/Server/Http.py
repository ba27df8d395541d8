"""HTTP requests to one server that can be cancelled at any time.

Redirects are not followed: an image must not be sent to a server that the user did not agree to.
Replies are limited in size and time. Every problem is a `ClientError` with a sentence. Certificates
are always verified, against those of the system and one file of the user.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Mapping, NoReturn, Protocol
from urllib.parse import quote, urlencode

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Server.HttpReply import HttpReply, unexpected_reply
from SEGSAMLib.Server.Worker import CancelToken
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Address import Address

CONNECT_SECONDS = 8.0
REPLY_SECONDS = 30.0
MAX_JSON_BYTES = 64 << 20
_CHUNK = 256 << 10
_MIN_BYTES_PER_SECOND = 100 << 10
"""A download may be this slow before it is ended."""
OnSent = Callable[[int, int], None]
"""Called with the bytes sent and the bytes in total."""


class Readable(Protocol):
    """Source that a body is read from."""

    def read(self, size: int) -> bytes: ...


@dataclass(frozen=True)
class HttpRequest:
    """Request with its limits. `body` is bytes, or a reader of `length` bytes."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Readable = b""
    length: int = 0
    reply_seconds: float = REPLY_SECONDS
    max_bytes: int = MAX_JSON_BYTES


class Http:
    """HTTP client of one server. Each request has its own connection, so that threads do not wait
    for each other.
    """

    def __init__(self, address: Address, *, token: str = "", ca_file: str = "") -> None:
        """Prepare the client without connecting. Raises `ClientError` for a certificate file that
        cannot be read, or an invalid token.
        """
        if token and (not token.isascii() or not token.isprintable() or " " in token):
            sentence = _("Expected a token of ASCII characters without spaces.")
            raise ClientError(sentence, code="token")
        self.address = address
        self._token = token
        self._tls = _tls_context(ca_file) if address.scheme == "https" else None

    def send(
        self,
        request: HttpRequest,
        cancel: CancelToken,
        *,
        on_sent: OnSent | None = None,
        into: IO[bytes] | None = None,
    ) -> HttpReply:
        """Send a request and return the reply, of any status. With `into`, the body of a 2xx reply
        is written to that file. Raises `ClientError`, `CancelledError`.
        """
        cancel.check()
        connection, limit_seconds = self._connection(), CONNECT_SECONDS
        try:
            connection.connect()
            limit_seconds = request.reply_seconds
            # `connection.sock` becomes None when the reply has been read, hence the name.
            sock: socket.socket = connection.sock
            cancel.set_callback(lambda: _shut_down(sock))
            cancel.check()
            sock.settimeout(request.reply_seconds)
            self._write(connection, request, cancel, on_sent)
            return _read(connection.getresponse(), request, cancel, into)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            cancel.check()  # a cancellation shuts the socket down, which raises any of these
            self._raise(error, limit_seconds)
        finally:
            cancel.set_callback(None)
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self.address.host, self.address.port
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=self._tls)

    def _write(
        self,
        connection: http.client.HTTPConnection,
        request: HttpRequest,
        cancel: CancelToken,
        on_sent: OnSent | None,
    ) -> None:
        query = f"?{urlencode(request.query, quote_via=quote)}" if request.query else ""
        connection.putrequest(request.method, f"{self.address.path}{request.path}{query}")
        connection.putheader("Accept", "application/json, */*;q=0.5")
        connection.putheader("User-Agent", "SEGSAM-Slicer")
        if self._token:
            connection.putheader("Authorization", f"Bearer {self._token}")
        for name, value in request.headers.items():
            connection.putheader(name, value)
        body, total = request.body, request.length
        if isinstance(body, bytes):
            body, total = io.BytesIO(body), len(body)
        if total or request.method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(total))
        connection.endheaders()
        done = 0
        while done < total:
            cancel.check()
            chunk = body.read(min(_CHUNK, total - done))
            try:
                connection.send(chunk)
            except (BrokenPipeError, ConnectionResetError):
                return  # a server may refuse before it has read all; its reply can still be read
            done += len(chunk)
            if on_sent is not None:
                on_sent(done, total)

    def _raise(self, error: Exception, limit_seconds: float) -> NoReturn:
        """Raise `ClientError` with a sentence about a network error."""
        reason = getattr(error, "strerror", None) or type(error).__name__
        values = {
            "url": self.address.url,
            "host": self.address.host,
            "seconds": f"{limit_seconds:.0f}",
            "reason": getattr(error, "verify_message", "") or reason,
        }
        for kinds, code, sentence in _network_sentences():
            if isinstance(error, kinds):
                raise ClientError(sentence.format(**values), code=code) from error
        sentence = _("{url} cannot be reached: {reason}.")
        raise ClientError(sentence.format(**values), code="unreachable") from error


def _read(
    response: http.client.HTTPResponse,
    request: HttpRequest,
    cancel: CancelToken,
    into: IO[bytes] | None,
) -> HttpReply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    max_bytes = request.max_bytes
    if response.length is not None and response.length > max_bytes:
        sentence = _(
            "Expected a reply of at most {limit} MB, and the server announces {size} MB."
        ).format(limit=max_bytes >> 20, size=response.length >> 20)
        raise ClientError(sentence, code="reply", status=response.status)
    if headers.get("content-encoding", "identity") != "identity":
        problem = unexpected_reply(_("in an encoding that was not requested"))
        raise ClientError(problem, code="reply")
    target = into if 200 <= response.status < 300 else None
    body, size = [], 0
    deadline = time.monotonic() + request.reply_seconds + max_bytes / _MIN_BYTES_PER_SECOND
    while True:
        cancel.check()
        chunk = response.read(_CHUNK)
        if not chunk:
            break
        size += len(chunk)
        if size > max_bytes or time.monotonic() > deadline:
            raise ClientError(unexpected_reply(_("endless")), code="reply", status=response.status)
        if target is not None:
            target.write(chunk)
        else:
            body.append(chunk)
    cancel.check()
    declared = headers.get("content-length", "")
    if declared.isdigit() and size != int(declared):
        raise ClientError(_("The server's reply was cut off; try again."), code="reply")
    return HttpReply(response.status, headers, b"".join(body))


def _shut_down(sock: socket.socket) -> None:
    """End a connection from another thread: reading and writing raise an error at once."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _tls_context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    with suppress(ImportError, OSError):
        import certifi  # Slicer bundles it; on some systems OpenSSL finds no certificates

        context.load_verify_locations(certifi.where())
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            sentence = _("The certificate file {path} cannot be read as PEM.")
            raise ClientError(sentence.format(path=ca_file), code="ca_file") from error
    return context


def _network_sentences() -> tuple[tuple[Any, str, str], ...]:
    """Return (kinds of error, code, sentence); the first row that has the error counts."""
    return (
        (
            ssl.SSLCertVerificationError,
            "tls",
            _(
                "The server's certificate is not accepted: {reason}. If your hospital issued it, "
                "choose the hospital's certificate file (CA) in the section Server."
            ),
        ),
        (
            ssl.SSLError,
            "tls",
            _("{url} does not speak TLS as it should; is it http:// instead of https://?"),
        ),
        ((socket.gaierror, UnicodeError), "dns", _("There is no computer named {host}.")),
        (
            ConnectionRefusedError,
            "refused",
            _("No server runs at {url}: start it, or check host and port."),
        ),
        (
            (socket.timeout, TimeoutError),
            "timeout",
            _(
                "{url} did not answer within {seconds} s: it is busy, or a firewall blocks the "
                "connection."
            ),
        ),
        (
            (http.client.HTTPException, ConnectionError),
            "reply",
            _("{url} closed the connection, or does not speak HTTP."),
        ),
    )
