"""The address of a server, as people type it and as it is used."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from SEGSAMLib.Errors import ClientError

DEFAULT_PORT = 8000
_EXAMPLE = "such as http://127.0.0.1:8000 or https://segsam.example.org"


@dataclass(frozen=True)
class Address:
    """Where a server answers."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def read(cls, text: str) -> Address:
        """From what somebody typed: a missing scheme is http on this computer and https on
        another, a missing port 8000 on this computer and the scheme's own on another, 0.0.0.0 is
        this computer. Raises `ClientError`.
        """
        typed = text.strip()
        if not typed or any(c.isspace() or not c.isprintable() for c in typed):
            raise ClientError(f"Type the server's address, {_EXAMPLE}.", code="address")
        has_scheme = "://" in typed
        try:
            parts = urlsplit(typed if has_scheme else f"//{typed}")
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as error:
            raise ClientError(f"{typed:.80} is no address, {_EXAMPLE}.", code="address") from error
        if parts.scheme not in ("", "http", "https") or not host:
            raise ClientError(f"{typed:.80} is no address of a server, {_EXAMPLE}.", code="address")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ClientError(
                "The address holds more than scheme, host, port and path; a token has a field of "
                "its own.",
                code="address",
            )
        if host in ("0.0.0.0", "::"):  # noqa: S104 - what servers print; nobody can connect to it
            host = "127.0.0.1"
        near = _is_loopback(host)
        scheme = parts.scheme or ("http" if near or port in (80, DEFAULT_PORT) else "https")
        if port is None:
            port = DEFAULT_PORT if near else (443 if scheme == "https" else 80)
        path = parts.path.rstrip("/")
        for page in ("/info", "/docs"):
            path = path[: -len(page)] if path.endswith(page) else path
        return cls(scheme, host, port, path)

    @property
    def url(self) -> str:
        """Without a slash at its end, and without a port that goes without saying."""
        usual = {"http": 80, "https": 443}[self.scheme]
        port = "" if self.port == usual else f":{self.port}"
        return f"{self.scheme}://{self.netloc_host}{port}{self.path}"

    @property
    def netloc_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def is_loopback(self) -> bool:
        """This computer: nothing leaves it."""
        return _is_loopback(self.host)

    @property
    def is_open_to_readers(self) -> bool:
        """Another computer without TLS: whoever is on the way can read images and tokens."""
        return self.scheme == "http" and not self.is_loopback


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
