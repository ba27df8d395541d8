"""`/session`: MONAI Label's routes, and one more that says "I am still here".

Plain functions, which the server runs in worker threads; the upload itself is received outside of
them, to disk, within its limit.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, UploadFile
from fastapi.responses import FileResponse, Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference.images import admitted, safe_extension
from segsam_app.inference.sessions import AppSessions, Upload

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)
_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))


@router.put("/session/", include_in_schema=False)
def create_session(
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: int = 0,
    user: User = _USER,
) -> dict[str, Any]:
    """Keep an image, or the files of one DICOM series, for the prompts to come."""
    if uncompress:
        raise RequestError("archives are not unpacked; send the image, or the files of the series")
    session = _sessions().add(_uploads(files), admitted, expiry)
    return {"session_id": session.id, "session_info": session.told()}


@router.get("/session/{session_id}", include_in_schema=False, response_model=None)
def get_session(
    session_id: str, update_ts: bool = False, image: bool = False, user: User = _USER
) -> dict[str, Any] | Response:
    """What there is to know about a session, or its image."""
    session = _sessions().get(session_id, use=update_ts)
    if not image:
        return session.told()
    if not session.image.is_file():
        raise RequestError("the session is a series of files and cannot be fetched as one")
    return FileResponse(session.image, filename=session.image.name)


@router.put("/session/{session_id}/alive", include_in_schema=False)
def keep_alive(session_id: str, user: User = _USER) -> dict[str, Any]:
    """The client is still there, and will say so again in time."""
    session = _sessions().keep_alive(session_id)
    seconds = app_instance().limits.session_alive_seconds
    return {"session_id": session.id, "alive_seconds": seconds}


@router.delete("/session/{session_id}", include_in_schema=False)
def remove_session(session_id: str, user: User = _USER) -> dict[str, Any]:
    """The client needs it no more."""
    return _sessions().close(session_id).told()


def _sessions() -> AppSessions:
    sessions: AppSessions | None = app_instance().sessions()
    if sessions is None:
        raise NotFoundError("sessions are switched off on this server (MONAI_LABEL_SESSIONS)")
    return sessions


def _uploads(files: list[UploadFile]) -> list[Upload]:
    if len(files) == 1:
        name = f"image{safe_extension(files[0].filename)}"
        return [Upload(files[0].file, files[0].size or 0, name)]
    return [
        Upload(file.file, file.size or 0, f"{number:05d}{safe_extension(file.filename, '.dcm')}")
        for number, file in enumerate(files)
    ]
