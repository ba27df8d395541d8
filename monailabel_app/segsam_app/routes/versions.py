"""Routes for the versions of the model.

GET  /versions/segsam                              all versions, and which one is current
POST /versions/segsam/use   {"version": "0002"}    make one current: to choose, or to roll back

Both have the same reply. The current version serves from the next inference on, without a restart.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance

from segsam_app.config import DEFAULT_MODEL
from segsam_app.errors import NotFoundError
from segsam_app.records import RequestRecord
from segsam_app.routes.fields import FIELDS_ONCE
from segsam_app.routes.roles import Admin, AnyUser
from segsam_app.strict_json import checked_json, json_response
from segsam_app.versions.folder import VersionFolder, VersionHistory
from segsam_app.versions.record import VersionId

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR, dependencies=FIELDS_ONCE)


class UseRequest(RequestRecord):
    """Body of `POST /versions/{model}/use`."""

    version: VersionId
    """Version to make current."""


@router.get("/versions/{model}")
def list_versions(model: str, user: AnyUser) -> JSONResponse:
    """Return every version of the model."""
    return _response(model, _versions(model).history())


@router.post("/versions/{model}/use")
def use_version(model: str, params: Annotated[dict[str, Any], Body()], user: Admin) -> JSONResponse:
    """Make a version current."""
    return _response(
        model,
        _versions(model).use(UseRequest.model_validate(checked_json(params, "params")).version),
    )


def _versions(model: str) -> VersionFolder:
    if model != DEFAULT_MODEL:
        raise NotFoundError(f"there are versions of {DEFAULT_MODEL} only, not of {model!r:.80}")
    versions: VersionFolder = app_instance().versions
    return versions


def _response(model: str, history: VersionHistory) -> JSONResponse:
    return json_response(
        {
            "model": model,
            "current": history.current,
            "versions": [record.public_fields for record in history.versions],
            "damaged": [{"id": name, "why": why} for name, why in history.damaged.items()],
            "notes": list(history.notes),
        }
    )
