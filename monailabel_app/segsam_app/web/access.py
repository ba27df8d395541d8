"""Who may ask: the token, the names by which the server may be called, and from which pages.

Without a token the server answers on this computer's own addresses only. The names are there for a
web page that resolves its own name to 127.0.0.1 (DNS rebinding): its requests carry its name. A
page elsewhere that simply posts to us names itself in `Origin`. Everything is read from the ASGI
scope as it came in, never from a URL put together from it.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import socket
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from segsam_app.errors import ConfigError

Scope = MutableMapping[str, Any]

_TOKEN = re.compile(r"[\x21-\x7e]{16,512}")
_ANY = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - what is compared with, not bound to
_CHALLENGE: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class Refusal:
    """A request that is answered without being looked at any further."""

    status: int
    code: str
    sentence: str
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Access:
    """`token`: what every request must carry, None for no token. `hosts`: names without ports.
    `origins`: pages elsewhere that may send, and read (MONAI Label's CORS setting).
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why the request in `scope` is not served; None when it is."""
        return (
            self._of_address(scope)
            or self._of_host(_values(scope, b"host"))
            or self._of_origin(_values(scope, b"origin"))
            or (None if self._is_preflight(scope) else self._of_token(scope))
        )

    def _of_address(self, scope: Scope) -> Refusal | None:
        server = scope.get("server")
        if self.token is not None or not server or server[1] is None or is_loopback(server[0]):
            return None
        return Refusal(
            401,
            "unauthorised",
            "this address can be reached from other computers, so the server needs a token: set "
            "SEGSAM_TOKEN and start it again",
            _CHALLENGE,
        )

    def _of_host(self, hosts: list[str]) -> Refusal | None:
        name = _name(hosts[0]) if len(hosts) == 1 else None
        if name is not None and (name in self.hosts or is_loopback(name)):
            return None
        return Refusal(
            400,
            "host",
            f"this server does not go by the name {', '.join(hosts)!r:.80}; the setting hosts "
            "names those that it does",
        )

    def _of_origin(self, origins: list[str]) -> Refusal | None:
        for origin in origins:
            name = _name(urlsplit(origin).netloc) if origin.isascii() else None
            known = name is not None and (name in self.hosts or is_loopback(name))
            if not known and origin not in self.origins:
                return Refusal(
                    400,
                    "origin",
                    f"pages of {origin!r:.80} may not use this server; "
                    "MONAI_LABEL_CORS_ORIGINS names those that may",
                )
        return None

    def _is_preflight(self, scope: Scope) -> bool:
        """A browser's question on behalf of a page that may ask; it cannot carry a token."""
        origins = _values(scope, b"origin")
        asks = _values(scope, b"access-control-request-method")
        allowed = len(origins) == 1 and origins[0] in self.origins
        return scope["method"] == "OPTIONS" and bool(asks) and allowed

    def _of_token(self, scope: Scope) -> Refusal | None:
        if self.token is None:
            return None
        sent = _values(scope, b"authorization")
        scheme, _, given = (sent[0] if len(sent) == 1 else "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode("ascii"))
        if scheme.lower() == "bearer" and same:
            return None
        return Refusal(
            401,
            "unauthorised",
            "this server wants the header Authorization: Bearer <token>",
            _CHALLENGE,
        )


def read_token(env: Mapping[str, str] = os.environ) -> str | None:
    """SEGSAM_TOKEN, or what stands in the file SEGSAM_TOKEN_FILE; None when neither is set.

    Raises `ConfigError` for a token that is none.
    """
    token, file = env.get("SEGSAM_TOKEN"), env.get("SEGSAM_TOKEN_FILE")
    if token and file:
        raise ConfigError("SEGSAM_TOKEN and SEGSAM_TOKEN_FILE are both set; set one of them")
    if file:
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"SEGSAM_TOKEN_FILE cannot be read: {file!r:.200}") from error
    if token is None or (not token and not file):
        return None
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            "a token is 16 to 512 characters of ASCII without blanks; what is set is not "
            "(python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one)"
        )
    return token


def token_header(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a request from this computer to its own server carries. Raises `ConfigError`."""
    token = read_token(env)
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def is_loopback(host: str) -> bool:
    """Whether `host`, an address or a name, is this computer for itself only."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def own_names(bound: str | None, more: Iterable[str] = ()) -> frozenset[str]:
    """The names by which a server bound to `bound` is reached: that address, this computer's name
    and addresses when it is bound to all of them or nobody knows to which, and `more`.
    """
    names = {name.lower() for name in more}
    if bound is not None and bound not in _ANY:
        return frozenset(names | {bound.lower()})
    found = (address.address for each in psutil.net_if_addrs().values() for address in each)
    return frozenset(names | {socket.gethostname().lower()} | {name.lower() for name in found})


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _name(netloc: str) -> str | None:
    """`host`, `host:port` or `[v6]:port` without the port; None for anything else."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?", netloc)
    return (found.group(1) or found.group(2)).lower() if found else None
