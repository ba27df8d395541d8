"""Sources of DICOM for a viewer in a browser: what it may ask for, and what answers.

`routes/dicomweb_proxy.py` has the routes and checks each request (`resources.py`), so a source gets
nothing that could be a path or an address. The DICOMweb server is one source (`relay.py`).

Source of the paths: DICOM PS3.18 (10.4 retrieve, 10.6 search).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from monailabel.config import settings

BROWSER_ROOT = settings.MONAI_LABEL_API_STR + "/proxy/dicom/wado"
"""Path under which a browser reaches a source."""


class ResourceKind(Enum):
    """Kinds of what a request asks for. The first three are searches."""

    STUDIES = "studies"
    SERIES = "series"
    INSTANCES = "instances"
    METADATA = "metadata"
    RETRIEVE = "retrieve"
    FRAMES = "frames"
    RENDERED = "rendered"
    THUMBNAIL = "thumbnail"
    BULK_DATA = "bulkdata"

    @property
    def is_search(self) -> bool:
        """True for a search (QIDO-RS)."""
        return self in (ResourceKind.STUDIES, ResourceKind.SERIES, ResourceKind.INSTANCES)


@dataclass(frozen=True)
class Resource:
    """Validated request for DICOM: UIDs are UIDs, frames count from 1, and `query` has only names
    that DICOMweb knows. `accept` are the media types that the browser takes. `path` is the path
    below the root of a DICOMweb service, composed of what was checked.
    """

    kind: ResourceKind
    path: str
    study: str | None = None
    series: str | None = None
    instance: str | None = None
    frames: tuple[int, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    accept: str = ""


def _nothing() -> None:
    """Close nothing."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Answer of a source. `chunks` are read in worker threads, and `close` is called at the end,
    whether all were read or not. `bytes` is the length of the body if it is known.
    """

    status: int
    media_type: str
    chunks: Iterator[bytes]
    bytes: int | None = None
    close: Callable[[], None] = _nothing


class DicomWebSource(Protocol):
    """Source of DICOM, safe for many threads."""

    def answer(self, resource: Resource) -> Answer:
        """Return the answer to a request. Raises `SegSamError`: `NotFoundError` for what is not
        there, `RequestError` for what it does not offer.
        """
        ...
