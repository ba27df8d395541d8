"""Address of a server, parsed from what the user typed."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Translation import tr as _

DEFAULT_PORT = 8000
_EXAMPLES = {"local": "http://127.0.0.1:8000", "remote": "https://segsam.example.org"}


@dataclass(frozen=True)
class Address:
    """Parts of the URL of a server."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse an address that the user typed. Defaults: scheme http on this computer and https
        on another; port 8000 on this computer and the scheme's own on another. 0.0.0.0 means this
        computer. Raises `ClientError` if the text is not an address.
        """
        typed = text.strip()
        if not typed or any(c.isspace() or not c.isprintable() for c in typed):
            sentence = _("Type the server's address, such as {local} or {remote}.")
            raise ClientError(sentence.format(**_EXAMPLES), code="address")
        has_scheme = "://" in typed
        try:
            parts = urlsplit(typed if has_scheme else f"//{typed}")
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as error:
            raise _no_address(typed) from error
        if parts.scheme not in ("", "http", "https") or not host:
            raise _no_address(typed)
        if parts.username or parts.password or parts.query or parts.fragment:
            sentence = _(
                "Expected an address of scheme, host, port and path only. Enter a token in its own "
                "field."
            )
            raise ClientError(sentence, code="address")
        if host in ("0.0.0.0", "::"):  # noqa: S104 - servers print it, and it is no target
            host = "127.0.0.1"
        is_local = _is_loopback(host)
        scheme = parts.scheme or ("http" if is_local or port in (80, DEFAULT_PORT) else "https")
        if port is None:
            port = DEFAULT_PORT if is_local else (443 if scheme == "https" else 80)
        path = parts.path.rstrip("/")
        for page in ("/info", "/docs"):
            path = path[: -len(page)] if path.endswith(page) else path
        return cls(scheme, host, port, path)

    @property
    def url(self) -> str:
        """URL without a slash at the end, and without the scheme's default port."""
        default = {"http": 80, "https": 443}[self.scheme]
        port = "" if self.port == default else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """True for this computer: no data leaves it."""
        return _is_loopback(self.host)

    @property
    def is_unencrypted(self) -> bool:
        """True for another computer without TLS: the network can read images and tokens."""
        return self.scheme == "http" and not self.is_loopback


def _no_address(typed: str) -> ClientError:
    sentence = _("Expected an address such as {local} or {remote}, got {typed}.")
    return ClientError(sentence.format(**_EXAMPLES, typed=typed[:80]), code="address")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
