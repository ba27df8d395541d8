"""What of the labels the DICOMweb server has.

GET  /dicomweb/labels?label=UID     what waits, what cannot be sent and why; of one series also
                                    which version is which instance there
POST /dicomweb/send                 send what waits or could not be sent, now
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import NotFoundError
from segsam_app.ids import checked_id

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
_ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))


@router.get("/dicomweb/labels")
def labels(label: str | None = None, user: User = _USER) -> JSONResponse:
    """What waits, and why."""
    return JSONResponse(_told(_store(), label))


@router.post("/dicomweb/send")
def send(user: User = _ANNOTATOR) -> JSONResponse:
    """502, 503 or 504 with a sentence when the server does not take it; nothing is lost by that."""
    store = _store()
    store.send_now()
    return JSONResponse(_told(store, None))


def told_of_saving(store: object) -> dict[str, Any]:
    """What is added to the reply to a saved label."""
    if not isinstance(store, DicomWebStore):
        return {}
    return {"dicomweb": {"waiting": len(store.uploads.pending), "problem": store.uploads.problem}}


def _store() -> DicomWebStore:
    store = app_instance().datastore()
    if not isinstance(store, DicomWebStore):
        raise NotFoundError("the studies of this server are in a folder, not on a DICOMweb server")
    return store


def _told(store: DicomWebStore, label: str | None) -> dict[str, Any]:
    uploads = store.uploads
    told: dict[str, Any] = {
        "problem": uploads.problem,
        "waiting": [{"label": each.image, "version": each.version} for each in uploads.pending],
        "refused": [
            {"label": each.image, "version": each.version, "why": why}
            for each, why in uploads.refused.items()
        ],
    }
    if label is not None:
        told["stored"] = uploads.confirmed(checked_id("label", label))
    return told
