"""`GET /segsam/health` and `GET /metrics`: for what watches the server.

Both only read counters, so they are answered on the event loop itself: even when every worker
thread is busy.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance

from segsam_app.config import DEFAULT_MODEL
from segsam_app.routes.dicomweb import told_of_saving
from segsam_app.web.metrics import CONTENT_TYPE, Meters

_LEAST_FREE = 256 << 20


def watching(meters: Meters) -> APIRouter:
    """The two routes, for the counters of one server."""
    router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)
    meters.watch(gauges)

    @router.get("/segsam/health", include_in_schema=False)
    async def health() -> JSONResponse:
        """200 when requests are worth sending, 503 when the disk is full."""
        told = _health()
        return JSONResponse(told, 200 if told["ready"] else 503)

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(meters.text(), media_type=CONTENT_TYPE)

    return router


def gauges() -> Mapping[str, tuple[str, float]]:
    """What is looked up at each reading: name -> (meaning, value)."""
    app = app_instance()
    cached, sessions = app.engine.cached, app.sessions()
    return {
        "segsam_queue_running": ("Requests that have the model", app.gate.running),
        "segsam_queue_waiting": ("Requests that wait for the model", app.gate.waiting),
        "segsam_embeddings_entries": ("Slices whose embeddings are kept", cached.entries),
        "segsam_embeddings_bytes": ("Bytes of the kept embeddings", cached.bytes),
        "segsam_embeddings_limit_bytes": ("Bytes that may be kept", cached.limit_bytes),
        "segsam_embeddings_hits": ("Slices that were found there", cached.hits),
        "segsam_embeddings_misses": ("Slices that had to be encoded", cached.misses),
        "segsam_embeddings_ahead": ("Slices that were encoded before their use", cached.prefetched),
        "segsam_embeddings_disk_bytes": ("Bytes of embeddings on disk", cached.disk_bytes),
        "segsam_embeddings_disk_limit_bytes": ("Bytes that may be there", cached.disk_limit_bytes),
        "segsam_embeddings_disk_hits": ("Slices that were found there", cached.disk_hits),
        "segsam_prefetch_images": ("Images whose slices are being encoded", app.warmer.waiting),
        "segsam_sessions": ("Open sessions", sessions.count if sessions else 0),
        "segsam_sessions_bytes": ("Bytes of the open sessions", sessions.bytes if sessions else 0),
        "segsam_disk_free_bytes": ("Free bytes where labels and uploads go", _free_bytes(app)),
    }


def _health() -> dict[str, Any]:
    app = app_instance()
    free = _free_bytes(app)
    return {
        "live": True,
        "ready": free >= _LEAST_FREE,
        "model": app.task(DEFAULT_MODEL).facts["name"],
        "loaded": app.engine.is_loaded,
        "running": app.gate.running,
        "waiting": app.gate.waiting,
        "disk_free_bytes": free,
        **told_of_saving(app.datastore()),
    }


def _free_bytes(app: Any) -> int:
    """On the fuller of the disks that labels and uploads are written to."""
    folders = [Path(tempfile.gettempdir()), Path(app.datastore()._datastore_path)]
    return min(shutil.disk_usage(folder).free for folder in folders if folder.is_dir())
