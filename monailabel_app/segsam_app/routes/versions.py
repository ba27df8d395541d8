"""The versions of the model over HTTP.

    GET  /versions/segsam                              all of them, and which is current
    POST /versions/segsam/use   {"version": "0002"}    makes one current: the choice, the roll-back

Both answer the same. What is current counts from the next inference on, without a restart.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from pydantic import BaseModel, ConfigDict

from segsam_app.config import DEFAULT_MODEL
from segsam_app.errors import NotFoundError
from segsam_app.inference.requests import validated
from segsam_app.versions.folder import VersionFolder, VersionHistory
from segsam_app.versions.record import VersionId
from segsam_app.web.replies import plain

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

_ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))
_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))


class Choice(BaseModel):
    """Which version is wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: VersionId


@router.get("/versions/{model}")
def list_versions(model: str, user: User = _USER) -> JSONResponse:
    """Every version of the model."""
    return _told(model, _versions(model).history())


@router.post("/versions/{model}/use")
def use_version(
    model: str, params: Annotated[dict[str, Any], Body()], user: User = _ADMIN
) -> JSONResponse:
    """Make a version current."""
    return _told(model, _versions(model).use(validated(Choice, params).version))


def _versions(model: str) -> VersionFolder:
    if model != DEFAULT_MODEL:
        raise NotFoundError(f"there are versions of {DEFAULT_MODEL} only, not of {model!r:.80}")
    versions: VersionFolder = app_instance().versions
    return versions


def _told(model: str, history: VersionHistory) -> JSONResponse:
    answer = {
        "model": model,
        "current": history.current,
        "versions": [record.public_fields for record in history.versions],
        "damaged": [{"id": name, "why": why} for name, why in history.damaged.items()],
        "notes": list(history.notes),
    }
    return JSONResponse(plain(answer))
