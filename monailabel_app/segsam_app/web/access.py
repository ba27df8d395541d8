"""Access rules: the token, the host names of the server, and the web pages that may use it.

Without a token the server answers on loopback addresses only. The host names protect against DNS
rebinding, where a web page resolves its own name to 127.0.0.1: its requests carry that name. A web
page elsewhere that posts to the server names itself in `Origin`. All of it is read from the raw
ASGI headers, never from a URL that is built from them.
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
_ALL_INTERFACES = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not bound to
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_WHOLE_DATASET = "/datastore/dataset"
_OWN_SITES = frozenset({"same-origin", "none"})
"""What a browser says of a request by a page of this server, and by the user."""
_CHALLENGE: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class Rejection:
    """Reply to a request that the middleware rejects before it reaches a route."""

    status: int
    code: str
    sentence: str
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class AccessRules:
    """Rules that every request must meet.

    `token`: required of every request, None for no token. `hosts`: host names of the server,
    without ports. `origins`: web pages elsewhere that may use the server (MONAI Label's CORS
    setting). `page`: path of a web page whose files are read without the token, because a browser
    knows none before it has them; "" for no page.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    page: str = ""

    def rejection(self, scope: Scope) -> Rejection | None:
        """Return the reason to reject the request in `scope`, None if there is none."""
        return (
            self._check_address(scope)
            or self._check_host(_values(scope, b"host"))
            or self._check_origin(_values(scope, b"origin"))
            or self._check_site(scope)
            or (None if self._is_preflight(scope) else self._check_token(scope))
        )

    def _check_address(self, scope: Scope) -> Rejection | None:
        server = scope.get("server")
        if self.token is not None or not server or server[1] is None or is_loopback(server[0]):
            return None
        return Rejection(
            401,
            "unauthorised",
            "this address can be reached from other computers, so the server needs a token: set "
            "SEGSAM_TOKEN and start it again",
            _CHALLENGE,
        )

    def _check_host(self, hosts: list[str]) -> Rejection | None:
        if len(hosts) == 1 and self._is_own_name(hosts[0]):
            return None
        return Rejection(
            400,
            "host",
            f"this server does not go by the name {', '.join(hosts)!r:.80}; the setting hosts "
            "names those that it does",
        )

    def _check_origin(self, origins: list[str]) -> Rejection | None:
        for origin in origins:
            is_own = origin.isascii() and self._is_own_name(urlsplit(origin).netloc)
            if not is_own and origin not in self.origins:
                return Rejection(
                    400,
                    "origin",
                    f"pages of {origin!r:.80} may not use this server; "
                    "MONAI_LABEL_CORS_ORIGINS names those that may",
                )
        return None

    def _check_site(self, scope: Scope) -> Rejection | None:
        """Reject what a page elsewhere makes a browser send without `Origin`: a link or an image
        that changes something, or that fetches all images.
        """
        if scope["method"] in _READING and not str(scope.get("path", "")).endswith(_WHOLE_DATASET):
            return None
        sites = set(_values(scope, b"sec-fetch-site")) - _OWN_SITES
        pages = [urlsplit(page).netloc for page in _values(scope, b"referer")]
        is_elsewhere = bool(sites) or not all(map(self._is_own_name, pages))
        if not is_elsewhere or self.origins.intersection(_values(scope, b"origin")):
            return None
        return Rejection(
            400,
            "origin",
            "pages elsewhere may not use this server; MONAI_LABEL_CORS_ORIGINS names those that "
            "may",
        )

    def _check_token(self, scope: Scope) -> Rejection | None:
        if self.token is None or self._is_of_page(scope):
            return None
        sent = _values(scope, b"authorization")
        scheme, _, given = (sent[0] if len(sent) == 1 else "").partition(" ")
        is_same = hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode("ascii"))
        if scheme.lower() == "bearer" and is_same:
            return None
        return Rejection(
            401,
            "unauthorised",
            "this server requires the header Authorization: Bearer <token>",
            _CHALLENGE,
        )

    def _is_of_page(self, scope: Scope) -> bool:
        path = str(scope.get("path", "")).removeprefix(scope.get("root_path", ""))
        is_below = path == self.page or path.startswith(f"{self.page}/")
        return bool(self.page) and is_below and scope["method"] in ("GET", "HEAD")

    def _is_own_name(self, netloc: str) -> bool:
        name = _host_of(netloc)
        return name is not None and (name in self.hosts or is_loopback(name))

    def _is_preflight(self, scope: Scope) -> bool:
        """Return True for a browser's preflight request for an allowed page: it cannot carry a
        token.
        """
        origins = _values(scope, b"origin")
        methods = _values(scope, b"access-control-request-method")
        is_allowed = len(origins) == 1 and origins[0] in self.origins
        return scope["method"] == "OPTIONS" and bool(methods) and is_allowed


def read_token(env: Mapping[str, str] = os.environ) -> str | None:
    """Return SEGSAM_TOKEN, or the content of the file SEGSAM_TOKEN_FILE; None if neither is set.

    Raises `ConfigError` for an invalid token.
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
            "a token must be 16 to 512 characters of ASCII without blanks, got another text "
            "(python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one)"
        )
    return token


def token_header(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the headers for a request to the own server. Raises `ConfigError`."""
    token = read_token(env)
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def is_loopback(host: str) -> bool:
    """Return True if `host`, an address or a name, can be reached from this computer only."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def allowed_hosts(bound: str | None, more: Iterable[str] = ()) -> frozenset[str]:
    """Return the host names of a server bound to `bound`: that address, or this computer's name and
    addresses if it is bound to all interfaces or to an unknown address; and `more`.
    """
    names = {name.lower() for name in more}
    if bound is not None and bound not in _ALL_INTERFACES:
        return frozenset(names | {bound.lower()})
    own = (address.address for each in psutil.net_if_addrs().values() for address in each)
    return frozenset(names | {socket.gethostname().lower()} | {name.lower() for name in own})


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _host_of(netloc: str) -> str | None:
    """Return `host`, `host:port` or `[v6]:port` without the port; None for anything else."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?", netloc)
    return (found.group(1) or found.group(2)).lower() if found else None
