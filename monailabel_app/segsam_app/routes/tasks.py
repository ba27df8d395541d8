"""`POST /train/…`, `/batch/infer/…`, `/scoring/…`, `/activelearning/…`: MONAI Label's routes with
their requests read by `orders.py` before anything is started.

A task runs in a process of its own, one at a time for each kind; `enqueue=true` lets one training
wait. `run_sync`, which would run it inside the server, is not offered.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.endpoints import activelearning
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import tasks

from segsam_app.errors import AlreadyRunningError, BusyError, RequestError
from segsam_app.routes.task_requests import (
    BatchOrder,
    NextSampleOrder,
    ScoringOrder,
    TrainOrder,
    check_counts,
    named,
    read_order,
)
from segsam_app.web.replies import plain

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

Params = Annotated[dict[str, Any] | None, Body()]
Kind = Literal["train", "batch_infer", "scoring"]
_ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))
_ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
_starting = threading.Lock()


@router.post("/train/{model}", include_in_schema=False)
def train(
    model: str,
    params: Params = None,
    run_sync: bool = False,
    enqueue: bool = False,
    user: User = _ADMIN,
) -> JSONResponse:
    """Train one model on the labels that annotators saved."""
    order = _train_order(model, params)
    return _told(_started("train", {"model": model, **order}, run_sync=run_sync, enqueue=enqueue))


@router.post("/train/", include_in_schema=False)
def train_all(params: Params = None, run_sync: bool = False, user: User = _ADMIN) -> JSONResponse:
    """Train each model, or each that `params` has a key for."""
    models = list(params or app_instance()._trainers)
    orders = {model: _train_order(model, _inner(model, params)) for model in models}
    return _told(
        {
            model: {
                "result": _started(
                    "train", {"model": model, **order}, run_sync=run_sync, enqueue=True
                ),
                "detail": None,
            }
            for model, order in orders.items()
        }
    )


@router.post("/batch/infer/{model}", include_in_schema=False)
def batch_infer(
    model: str,
    images: Literal["all", "labeled", "unlabeled"] = "all",
    params: Params = None,
    run_sync: bool = False,
    user: User = _ADMIN,
) -> JSONResponse:
    """Segment many images."""
    task = app_instance().task(model)
    order = read_order(BatchOrder, params, task.config())
    if order.get("label_tag") == DefaultLabelTag.FINAL.value:
        raise RequestError("label_tag final is what annotators saved; choose another one")
    request = {"model": model, "images": images, "max_workers": 1, **order}
    return _told(_started("batch_infer", request, run_sync=run_sync))


@router.post("/scoring/{method}", include_in_schema=False)
def score(
    method: str, params: Params = None, run_sync: bool = False, user: User = _ANNOTATOR
) -> JSONResponse:
    """Compare labels."""
    task = named("scoring method", method, app_instance()._scoring_methods)
    order = read_order(ScoringOrder, params, _config(task))
    return _told(_started("scoring", {"method": method, **order}, run_sync=run_sync))


@router.post("/activelearning/{strategy}", include_in_schema=False)
def next_sample(strategy: str, params: Params = None, user: User = _USER) -> JSONResponse:
    """The next image to annotate."""
    task = named("strategy", strategy, app_instance()._strategies)
    order = read_order(NextSampleOrder, params, _config(task))
    sample = activelearning.sample(strategy, order, user.username)
    # MONAI Label's reply has the image's information in it, where `strategy` is another thing.
    return _told({**sample, "strategy": strategy} if sample else {})


def _train_order(model: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
    app = app_instance()
    task = named("trainer", model, app._trainers)
    order = read_order(TrainOrder, params, _config(task))
    check_counts(order, app.limits)
    task.refuse(order, app.datastore())
    return order


def _started(
    kind: Kind, request: dict[str, Any], *, run_sync: bool, enqueue: bool = False
) -> dict[str, Any]:
    if run_sync:
        raise RequestError(
            "run_sync is not offered: the task would stop the server; ask for its status instead"
        )
    with _starting:
        unfinished = [t for t in tasks(kind) if t["status"] in ("SUBMITTED", "RUNNING")]
        if unfinished and not enqueue:
            raise AlreadyRunningError(f"a {kind} task is running; stop it, or wait for its end")
        if len(unfinished) > 1:
            raise BusyError(f"a {kind} task is running and another one waits; try again later")
        started, _ = AsyncTask.run(kind, request=request, enqueue=True)
    return dict(started)


def _inner(model: str, params: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    inner = (params or {}).get(model)
    if inner is not None and not isinstance(inner, dict):
        raise RequestError(f"{model} must be a JSON object of its settings, got {inner!r:.80}")
    return inner


def _config(task: Any) -> Mapping[str, Any]:
    """What a task announces that it can be told."""
    config = task.info().get("config", {})
    return config if isinstance(config, Mapping) else {}


def _told(answer: Any) -> JSONResponse:
    return JSONResponse(jsonable_encoder(plain(answer)))
