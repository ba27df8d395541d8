"""Routes for the configuration and the extension of the viewer OHIF, which MONAI Label carries.

GET /ohif/app-config.js              configuration: the studies of this server, and the extension
GET /ohif/segsam/{file}              the extension, plain JavaScript in `segsam_app/ohif`
GET /ohif/segsam/server.json         what the page has to know before a user logs in

A browser asks for them before it knows the token; they hold nothing of a patient or a user.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance

from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import NotFoundError
from segsam_app.web.access import read_token

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

NO_SERIES = (
    "The study folder of this server holds no DICOM series, and this viewer shows nothing else: "
    "put series into it, or start the server with a DICOMweb server (--studies http://...)."
)
_FOLDER = Path(__file__).resolve().parents[1] / "ohif"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}
_REVALIDATE = {"Cache-Control": "no-cache"}
"""A browser asks for each file again: after an update, none of them fits the others' old ones."""


@router.get("/ohif/app-config.js", include_in_schema=False)
def configuration() -> FileResponse:
    """Return OHIF's configuration."""
    return _file("app-config.js")


@router.get("/ohif/segsam/server.json", include_in_schema=False)
def facts() -> JSONResponse:
    """Return whether the server requires a token, and a sentence if there is nothing to show."""
    store = app_instance().datastore()
    is_empty = not isinstance(store, DicomWebStore) and not getattr(store, "series", None)
    found = {"needs_token": read_token() is not None, "notice": NO_SERIES if is_empty else ""}
    return JSONResponse(found, headers=_REVALIDATE)


@router.get("/ohif/segsam/{name}", include_in_schema=False)
def script(name: str) -> FileResponse:
    """Return a file of the extension."""
    return _file(f"segsam/{name}")


def _file(path: str) -> FileResponse:
    file = _files().get(path)
    if file is None:
        raise NotFoundError(f"the viewer has no file {path!r:.80}")
    return FileResponse(file, media_type=_MEDIA_TYPES[file.suffix], headers=_REVALIDATE)


@functools.cache
def _files() -> Mapping[str, Path]:
    """Return the files by their path below `/ohif`: no name of a client reaches the disk."""
    files = (file for file in _FOLDER.rglob("*") if file.suffix in _MEDIA_TYPES)
    return {file.relative_to(_FOLDER).as_posix(): file for file in files}
