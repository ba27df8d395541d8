"""HTTP connections to the DICOMweb server, and its errors as sentences."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.errors import NotFoundError, PacsAwayError, PacsError, PacsSlowError

_CONNECT_SECONDS = 5
_UNAVAILABLE = frozenset({429, 502, 503})


class PacsSession(requests.Session):
    """HTTP session with time-outs and credentials; certificates are checked, as by default.

    It keeps no cookies, so that threads can share it, with up to `connections` open connections.
    """

    def __init__(self, settings: PacsSettings, connections: int = 1) -> None:
        super().__init__()
        self._seconds = (_CONNECT_SECONDS, settings.seconds)
        self.auth = settings.login
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=connections))
        if settings.token:
            self.headers["Authorization"] = f"Bearer {settings.token}"

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, always with a time-out."""
        kwargs["timeout"] = self._seconds
        (kwargs.get("headers") or {}).pop("Host", None)  # set by the client, without the port
        return super().request(*args, **kwargs)


def status_error(status: int, action: str) -> PacsError | NotFoundError:
    """Return the error for a status of the server. `action` is what was being done."""
    if status == 404:
        return NotFoundError(f"the DICOMweb server found nothing (404) while {action}")
    if status in (401, 403):
        return PacsError(
            f"the DICOMweb server refuses this server's user or token ({status}) while {action}"
        )
    kind = (
        PacsAwayError if status in _UNAVAILABLE else PacsSlowError if status == 504 else PacsError
    )
    return kind(f"the DICOMweb server answered with status {status} while {action}")


def silence_error(seconds: int, action: str) -> PacsSlowError:
    """Return the error for a server that did not answer in time."""
    return PacsSlowError(f"the DICOMweb server did not answer for {seconds} s while {action}")


def connection_error(error: requests.RequestException, action: str) -> PacsError:
    """Return the error for a connection that could not be made, or broke."""
    if isinstance(error, requests.exceptions.SSLError):
        return PacsError(f"the DICOMweb server's certificate is not trusted, while {action}")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return PacsError(
            f"the DICOMweb server ended the connection while {action}, before its answer was whole"
        )
    return PacsAwayError(f"the DICOMweb server cannot be reached while {action}")
