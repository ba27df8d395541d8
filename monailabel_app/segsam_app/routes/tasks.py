"""Task routes: `/train/…`, `/batch/infer/…`, `/scoring/…` and `/activelearning/…` of MONAI Label,
with requests that are validated (`task_requests.py`) before anything is started.

A task runs in a process of its own, one at a time of each kind; with `enqueue=true` one training
may wait. `run_sync`, which would run it inside the server, is not offered. `GET /train/` returns
MONAI Label's reply with the progress and the result of the training. Each status looks into the
table of processes first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import tasks

from segsam.errors import SegSamError
from segsam_app.errors import AlreadyRunningError, BusyError, NotFoundError, RequestError
from segsam_app.inference.batch import label_tag_of, require_no_prompts
from segsam_app.routes.fields import FIELDS_ONCE
from segsam_app.routes.roles import Admin, Annotator, AnyUser
from segsam_app.storage.store import Store
from segsam_app.strict_json import json_response
from segsam_app.task_ends import Kind, OnEnd, note_ends, stop_task, unfinished_tasks, watch_ends
from segsam_app.task_record import TaskRecord
from segsam_app.task_requests import (
    BatchInferRequest,
    NextSampleRequest,
    ScoringRequest,
    TrainRequest,
    check_limits,
    find_task,
    read_task_request,
)
from segsam_app.training.progress import ERROR, STOPPED
from segsam_app.training.task import ACCEPTED_KEY

logger = logging.getLogger(__name__)

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR, dependencies=FIELDS_ONCE)

Params = Annotated[dict[str, Any] | None, Body()]

_starting = threading.Lock()
"""Held from the check for running tasks to the start of one."""
NO_IMAGE_CAN_BE_OPENED = (
    "Every image without a label cannot be opened; the reply names some, with the reasons."
)
_INTERRUPTED = {ERROR: "ERROR", STOPPED: "STOPPED"}
"""MONAI Label's status of a training, by ours."""
_RESULTS = ("version", "promoted", "why", "metrics", "notes", "left_out", "evidence")


@router.get("/train/", include_in_schema=False)
def train_status(
    all: bool = False, check_if_running: bool = False, *, user: AnyUser
) -> JSONResponse:
    """Return the last training, or with `all` every training since the start. 404 if there is none
    or, with `check_if_running`, if none runs. Without one since the start, an earlier one that was
    interrupted is returned.
    """
    if all or check_if_running or tasks("train"):
        found = _status("train", all, check_if_running)
        return json_response(found if all else {**found, **_progress(found)})
    return json_response(_interrupted_before() or _status("train", all, check_if_running))


@router.get("/batch/infer", include_in_schema=False)
def batch_infer_status(
    all: bool = False, check_if_running: bool = False, *, user: AnyUser
) -> JSONResponse:
    """Return the last batch inference, as `train_status` does a training."""
    return json_response(_status("batch_infer", all, check_if_running))


@router.get("/scoring/", include_in_schema=False)
def scoring_status(
    all: bool = False, check_if_running: bool = False, *, user: AnyUser
) -> JSONResponse:
    """Return the last scoring, as `train_status` does a training."""
    return json_response(_status("scoring", all, check_if_running))


@router.delete("/train/", include_in_schema=False)
def stop_training(*, user: Admin) -> JSONResponse:
    """Stop the training that runs, and return it; null if none runs."""
    return json_response(stop_task("train"))


@router.delete("/batch/infer", include_in_schema=False)
def stop_batch_infer(*, user: Admin) -> JSONResponse:
    """Stop the batch inference that runs, and return it; null if none runs."""
    return json_response(stop_task("batch_infer"))


@router.delete("/scoring/", include_in_schema=False)
def stop_scoring(*, user: Annotator) -> JSONResponse:
    """Stop the scoring that runs, and return it; null if none runs."""
    return json_response(stop_task("scoring"))


@router.post("/train/{model}", include_in_schema=False)
def train(
    model: str,
    params: Params = None,
    run_sync: bool = False,
    enqueue: bool = False,
    *,
    user: Admin,
) -> JSONResponse:
    """Train one model on the labels that annotators saved."""
    request = _train_request(model, params)
    return json_response(_start("train", request, run_sync=run_sync, enqueue=enqueue))


@router.post("/train/", include_in_schema=False)
def train_all(params: Params = None, run_sync: bool = False, *, user: Admin) -> JSONResponse:
    """Train each model, or each that `params` has a key for."""
    models = list(params or app_instance()._trainers)
    requests = {model: _train_request(model, _params_of(model, params)) for model in models}
    return json_response(
        {
            model: {
                "result": _start("train", request, run_sync=run_sync, enqueue=True),
                "detail": None,
            }
            for model, request in requests.items()
        }
    )


@router.post("/batch/infer/{model}", include_in_schema=False)
def batch_infer(
    model: str,
    images: Literal["all", "labeled", "unlabeled"] = "all",
    params: Params = None,
    run_sync: bool = False,
    *,
    user: Admin,
) -> JSONResponse:
    """Segment many images with a model that needs no prompts, unless their labels cannot be
    saved.
    """
    app = app_instance()
    task, store = app.task(model), app.datastore()
    request = read_task_request(BatchInferRequest, params, task.config())
    label_tag_of(request)  # raises for the tag of annotators' labels
    if isinstance(store, Store):
        store.check_writable()
    require_no_prompts(model, app._infers)
    request = {"model": model, "images": images, "max_workers": 1, **request}
    return json_response(_start("batch_infer", request, run_sync=run_sync))


@router.post("/scoring/", include_in_schema=False)
def score_all(params: Params = None, run_sync: bool = False, *, user: Annotator) -> JSONResponse:
    """Start each scoring method, with the settings that `params` has under its name."""
    methods = app_instance()._scoring_methods
    for method in params or {}:
        find_task("scoring method", method, methods)
    requests = {
        name: read_task_request(ScoringRequest, _params_of(name, params), _config(task))
        for name, task in methods.items()
    }
    return json_response(
        {
            name: {
                "result": _start("scoring", {"method": name, **request}, run_sync=run_sync),
                "detail": None,
            }
            for name, request in requests.items()
        }
    )


@router.post("/scoring/{method}", include_in_schema=False)
def score(
    method: str, params: Params = None, run_sync: bool = False, *, user: Annotator
) -> JSONResponse:
    """Start a scoring method."""
    task = find_task("scoring method", method, app_instance()._scoring_methods)
    request = read_task_request(ScoringRequest, params, _config(task))
    return json_response(_start("scoring", {"method": method, **request}, run_sync=run_sync))


@router.post("/activelearning/{strategy}", include_in_schema=False)
def next_sample(strategy: str, params: Params = None, *, user: AnyUser) -> JSONResponse:
    """Return the next image to annotate, with the notes about it, and the images that are passed
    over because they cannot be opened.
    """
    task = find_task("strategy", strategy, app_instance()._strategies)
    request = read_task_request(NextSampleRequest, params, _config(task))
    app = app_instance()
    chosen = app.next_sample({"strategy": strategy, **request})
    refused = app.refused.report()
    if not chosen:
        return json_response({"why": NO_IMAGE_CAN_BE_OPENED, **refused} if refused else {})
    store = app.datastore()
    known = store.get_image_info(chosen["id"])
    given = known.get("strategy")
    given = given if isinstance(given, dict) else {}
    given[strategy] = {"ts": int(time.time()), "client_id": user.username}
    try:
        store.update_image_info(chosen["id"], {"strategy": given})
    except SegSamError as error:  # the image is shown all the same
        logger.warning("who was given an image was not noted: %s", error)
    # As in MONAI Label the image's information is part of the reply; it replaces nothing of it.
    # Where the file is on this computer, is of no use to a client.
    sample = {key: value for key, value in {**known, **chosen}.items() if key != "path"}
    return json_response({**sample, "strategy": strategy, **refused})


def _train_request(model: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
    app = app_instance()
    task = find_task("trainer", model, app._trainers)
    request = read_task_request(TrainRequest, params, _config(task))
    check_limits(request, app.limits)
    task.refuse(request, app.datastore())
    return {"model": model, **request}


def _start(
    kind: Kind, request: dict[str, Any], *, run_sync: bool, enqueue: bool = False
) -> dict[str, Any]:
    if run_sync:
        raise RequestError(
            "run_sync is not offered: the task would block the server; ask for its status instead"
        )
    with _starting:
        unfinished = unfinished_tasks(kind)
        if unfinished and not enqueue:
            raise AlreadyRunningError(f"a {kind} task is running; stop it, or wait for its end")
        if len(unfinished) > 1:
            raise BusyError(f"a {kind} task is running and another one waits; try again later")
        if kind == "train":
            trainer = app_instance()._trainers[request["model"]]
            watch_ends(kind, _note_end, lambda task: _trainer_of(task).what_remains(task))
            request = {**request, ACCEPTED_KEY: trainer.accept()}
        else:
            record = _record()
            watch_ends(kind, _noting_ends(record, kind))
            record.note_accepted(kind, request)
        started, _ = AsyncTask.run(kind, request=request, enqueue=True)
    return dict(started)


def _note_end(task: Mapping[str, Any], pid: int, is_stopped: bool, sentence: str) -> None:
    """Let a training's progress say why its process ended, which cannot say it itself any more."""
    if sentence:
        _trainer_of(task).note_end(task, pid, STOPPED if is_stopped else ERROR, sentence)


def _noting_ends(record: TaskRecord, kind: Kind) -> OnEnd:
    """Return what lets the record say how a batch inference or a scoring ended."""

    def note(task: Mapping[str, Any], pid: int, is_stopped: bool, why: str) -> None:
        del pid
        record.note_end(kind, task["request"], "STOPPED" if is_stopped else "ERROR", why)

    return note


def _record() -> TaskRecord:
    return TaskRecord(app_instance().versions.folder)


def _trainer_of(task: Mapping[str, Any]) -> Any:
    return app_instance()._trainers[task["request"]["model"]]


def _status(kind: Kind, all: bool, check_if_running: bool) -> Any:
    """Return MONAI Label's status of a kind of task. Raises `NotFoundError` if there is none."""
    note_ends(kind)
    found, sentence = AsyncTask.status(kind, all, check_if_running)
    if found is None and kind != "train" and not (all or check_if_running):
        found = _record().interrupted(kind)
    if found is None:
        raise NotFoundError(sentence)
    return found


def _interrupted_before() -> dict[str, Any]:
    """Return the last training, of an earlier start of the server, if it was interrupted or failed;
    else {}.
    """
    for model, trainer in app_instance()._trainers.items():
        stats = trainer.stats()
        if stats.get("status") in _INTERRUPTED:
            return {
                "status": _INTERRUPTED[stats["status"]],
                "request": {"model": model},
                **_parts(stats),
            }
    return {}


def _progress(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the progress and the result that the process of a training wrote; nothing before it is
    there, and nothing of an earlier training.
    """
    stats = _trainer_of(task).stats()
    is_of_it = stats.get(ACCEPTED_KEY) == task["request"].get(ACCEPTED_KEY)
    return _parts(stats) if is_of_it and "pid" in stats else {}


def _parts(stats: Mapping[str, Any]) -> dict[str, Any]:
    progress = {key: stats[key] for key in stats if key not in _RESULTS}
    return {"progress": progress, **{key: stats[key] for key in _RESULTS if key in stats}}


def _params_of(model: str, params: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    own = (params or {}).get(model)
    if own is not None and not isinstance(own, dict):
        raise RequestError(f"{model} must be a JSON object of its settings, got {own!r:.80}")
    return own


def _config(task: Any) -> Mapping[str, Any]:
    """Return the settings that a task announces."""
    config = task.info().get("config", {})
    return config if isinstance(config, Mapping) else {}
