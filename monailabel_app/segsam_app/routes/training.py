"""`GET /train/`: MONAI Label's answer, and with it how far the training is and what it came to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask

from segsam_app.errors import NotFoundError
from segsam_app.web.replies import plain

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
_TIME = "%Y-%m-%d %H:%M:%S"
"""Of MONAI Label's tasks, in local time."""


@router.get("/train/", include_in_schema=False)
def status(all: bool = False, check_if_running: bool = False, user: User = _USER) -> JSONResponse:
    """The last training, or with `all` every one since the start; 404 when there was none, or with
    `check_if_running` when none runs.
    """
    found, sentence = AsyncTask.status("train", all, check_if_running)
    if found is None:
        raise NotFoundError(sentence)
    told = found if all else {**found, **_progress(found)}
    return JSONResponse(jsonable_encoder(plain(told)))


def _progress(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the task's own process has written; nothing before it has begun."""
    trainer = app_instance()._trainers.get(task["request"].get("model"))
    stats = dict(trainer.stats()) if trainer is not None else {}
    began = time.mktime(time.strptime(task["start_ts"], _TIME))
    if not stats or stats.get("started", 0) < began:
        return {}
    keys = ("version", "promoted", "why", "metrics", "notes")
    rest = {key: stats[key] for key in stats if key not in keys}
    return {"progress": rest, **{key: stats[key] for key in keys if key in stats}}
