"""Labels and their versions over HTTP.

    PUT  /datastore/label?image=ID&tag=final             as MONAI Label's, and If-Match: "3"
    GET  /datastore/label?label=ID&tag=final             as MONAI Label's, and ETag: "3"
    GET  /datastore/label/versions?label=ID&tag=final    all of them, oldest first
    GET  /datastore/label/version?label=ID&tag=final&version=2     its file
    POST /datastore/label/restore?label=ID&tag=final&version=2     makes it current, as a new one

A client that sends the version that its annotator began from (`If-Match`, or `expected_version`
among the `params`) gets 409 when the label changed since; its label is kept as a version all the
same. Without it the label becomes current, and the one before stays a version.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, UploadFile
from fastapi.responses import FileResponse, JSONResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from segsam_app.errors import NotFoundError, RequestError
from segsam_app.ids import checked_id
from segsam_app.inference.images import uploaded
from segsam_app.inference.requests import read_object
from segsam_app.storage.label_history import LabelVersion
from segsam_app.storage.store import FINAL, Store
from segsam_app.web.replies import plain

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
_ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
_TYPE = "application/octet-stream"

Number = Annotated[int, "of a version, from 1"]
IfMatch = Annotated[str | None, Header()]


@router.put("/datastore/label", include_in_schema=False)
def save_label(
    image: str,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: str = FINAL,
    *,
    if_match: IfMatch = None,
    user: User = _ANNOTATOR,
) -> JSONResponse:
    """Save what an annotator drew."""
    checked_id("image", image)
    tag = checked_id("tag", tag or FINAL)
    info = read_object(params) | _user(user)
    if (expected := _version_of(if_match)) is not None:
        info["expected_version"] = expected
    app = app_instance()
    store = app.datastore()
    told: dict[str, Any] = {}
    with uploaded(label.file, label.filename) as path:
        if isinstance(store, Store):
            told = _told(store.save(image, path, tag, info))
        else:
            store.save_label(image, str(path), tag, info)
    heard = app.on_save_label(image, image) or {}
    headers = {"ETag": f'"{told["version"]}"'} if told else None
    return JSONResponse(plain({**heard, **told, "image": image, "label": image}), headers=headers)


@router.get("/datastore/label", include_in_schema=False)
def get_label(label: str, tag: str, user: User = _USER) -> FileResponse:
    """The current label's file."""
    store = app_instance().datastore()
    path = Path(store.get_label_uri(checked_id("label", label), checked_id("tag", tag)))
    if not path.is_file():
        raise NotFoundError(f"there is no label {label!r:.80} with the tag {tag!r:.80}")
    version = store.get_label_info(label, tag).get("version")
    headers = {} if version is None else {"ETag": f'"{version}"'}
    return FileResponse(path, media_type=_TYPE, filename=path.name, headers=headers)


@router.get("/datastore/label/versions")
def list_versions(label: str, tag: str = FINAL, user: User = _USER) -> JSONResponse:
    """Every version of a label, oldest first, and which of them is `current` (0: none is)."""
    store, history = _store(), _store().history(label, tag)
    current = store.get_label_info(label, tag).get("version", 0)
    versions = [_told(version) for version in history.all()]
    return JSONResponse(
        plain({"label": label, "tag": tag, "current": current, "versions": versions})
    )


@router.get("/datastore/label/version")
def get_version(label: str, version: Number, tag: str = FINAL, user: User = _USER) -> FileResponse:
    """The file of one version, as it was sent."""
    history = _store().history(label, tag)
    found = history.with_voxels(version)
    name = f"{label}-{found.number:04d}{found.ending}"
    headers = {"ETag": f'"{found.number}"'}
    return FileResponse(history.file(found), media_type=_TYPE, filename=name, headers=headers)


@router.post("/datastore/label/restore")
def restore_version(
    label: str,
    version: Number,
    tag: str = FINAL,
    *,
    if_match: IfMatch = None,
    user: User = _ANNOTATOR,
) -> JSONResponse:
    """Make a version current again, as a new one."""
    expected = _version_of(if_match)
    who = str(_user(user).get("user", ""))
    made = _store().restore(label, tag, version, user=who, expected=expected)
    app_instance().on_save_label(label, label)
    told = {**_told(made), "label": label, "tag": tag}
    return JSONResponse(plain(told), headers={"ETag": f'"{made.number}"'})


def _store() -> Store:
    store = app_instance().datastore()
    if not isinstance(store, Store):
        raise NotFoundError("versions are kept for studies in a folder of this computer only")
    return store


def _told(version: LabelVersion) -> dict[str, Any]:
    fields = asdict(version)
    return {"version": fields.pop("number"), **fields}


def _user(user: User) -> dict[str, Any]:
    """Whom MONAI Label's log-in knows; without a log-in everybody has the same name."""
    return {"user": user.username} if settings.MONAI_LABEL_AUTH_ENABLE else {}


def _version_of(if_match: str | None) -> int | None:
    """The version that `If-Match` names, None without one. Raises `RequestError`."""
    if if_match is None or if_match.strip() == "*":
        return None
    match = re.fullmatch(r'\s*(?:W/)?"?(\d{1,9})"?\s*', if_match)
    if match is None:
        raise RequestError(f'If-Match must name a version, as in "3"; got {if_match!r:.40}')
    return int(match[1])
