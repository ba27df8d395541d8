"""Relay: the DICOMweb server as a source for a viewer, read-only.

The address is the configured one, with a path that was composed of checked parts; a redirect is not
followed. The server's user or token is added here, and nothing of the browser's request is passed
on but the query and the media types that it takes. Bodies stream through, up to a size and a time.

The server's JSON names its own address, for data that the viewer fetches later. That address is
replaced by ours, because a browser may not be able, or allowed, to reach it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.message import Message
from urllib.parse import quote, urlencode

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from segsam.errors import VolumeTooLargeError
from segsam_app.dicomweb.connection import (
    PacsSession,
    connection_error,
    silence_error,
    status_error,
)
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.dicomweb.source import BROWSER_ROOT, Answer, Resource
from segsam_app.errors import PacsError, PacsSlowError, RequestError

_CHUNK = 1 << 16
_SECONDS = 600
"""Time that an answer may take as a whole, while some of it arrives."""
_CONNECTIONS = 16
_ACTION = "a viewer asked for images"
_UNQUOTED = "*,:/@"
"""Characters of a query that browsers do not quote either: Orthanc finds nothing by a quoted *."""
_JSON = ("application/dicom+json", "application/json")
_SERVED = frozenset(
    {
        *_JSON,
        "application/dicom",
        "application/octet-stream",
        "application/pdf",
        "image/gif",
        "image/jp2",
        "image/jpeg",
        "image/jls",
        "image/jphc",
        "image/jpx",
        "image/png",
        "multipart/related",
        "video/mp4",
        "video/mpeg",
    }
)
"""Media types that are passed on. A page or a drawing could run as one of this server's own."""


def _kinds(media_type: str) -> tuple[str, str]:
    """Return a media type without parameters, and that of its parts, "" for none."""
    message = Message()
    message["Content-Type"] = media_type
    parts = str(message.get_param("type", "") or "")
    # Some servers put the parameters of a part into the quotes too.
    kind, of_parts = (each.partition(";")[0].strip().lower() for each in (media_type, parts))
    return kind, of_parts


class Relay:
    """`DicomWebSource` that asks one DICOMweb server."""

    def __init__(self, settings: PacsSettings) -> None:
        self._settings = settings
        self._session = PacsSession(settings, _CONNECTIONS)

    def answer(self, resource: Resource) -> Answer:
        """Return the server's answer. Raises `PacsError`, `NotFoundError`, `RequestError`, and
        `VolumeTooLargeError` for more bytes than the operator allows.
        """
        response = self._asked(resource)
        try:
            return self._answer(response)
        except BaseException:
            response.close()
            raise

    def _asked(self, resource: Resource) -> requests.Response:
        """Return the response, of which only the headers were read."""
        try:
            try:
                return self._get(resource)
            except requests.ConnectionError as error:
                if isinstance(error, requests.Timeout | requests.exceptions.SSLError):
                    raise
                return self._get(resource)  # the server had closed a connection that was kept
        except requests.Timeout as error:
            raise silence_error(self._settings.seconds, _ACTION) from error
        except requests.RequestException as error:
            raise connection_error(error, _ACTION) from error

    def _get(self, resource: Resource) -> requests.Response:
        settings = self._settings
        prefix = settings.qido_prefix if resource.kind.is_search else settings.wado_prefix
        accept = resource.accept or (_JSON[0] if resource.kind.is_search else "*/*")
        return self._session.get(
            "/".join(filter(None, (settings.url, prefix, resource.path))),
            params=urlencode(resource.query, safe=_UNQUOTED, quote_via=quote),
            headers={"Accept": accept, "Accept-Encoding": "identity"},
            stream=True,
            allow_redirects=False,
        )

    def _answer(self, response: requests.Response) -> Answer:
        status = response.status_code
        if status == 400:
            raise RequestError("the DICOMweb server does not accept this query (400)")
        if 300 <= status < 400:
            raise PacsError(
                f"the DICOMweb server sent the viewer elsewhere ({status}); that is not followed"
            )
        if status not in (200, 204, 206):
            raise status_error(status, _ACTION)
        media_type = response.headers.get("Content-Type", "")
        kind, of_parts = _kinds(media_type)
        wrong = [each for each in (kind, of_parts or kind) if each not in _SERVED]
        if wrong and status != 204:
            raise PacsError(f"expected DICOM of the DICOMweb server, got {wrong[0]!r:.60}")
        size = _declared(response)
        if size is not None and size > self._settings.series_bytes:
            raise self._too_large()
        chunks = self._chunks(response)
        if kind in _JSON:
            root = "/".join(filter(None, (self._settings.url, self._settings.wado_prefix)))
            chunks = replaced(chunks, f"{root}/studies", f"{BROWSER_ROOT}/studies")
            size = None
        return Answer(status, media_type, chunks, size, response.close)

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        ends, left = time.monotonic() + _SECONDS, self._settings.series_bytes
        try:
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                left -= len(chunk)
                if left < 0:
                    raise self._too_large()
                if time.monotonic() > ends:
                    raise PacsSlowError(f"the DICOMweb server took more than {_SECONDS} s")
                yield chunk
        except ReadTimeoutError as error:
            raise silence_error(self._settings.seconds, _ACTION) from error
        except HTTPError as error:
            raise PacsError("the DICOMweb server broke its answer off") from error

    def _too_large(self) -> VolumeTooLargeError:
        return VolumeTooLargeError(
            f"the answer is larger than the {self._settings.series_bytes >> 20} MB that this "
            "server fetches (setting dicomweb_megabytes)"
        )


def replaced(chunks: Iterator[bytes], old: str, new: str) -> Iterator[bytes]:
    """Yield the bytes of `chunks` with every `old` replaced by `new`, wherever a chunk ends."""
    wanted, put = old.encode(), new.encode()
    rest = b""
    for chunk in chunks:
        *done, rest = (rest + chunk).split(wanted)
        kept = max(len(rest) - len(wanted) + 1, 0)
        yield b"".join(part + put for part in done) + rest[:kept]
        rest = rest[kept:]
    yield rest


def _declared(response: requests.Response) -> int | None:
    """Return the length of a body that is not packed; None if it is not declared."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None
