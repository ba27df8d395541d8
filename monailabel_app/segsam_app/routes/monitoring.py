"""Monitoring routes: `GET /segsam/health` and `GET /metrics`.

Both only read counters, so they run on the event loop itself and answer even if every worker thread
is busy.
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

from segsam_app.check_files import damaged_task_files
from segsam_app.config import DEFAULT_MODEL
from segsam_app.routes.dicomweb import upload_status
from segsam_app.storage.store import Store
from segsam_app.strict_json import json_response
from segsam_app.web.metrics import CONTENT_TYPE, Metrics

_MIN_FREE_BYTES = 256 << 20
_MAX_DAMAGED = 100


def monitoring_routes(metrics: Metrics) -> APIRouter:
    """Return a router with the two routes, for the metrics of one server."""
    router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)
    metrics.add_gauges(gauges)

    @router.get("/segsam/health", include_in_schema=False)
    async def health() -> JSONResponse:
        """Return 200 if the server can work, 503 if the disk is full."""
        status = _health()
        return json_response(status, 200 if status["ready"] else 503)

    @router.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router


def gauges() -> Mapping[str, tuple[str, float]]:
    """Return the current values: name -> (description, value)."""
    app = app_instance()
    cached, sessions = app.engine.cached, app.sessions()
    return {
        "segsam_queue_running": ("Requests that have the model", app.queue.running),
        "segsam_queue_waiting": ("Requests that wait for the model", app.queue.waiting),
        "segsam_embeddings_entries": ("Slices whose embeddings are kept", cached.entries),
        "segsam_embeddings_bytes": ("Bytes of the kept embeddings", cached.bytes),
        "segsam_embeddings_limit_bytes": ("Bytes that may be kept", cached.limit_bytes),
        "segsam_embeddings_hits": ("Slices that were found there", cached.hits),
        "segsam_embeddings_misses": ("Slices that had to be encoded", cached.misses),
        "segsam_embeddings_ahead": ("Slices that were encoded before their use", cached.prefetched),
        "segsam_embeddings_disk_bytes": ("Bytes of embeddings on disk", cached.disk_bytes),
        "segsam_embeddings_disk_limit_bytes": ("Bytes that may be there", cached.disk_limit_bytes),
        "segsam_embeddings_disk_hits": ("Slices that were found there", cached.disk_hits),
        "segsam_prefetch_images": (
            "Images whose slices are being encoded",
            app.prefetcher.pending,
        ),
        "segsam_sessions": ("Open sessions", sessions.count if sessions else 0),
        "segsam_sessions_bytes": ("Bytes of the open sessions", sessions.bytes if sessions else 0),
        "segsam_disk_free_bytes": ("Free bytes where labels and uploads go", _free_bytes(app)),
    }


def _health() -> dict[str, Any]:
    app = app_instance()
    free = _free_bytes(app)
    return {
        "live": True,
        "ready": free >= _MIN_FREE_BYTES,
        "model": app.task(DEFAULT_MODEL).checkpoint_info["name"],
        "loaded": app.engine.is_loaded,
        "running": app.queue.running,
        "waiting": app.queue.waiting,
        "disk_free_bytes": free,
        "damaged": _damaged(app),
        **app.refused.report(),
        **upload_status(app.datastore()),
    }


def _damaged(app: Any) -> dict[str, str]:
    """Return the damaged files that are known, by name, with what is wrong; nothing is searched."""
    store, versions = app.datastore(), app.versions
    found = dict(store.damage.listed()) if isinstance(store, Store) else {}
    found |= {f"versions/{name}": why for name, why in versions.damaged.items()}
    found |= {f"drafts/{name}": why for name, why in app.drafts.damage.listed().items()}
    for name, why in damaged_task_files(versions.folder).items():
        found[f"versions/{name}"] = why
    return dict(list(found.items())[:_MAX_DAMAGED])


def _free_bytes(app: Any) -> int:
    """Return the free bytes of the fuller one of the disks of labels and uploads."""
    folders = [Path(tempfile.gettempdir()), Path(app.datastore()._datastore_path)]
    return min(shutil.disk_usage(folder).free for folder in folders if folder.is_dir())
