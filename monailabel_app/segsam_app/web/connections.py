"""Connections: a time for the head of each request, and no more of them than leave files to open.

uvicorn waits for ever for the first line and the headers of a request, so a few hundred silent
clients could take every file descriptor of the server; nginx in front of it would not let them.
Here a connection is closed that did not send a whole head in time, and beyond half of the
descriptors that the process may have, the one that has waited longest makes room. `limit` changes
uvicorn's protocol classes, because MONAI Label starts uvicorn and offers no setting for it.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import importlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

logger = logging.getLogger(__name__)

_PROTOCOLS = (
    ("uvicorn.protocols.http.h11_impl", "H11Protocol"),
    ("uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol"),
)
_WANTED_FILES = 16_384
_UNKNOWN_LIMIT = 1024
_FEWEST = 16
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CLOSED_AT_ONCE = 16
_LOG_SECONDS = 10.0
_BACKLOG = 2
"""Place of the number of connections to accept among asyncio's arguments, after the socket."""
_NO_HTTP = b'{"detail":"expected a request of HTTP/1.1, got something else","code":"request"}'
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b"
) % (len(_NO_HTTP), _NO_HTTP)
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class WaitingConnections:
    """Connections that have not yet sent the whole head of a request, longest first."""

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds, self.most = seconds, most
        self._timers: dict[Any, asyncio.TimerHandle] = {}

    def add(self, protocol: Any) -> None:
        """Begin to wait for a head, unless it is waited for already."""
        if protocol not in self._timers:
            self._timers[protocol] = protocol.loop.call_later(self.seconds, self._refuse, protocol)

    def remove(self, protocol: Any) -> None:
        """End the wait."""
        timer = self._timers.pop(protocol, None)
        if timer is not None:
            timer.cancel()

    def close_oldest(self, count: int = 1) -> None:
        """Close the connections that have waited longest."""
        for protocol in list(self._timers)[:count]:
            self.remove(protocol)
            protocol.transport.abort()

    def _refuse(self, protocol: Any) -> None:
        self.remove(protocol)
        if not protocol.transport.is_closing():
            protocol.transport.write(_TOO_SLOW)
            protocol.transport.close()


_waiting: list[WaitingConnections] = []
"""The one that the protocol classes use; empty before `limit`."""


def limit(seconds: float) -> WaitingConnections:
    """Limit the connections of this process: `seconds` for a head. A second call changes the time
    only.
    """
    if _waiting:
        _waiting[0].seconds = seconds
        return _waiting[0]
    waiting = WaitingConnections(seconds, max(_FEWEST, _raised_file_limit() // 2))
    _waiting.append(waiting)
    for kind in _protocol_classes():
        _watch(kind, waiting)
    return waiting


def survive_exhaustion(loop: asyncio.AbstractEventLoop) -> None:
    """Make room when `loop` can accept no connection because no descriptor is left.

    asyncio accepts up to 2048 connections at once, and goes on where one attempt fails: thousands
    of attempts a second, each with a traceback and a timer. One at a time, it tries once a second.
    Call it before the server listens.
    """
    logged = [-_LOG_SECONDS]
    accept = getattr(loop, "_accept_connection", None)
    if accept is not None:
        loop._accept_connection = functools.partial(_accept_one, accept)  # type: ignore[attr-defined]

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, ValueError) and "_start_serving" in repr(context.get("handle")):
            return  # the server ended before it could accept again
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED):
            loop.default_exception_handler(context)
            return
        for waiting in _waiting:
            waiting.close_oldest(_CLOSED_AT_ONCE)
        if time.monotonic() - logged[0] >= _LOG_SECONDS:
            logged[0] = time.monotonic()
            logger.warning("no file descriptor is left for another connection; waiting for one")

    loop.set_exception_handler(handle)


def _accept_one(accept: Callable[..., None], factory: Any, sock: Any, *rest: Any) -> None:
    """Accept one connection; the loop calls again while there are more."""
    accept(factory, sock, *rest[:_BACKLOG], 1, *rest[_BACKLOG + 1 :])


def _watch(kind: Any, waiting: WaitingConnections) -> None:
    made, received, lost = kind.connection_made, kind.data_received, kind.connection_lost

    def connection_made(self: Any, transport: Any) -> None:
        made(self, transport)
        waiting.add(self)
        if len(self.connections) > waiting.most:
            waiting.close_oldest()

    def data_received(self: Any, data: bytes) -> None:
        received(self, data)
        if self.transport.is_closing() or not _awaits_head(self):
            waiting.remove(self)
        else:
            waiting.add(self)

    def connection_lost(self: Any, exc: Exception | None) -> None:
        waiting.remove(self)
        lost(self, exc)

    def send_400_response(self: Any, msg: str) -> None:
        del msg
        self.transport.write(_BAD_REQUEST)
        self.transport.close()

    kind.connection_made, kind.data_received = connection_made, data_received
    kind.connection_lost, kind.send_400_response = connection_lost, send_400_response


def _awaits_head(protocol: Any) -> bool:
    return protocol.cycle is None or bool(protocol.cycle.response_complete)


def _protocol_classes() -> Iterator[Any]:
    for module, name in _PROTOCOLS:
        try:
            yield getattr(importlib.import_module(module), name)
        except ImportError:  # httptools is optional
            continue


def _raised_file_limit() -> int:
    """Return how many files this process may open, after raising it as far as it may."""
    if sys.platform == "win32":  # has no limit of this kind
        return _UNKNOWN_LIMIT
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(_WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _WANTED_FILES if soft == resource.RLIM_INFINITY else min(soft, _WANTED_FILES)
