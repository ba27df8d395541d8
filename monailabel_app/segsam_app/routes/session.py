"""Session routes: MONAI Label's, and `PUT /session/{id}/alive`.

They are plain functions, which the server runs in worker threads. The upload itself is received
before, to disk and within its limit.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import Response
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance

from segsam.errors import VolumeError
from segsam.imaging.image_files import image_kind, is_litter
from segsam_app.errors import RequestError
from segsam_app.inference.images import (
    base_name,
    check_upload,
    refused_as_sent,
    safe_extension,
)
from segsam_app.inference.sessions import AppSessions, Session, Upload, require_sessions
from segsam_app.routes.fields import FIELDS_ONCE
from segsam_app.routes.roles import AnyUser
from segsam_app.storage.disk import open_regular
from segsam_app.web.file_response import OpenFileResponse

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR, dependencies=FIELDS_ONCE)


@router.put("/session/", include_in_schema=False)
def create_session(
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: int = 0,
    *,
    user: AnyUser,
) -> dict[str, Any]:
    """Store an image, or the files of one DICOM series, for the prompts to come."""
    if uncompress:
        raise RequestError("archives are not unpacked; send the image, or the files of the series")
    engine = app_instance().engine
    uploads = _uploads(files)
    with refused_as_sent({upload.name: upload.sent_name for upload in uploads}):
        session = _sessions().add(uploads, lambda path: check_upload(engine, path), expiry)
    return {"session_id": session.id, "session_info": _described(session)}


@router.get("/session/{session_id}", include_in_schema=False, response_model=None)
def get_session(
    session_id: str, update_ts: bool = False, image: bool = False, *, user: AnyUser
) -> dict[str, Any] | Response:
    """Return the description of a session, or its image."""
    session = _sessions().get(session_id, use=update_ts)
    if not image:
        return _described(session)
    if not session.image.is_file():
        raise RequestError("the session is a series of files and cannot be fetched as one")
    return OpenFileResponse(open_regular(session.image), session.image.name)


@router.put("/session/{session_id}/alive", include_in_schema=False)
def keep_alive(session_id: str, user: AnyUser) -> dict[str, Any]:
    """Keep a session open. A client that calls this once has to call it again within the time in
    the reply.
    """
    session = _sessions().keep_alive(session_id)
    seconds = app_instance().limits.session_alive_seconds
    return {"session_id": session.id, "alive_seconds": seconds}


@router.delete("/session/{session_id}", include_in_schema=False)
def remove_session(session_id: str, user: AnyUser) -> dict[str, Any]:
    """Close a session and delete its image."""
    return _sessions().close(session_id).to_json()


def _described(session: Session) -> dict[str, Any]:
    """Return the description of a session, with the notes about how its image is read."""
    notes = app_instance().engine.notes(session.image)
    return {**session.to_json(), **({} if notes is None else {"notes": list(notes)})}


def _sessions() -> AppSessions:
    return require_sessions(app_instance().sessions())


def _uploads(files: list[UploadFile]) -> list[Upload]:
    """Return the files to store; of several, without hidden files and what systems leave behind."""
    if len(files) > 1:
        files = [file for file in files if not is_litter(base_name(file.filename))]
        if not files:
            raise RequestError("expected an image, or the slices of a series, got hidden files")
    if len(files) == 1:
        name = f"image{safe_extension(files[0].filename)}"
        return [Upload(files[0].file, files[0].size or 0, name)]
    for file in files:
        kind = image_kind(base_name(file.filename))
        if kind is not None and kind.format != "DICOM":
            raise VolumeError(
                f"Expected one image, or the slices of one series, got {len(files)} files with "
                f"{base_name(file.filename)!r:.80} among them."
            )
    return [
        Upload(
            file.file,
            file.size or 0,
            f"{number:05d}{safe_extension(file.filename, '.dcm')}",
            base_name(file.filename),
        )
        for number, file in enumerate(files)
    ]
