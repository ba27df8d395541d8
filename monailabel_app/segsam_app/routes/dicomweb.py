"""Routes for the labels on their way to the DICOMweb server.

GET  /dicomweb/labels?label=UID     pending labels and refused ones with the reason; for one series
                                    also which version is which instance on the server
POST /dicomweb/send                 send all of them now
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance

from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import NotFoundError
from segsam_app.ids import checked_id
from segsam_app.routes.fields import FIELDS_ONCE
from segsam_app.routes.roles import Annotator, AnyUser

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR, dependencies=FIELDS_ONCE)


@router.get("/dicomweb/labels")
def labels(label: str | None = None, *, user: AnyUser) -> JSONResponse:
    """Return the pending and the refused labels."""
    return JSONResponse(_uploads(_store(), label))


@router.post("/dicomweb/send")
def send(user: Annotator) -> JSONResponse:
    """Send all labels now. The reply is 502, 503 or 504 with a sentence if the DICOMweb server does
    not accept them; they stay pending then.
    """
    store = _store()
    store.send_now()
    return JSONResponse(_uploads(store, None))


def upload_status(store: object) -> dict[str, Any]:
    """Return the state of the upload queue, as the reply to a saved label holds it; empty for a
    store without a DICOMweb server.
    """
    if not isinstance(store, DicomWebStore):
        return {}
    return {"dicomweb": {"waiting": len(store.uploads.pending), "problem": store.problem}}


def _store() -> DicomWebStore:
    store = app_instance().datastore()
    if not isinstance(store, DicomWebStore):
        raise NotFoundError("the studies of this server are in a folder, not on a DICOMweb server")
    return store


def _uploads(store: DicomWebStore, label: str | None) -> dict[str, Any]:
    uploads = store.uploads
    content: dict[str, Any] = {
        "problem": store.problem,
        "waiting": [{"label": each.image, "version": each.version} for each in uploads.pending],
        "refused": [
            {"label": each.image, "version": each.version, "why": why}
            for each, why in uploads.refused.items()
        ],
    }
    if label is not None:
        content["stored"] = uploads.confirmed(checked_id("label", label))
    return content
