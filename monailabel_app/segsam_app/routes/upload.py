"""`PUT` and `HEAD /datastore/image`: MONAI Label's routes leave the upload behind when something
fails, and take the client's file name for a path.

What is kept, and under which conditions, is the business of the store; labels have routes of their
own (`storage/routes.py`).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, UploadFile
from fastapi.responses import JSONResponse, Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from segsam_app.errors import NotFoundError, RequestError
from segsam_app.ids import checked_id
from segsam_app.inference.images import admitted, path_of_image, safe_extension, uploaded
from segsam_app.inference.requests import read_object
from segsam_app.storage.disk import sha256_of

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

Params = Annotated[str, Form()]
Upload = Annotated[UploadFile, File()]
_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
_ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))


@router.put("/datastore/", include_in_schema=False)
@router.put("/datastore/image", include_in_schema=False)
def add_image(
    file: Upload, image: str | None = None, params: Params = "{}", user: User = _ANNOTATOR
) -> JSONResponse:
    """Add an image to the study folder; without an id it is called as its file was."""
    image_id = checked_id("image", _stem(file.filename) if image is None else image)
    info = {**read_object(params), "user": user.username}
    with uploaded(file.file, file.filename) as path:
        admitted(path)
        kept = app_instance().datastore().add_image(image_id, str(path), info)
    return JSONResponse({"image": kept})


@router.head("/datastore/image", include_in_schema=False)
def check_image(image: str, check_sum: str | None = None, user: User = _USER) -> Response:
    """Whether the image is there, and is the one with the SHA-256 `check_sum`, where given (with
    or without `SHA256:` before it). MONAI Label's own check can never succeed.
    """
    path = path_of_image(app_instance().datastore(), image)
    algorithm, _, digest = (check_sum or "").rpartition(":")
    if algorithm.upper() not in ("", "SHA256"):
        raise RequestError(f"check_sum must be a SHA256, got {check_sum!r:.80}")
    if check_sum is not None and digest.lower() != sha256_of(path):
        raise NotFoundError(f"the image {image!r:.80} is another one than that with this check_sum")
    return Response()


def _stem(filename: str | None) -> str:
    name = PurePosixPath((filename or "").replace("\\", "/")).name
    return name.removesuffix(safe_extension(name, ""))
