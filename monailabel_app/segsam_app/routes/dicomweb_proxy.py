"""Routes by which the viewer OHIF gets images: DICOMweb searches and retrievals, read-only.

GET /proxy/dicom/qido/{path}     DICOM PS3.18 10.6
GET /proxy/dicom/wado/{path}     DICOM PS3.18 10.4

They replace MONAI Label's proxy, which passes any decoded path on, such as `../system` of Orthanc's
administration, and uploads. OHIF has one path for both kinds of request in places, so both routes
take both. Every other path and method of `/proxy` is refused.

Answers are read in threads of their own number: viewers that wait for images take none from those
who wait for a mask.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from segsam.errors import SegSamError
from segsam_app.dicomweb.folder_source import FolderSource
from segsam_app.dicomweb.resources import read_resource
from segsam_app.dicomweb.source import Answer, DicomWebSource
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import NotFoundError
from segsam_app.routes.roles import AnyUser
from segsam_app.storage.store import Store

logger = logging.getLogger(__name__)

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR + "/proxy")

_THREADS = CapacityLimiter(16)
_OTHER_METHODS = ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


@router.get("/dicom/qido/{path:path}", include_in_schema=False)
@router.get("/dicom/wado/{path:path}", include_in_schema=False)
async def proxy(request: Request, path: str, user: AnyUser) -> Response:
    """Return the source's answer to a search or retrieval, as it arrives."""
    accept = request.headers.get("accept", "")
    resource = read_resource(path, request.query_params.multi_items(), accept)
    source = source_of(app_instance().datastore())
    answer = await to_thread.run_sync(source.answer, resource, limiter=_THREADS)
    return _AnswerResponse(answer)


@router.get("/{path:path}", include_in_schema=False)
async def unknown_path(path: str, user: AnyUser) -> Response:
    """Raise `NotFoundError`."""
    raise NotFoundError(
        f"expected /proxy/dicom/qido/ or /proxy/dicom/wado/ with a DICOMweb path, got {path!r:.120}"
    )


@router.api_route("/{path:path}", methods=_OTHER_METHODS, include_in_schema=False)
async def other_method(request: Request, path: str) -> Response:
    """Raise an error with status 405."""
    sentence = f"expected GET, because the proxy only reads, got {request.method}"
    raise HTTPException(405, sentence, {"Allow": "GET"})


def source_of(store: object) -> DicomWebSource:
    """Return the source of the images of a store. Raises `NotFoundError` if there is none."""
    if isinstance(store, DicomWebStore):
        return store.relay
    if isinstance(store, Store):
        return FolderSource(lambda: store.series)
    raise NotFoundError("the images of this server are not offered to a viewer in a browser")


class _AnswerResponse(StreamingResponse):
    """Reply that streams an answer. If the answer breaks off, so does the connection, because a
    reply that ended well would be taken for a whole one.
    """

    def __init__(self, answer: Answer) -> None:
        headers = {"Cache-Control": "no-store"}  # nothing of a patient stays in the browser
        if answer.bytes is not None:
            headers["Content-Length"] = str(answer.bytes)
        self._answer = answer
        super().__init__(
            _read_in_thread(answer.chunks),
            answer.status,
            headers,
            answer.media_type or None,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply."""
        try:
            await super().__call__(scope, receive, send)
        except SegSamError as error:
            logger.warning("an answer for a viewer broke off: %s", error)
        finally:
            self._answer.close()


async def _read_in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (chunk := await to_thread.run_sync(next, chunks, None, limiter=_THREADS)) is not None:
        yield chunk
