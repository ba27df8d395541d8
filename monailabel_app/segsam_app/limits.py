"""Limits of one server: sizes, counts and times.

Every resource has a limit by default. A request beyond a limit is refused with a sentence that
names the setting; it is never cut short, queued without end or left to run out of memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from segsam_app.records import MEGABYTE, Settings, split

DRAFT_BYTES = 4 * MEGABYTE
"""Largest draft of unsaved work."""

SWITCHES: Mapping[str, str] = {
    "model": "uploading and deleting models (PUT, DELETE /model/{model})",
    "reload": "reading the app's code again (POST /reload)",
    "logs": "reading the log (GET /logs)",
    "delete": "deleting images and labels (DELETE /datastore)",
}
"""Routes of MONAI Label that are off unless the setting `routes` names them."""


def _words(text: object) -> object:
    """Return the lower-case parts of a text with commas, without empty ones."""
    parts = split(text)
    return tuple(part.lower() for part in parts if part) if isinstance(parts, tuple) else parts


def _known_switches(words: tuple[str, ...]) -> tuple[str, ...]:
    if "proxy" in words:
        raise ValueError(
            "must not name proxy: MONAI Label's proxy passes any path and upload on to the DICOM "
            "server; this server has a read-only one of its own, which is always on"
        )
    if not set(words) <= set(SWITCHES):
        raise ValueError(f"must be words out of {', '.join(SWITCHES)}, with commas between them")
    return words


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
CountOrNone = Annotated[int, Field(ge=0, le=10**9)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Seconds = Count


class Limits(Settings):
    """Limits of one server."""

    hosts: Words = ()
    """Host names by which clients reach the server, comma-separated, beside those of this
    computer."""
    routes: Annotated[Words, AfterValidator(_known_switches)] = ()
    """Routes of MONAI Label to switch on, comma-separated: model, reload, logs, delete."""
    upload_megabytes: Count = 1024
    """Largest upload."""
    body_kilobytes: Count = 1024
    """Largest body of any other request."""
    info_kilobytes: Count = 256
    """Largest information about one image or label, from all requests together."""
    body_seconds: Seconds = 30
    """Time that a client may send nothing while its request is being received."""
    queue: CountOrNone = 16
    """Number of requests that may wait for the model."""
    infer_seconds: Seconds = 120
    """Time from the arrival of an inference request to its reply."""
    sessions: Count = 32
    """Number of open sessions."""
    sessions_megabytes: Count = 8192
    """Disk space of all open sessions."""
    session_idle_seconds: Seconds = 600
    """Time after which an unused session ends."""
    session_alive_seconds: Seconds = 60
    """Time after which a session ends whose client reported that it is alive and then stopped."""
    drafts: CountOrNone = 256
    """Number of drafts of unsaved work, each of at most 4 MB; 0 keeps none."""
    draft_days: Annotated[int, Field(ge=1, le=3650)] = 7
    """Days after its last change when a draft is deleted."""
    max_epochs: Count = 1000
    """Most epochs that a training request may ask for."""
    max_batch: Count = 256
    """Largest batch that a training request may ask for."""
    dicomweb_seconds: Seconds = 30
    """Time that a DICOMweb server may take to answer."""
    dicomweb_refresh_seconds: Seconds = 60
    """Time between two requests for the series of a DICOMweb server."""
    dicomweb_megabytes: Count = 2048
    """Largest series that is fetched from a DICOMweb server."""

    @property
    def upload_bytes(self) -> int:
        """Largest upload."""
        return self.upload_megabytes * MEGABYTE

    @property
    def body_bytes(self) -> int:
        """Largest body of a request that uploads nothing."""
        return self.body_kilobytes * 1024

    @property
    def info_bytes(self) -> int:
        """Largest information about one image or label."""
        return self.info_kilobytes * 1024

    @property
    def sessions_bytes(self) -> int:
        """Disk space of all open sessions."""
        return self.sessions_megabytes * MEGABYTE
