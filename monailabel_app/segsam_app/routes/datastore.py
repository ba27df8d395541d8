"""Routes for images, labels and the versions of labels.

PUT  /datastore/image?image=ID                       as MONAI Label's, without its file left behind
GET  /datastore/image?image=ID                       as MONAI Label's, refused if it is unreadable
HEAD /datastore/image?image=ID&check_sum=SHA256:...  as MONAI Label's, with a check that can succeed
GET  /datastore/image/info?image=ID                  as MONAI Label's, and the notes about the image
PUT  /datastore/image/info?image=ID                  as MONAI Label's, with a checked object
PUT  /datastore/label?image=ID&tag=final             as MONAI Label's, and If-Match: "3" or *,
                                                     If-None-Match: * if there must be no label
GET  /datastore/label?label=ID&tag=final             as MONAI Label's, and ETag: "3"; X-Notes says
                                                     if its image is another one now
GET  /datastore/dataset                              a ZIP file, made while it is sent
GET  /datastore/label/versions?label=ID&tag=final    all versions, oldest first
GET  /datastore/label/version?label=ID&tag=final&version=2     the file of one version
POST /datastore/label/restore?label=ID&tag=final&version=2     makes it current, as a new version

A client that sends the version from which its annotator began (`If-Match`, or `expected_version`
among the `params`) gets 409 if the label has changed since; its label is stored as a version all
the same. Without it the label becomes current, and the one before stays as a version. The ETag of a
label that could not become a version holds the SHA-256 of its content instead of a number.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, File, Form, Header, UploadFile
from fastapi.responses import JSONResponse, Response, StreamingResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import get_mime_type

from segsam.errors import VolumeError
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.ids import checked_id
from segsam_app.inference.images import (
    base_name,
    check_upload,
    id_of_image,
    path_of_image,
    safe_extension,
    uploaded,
)
from segsam_app.routes.fields import FIELDS_ONCE
from segsam_app.routes.roles import Annotator, AnyUser
from segsam_app.storage.disk import open_regular, output_errors, sha256_of
from segsam_app.storage.label_metadata import (
    ANY_VERSION,
    DIGEST,
    checked_image_info,
    refuse_reserved,
)
from segsam_app.storage.label_record import LabelVersion
from segsam_app.storage.label_writer import Expected
from segsam_app.storage.store import FINAL, Store
from segsam_app.strict_json import json_response, read_object
from segsam_app.web.file_response import OpenFileResponse

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR, dependencies=FIELDS_ONCE)

_MEDIA_TYPE = "application/octet-stream"

UploadedFile = Annotated[UploadFile, File()]
Params = Annotated[str, Form()]
IfMatch = Annotated[str | None, Header()]
IfNoneMatch = Annotated[str | None, Header()]


@router.put("/datastore/", include_in_schema=False)
@router.put("/datastore/image", include_in_schema=False)
def add_image(
    file: UploadedFile, image: str | None = None, params: Params = "{}", *, user: Annotator
) -> JSONResponse:
    """Add an image to the study folder. Without an id, its file name is the id."""
    image_id = checked_id("image", _stem(file.filename) if image is None else image)
    info = {**_image_info(params, "params"), "user": user.username}
    with uploaded(file.file, file.filename) as path:
        check_upload(app_instance().engine, path, temporary=True)
        added = app_instance().datastore().add_image(image_id, str(path), info)
    return JSONResponse({"image": added})


@router.head("/datastore/image", include_in_schema=False)
def check_image(image: str, check_sum: str | None = None, *, user: AnyUser) -> Response:
    """Return 200 if the image exists and, if `check_sum` is given, has that SHA-256 (with or
    without `SHA256:` before it). MONAI Label's own check never succeeds.
    """
    path = path_of_image(app_instance().datastore(), image)
    algorithm, _, digest = (check_sum or "").rpartition(":")
    if algorithm.upper() not in ("", "SHA256"):
        raise RequestError(f"check_sum must be a SHA256, got {check_sum!r:.80}")
    if check_sum is not None and digest.lower() != sha256_of(path):
        raise NotFoundError(f"there is no image {image!r:.80} with this check_sum")
    return Response()


@router.get("/datastore/image", include_in_schema=False)
def get_image(image: str, user: AnyUser) -> OpenFileResponse:
    """Return the file of an image."""
    path = path_of_image(app_instance().datastore(), image)
    return OpenFileResponse(_opened(path, "image", image), path.name, get_mime_type(str(path)))


@router.get("/datastore/image/info", include_in_schema=False)
def image_info(image: str, user: AnyUser) -> JSONResponse:
    """Return the metadata of an image, with the notes about how it is read, unless it cannot be
    read or has to be fetched from a DICOMweb server first.
    """
    app, store = app_instance(), app_instance().datastore()
    info = store.get_image_info(checked_id("image", image))
    if not (isinstance(store, DicomWebStore) and not store.is_fetched(image)):
        notes = app.engine.notes(path_of_image(store, image))
        if notes is not None:
            info["notes"] = list(dict.fromkeys([*info.get("notes", ()), *notes]))
    return json_response(info)


@router.put("/datastore/label", include_in_schema=False)
def save_label(
    image: str,
    label: UploadedFile,
    params: Params = "{}",
    tag: str = FINAL,
    *,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
    user: Annotator,
) -> JSONResponse:
    """Save a label that an annotator drew."""
    image = _id_of(image)
    tag = checked_id("tag", tag or FINAL)
    info = read_object(params) | _user_info(user)
    if (expected := _version_in(if_match, if_none_match)) is not None:
        info["expected_version"] = expected
    app = app_instance()
    store = app.datastore()
    saved: dict[str, Any] = {}
    with uploaded(label.file, label.filename) as path:
        if isinstance(store, Store):
            saved = _to_json(store.save(image, path, tag, info))
        else:
            store.save_label(image, str(path), tag, info)
    status = app.on_save_label(image, image) or {}
    headers = {"ETag": f'"{saved["version"]}"'} if saved else None
    return json_response({**status, **saved, "image": image, "label": image}, headers=headers)


@router.put("/datastore/image/info", include_in_schema=False)
def update_image_info(image: str, info: Annotated[str, Form()], *, user: Annotator) -> JSONResponse:
    """Add to the metadata of an image."""
    fields = _image_info(info, "info") | _user_info(user)
    app_instance().datastore().update_image_info(checked_id("image", image), fields)
    return JSONResponse(None)


@router.put("/datastore/label/info", include_in_schema=False)
@router.put("/datastore/updatelabelinfo", include_in_schema=False)
def update_label_info(
    label: str, tag: str, info: Annotated[str, Form()], *, user: Annotator
) -> JSONResponse:
    """Add to the metadata of the current label."""
    fields = read_object(info, "info") | _user_info(user)
    label, tag = checked_id("label", label), checked_id("tag", tag)
    refuse_reserved(fields)
    app_instance().datastore().update_label_info(label, tag, fields)
    return JSONResponse(None)


@router.get("/datastore/label", include_in_schema=False)
def get_label(label: str, tag: str, user: AnyUser) -> OpenFileResponse:
    """Return the file of the current label."""
    store = app_instance().datastore()
    label, tag = _id_of(label), checked_id("tag", tag)
    with output_errors("Reading a label"):
        if not isinstance(store, Store):
            path = Path(store.get_label_uri(label, tag))
            return OpenFileResponse(_opened(path, "label", label), path.name, _MEDIA_TYPE)
        found = store.open_label(label, tag)
    if found is None:
        raise NotFoundError(f"there is no label {label!r:.80} with the tag {tag!r:.80}")
    note = store.image_note(label, tag)
    return OpenFileResponse(
        found.stream,
        found.name,
        _MEDIA_TYPE,
        etag=f'"{found.content}"',
        notes=[] if note is None else [note.clause],
    )


@router.get("/datastore/dataset", include_in_schema=False)
def get_dataset(limit_cases: int | None = None, *, user: Annotator) -> StreamingResponse:
    """Return images with a final label and their labels as a ZIP file, made while it is sent."""
    headers = {"Content-Disposition": 'attachment; filename="dataset.zip"'}
    content = _store().dataset_archive(limit_cases)
    return StreamingResponse(content, media_type="application/zip", headers=headers)


@router.get("/datastore/label/versions")
def list_versions(label: str, tag: str = FINAL, *, user: AnyUser) -> JSONResponse:
    """Return every version of a label, oldest first, and the `current` one (0: none)."""
    store, label = _store(), _id_of(label)
    versions = [_to_json(version) for version in store.history(label, tag).all()]
    current = store.get_label_info(label, tag).get("version", 0)
    return json_response({"label": label, "tag": tag, "current": current, "versions": versions})


@router.get("/datastore/label/version")
def get_version(label: str, version: int, tag: str = FINAL, *, user: AnyUser) -> OpenFileResponse:
    """Return the file of one version (from 1), as it was uploaded, once its SHA-256 is compared."""
    history = _store().history(_id_of(label), tag)
    found = history.with_voxels(version)
    name = f"{label}-{found.number:04d}{found.ending}"
    with output_errors("Reading a label"):
        stream = history.open_voxels(found)
    return OpenFileResponse(stream, name, _MEDIA_TYPE, etag=f'"{found.number}"')


@router.post("/datastore/label/restore")
def restore_version(
    label: str, version: int, tag: str = FINAL, *, if_match: IfMatch = None, user: Annotator
) -> JSONResponse:
    """Make a version (from 1) current again, as a new version."""
    name = str(_user_info(user).get("user", ""))
    label = _id_of(label)
    restored = _store().restore(label, tag, version, user=name, expected=_version_in(if_match))
    app_instance().on_save_label(label, label)
    headers = {"ETag": f'"{restored.number}"'}
    return json_response({**_to_json(restored), "label": label, "tag": tag}, headers=headers)


def _id_of(name: str) -> str:
    """Return the id of the image that a client names, which is that of its label."""
    return id_of_image(app_instance().datastore(), checked_id("image", name))


def _opened(path: Path, kind: str, file_id: str) -> BinaryIO:
    """Return the file, open. Raises `NotFoundError` for what is no file, VolumeError for one that
    cannot be read: once the response has begun, it could only break off.
    """
    if not path.is_file():
        raise NotFoundError(f"the {kind} {file_id!r:.80} is no single file")
    try:
        return open_regular(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise VolumeError(f"the {kind} {file_id!r:.80} cannot be read: {reason}") from error


def _image_info(text: str, name: str) -> dict[str, Any]:
    """Return the metadata of an image in a request. Raises `RequestError`."""
    return checked_image_info(read_object(text, name), app_instance()._strategies)


def _store() -> Store:
    store = app_instance().datastore()
    if not isinstance(store, Store):
        raise NotFoundError("versions are kept for studies in a folder of this computer only")
    return store


def _to_json(version: LabelVersion) -> dict[str, Any]:
    fields = asdict(version)
    return {"version": fields.pop("number"), **fields}


def _user_info(user: User) -> dict[str, Any]:
    """Return the name in MONAI Label's log-in; without a log-in, everybody has the same one."""
    return {"user": user.username} if settings.MONAI_LABEL_AUTH_ENABLE else {}


def _version_in(if_match: str | None, if_none_match: str | None = None) -> Expected | None:
    """Return what must be current for a request to be carried out: a version, the SHA-256 of a
    label that was none, `ANY_VERSION`, or 0 for no label. None without a condition.

    Raises `RequestError`.
    """
    if if_none_match is not None:
        if if_match is not None or if_none_match.strip() != "*":
            raise RequestError(
                "If-None-Match must be * (save only if there is no label), without If-Match; got "
                f"{if_none_match!r:.40}"
            )
        return 0
    if if_match is None:
        return None
    if if_match.strip() == ANY_VERSION:
        return ANY_VERSION
    match = re.fullmatch(rf'\s*(?:W/)?"?(?:(\d{{1,9}})|({DIGEST}[0-9a-f]{{64}}))"?\s*', if_match)
    if match is None:
        raise RequestError(f'If-Match must name a version, as in "3"; got {if_match!r:.40}')
    return int(match[1]) if match[1] else match[2]


def _stem(filename: str | None) -> str:
    name = base_name(filename)
    return name[: len(name) - len(safe_extension(name))]
