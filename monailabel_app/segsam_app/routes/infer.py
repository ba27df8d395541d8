"""Inference routes.

POST /infer/{model}                    MONAI Label's route, with the same parameters; with
                                       output=image, the headers X-Notes and X-Answer hold the
                                       notes, and the names of the values, as JSON
POST /prefetch?image=ID&axis=k&slice=12    the slice that a user views; those around it are encoded
GET  /segsam/progress/{request_id}     progress of a running inference

They are plain functions, so the server runs them in worker threads and answers other requests
meanwhile. The model serves one request at a time (`web/request_queue.py`). A job stops at the next
slice if its client disconnects or its deadline passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import from_thread
from fastapi import APIRouter, BackgroundTasks, File, Form, Query, UploadFile
from fastapi.responses import JSONResponse, Response
from monailabel.config import settings
from monailabel.endpoints.infer import send_response
from monailabel.interfaces.utils.app import app_instance
from starlette.requests import Request

from segsam.errors import CancelledError, VolumeError
from segsam.imaging.readers import read_grid
from segsam.types import AxisChoice
from segsam_app.config import DEFAULT_MODEL
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference import images
from segsam_app.inference.adapted_states import Annotator
from segsam_app.inference.prefetching import View
from segsam_app.inference.requests import Window, window_of
from segsam_app.routes.fields import FIELDS_ONCE
from segsam_app.routes.roles import AnyUser
from segsam_app.strict_json import read_object
from segsam_app.web.deadline import Deadline

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR, dependencies=FIELDS_ONCE)

_MAX_HEADER = 3000
"""Characters in a header. A reverse proxy reads all of them into a page of memory or two."""

Output = Literal["image", "json", "all"]
"""Forms of MONAI Label's reply; its `dicom_seg` is not offered."""


@router.post("/infer/{model}", include_in_schema=False)
def infer(
    background_tasks: BackgroundTasks,
    http: Request,
    *,
    model: str,
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    output: Output | None = None,
    user: AnyUser,
) -> Response:
    """Segment the object that `params` describes (see `inference/dialects.py`) in one image: an id
    of the store, a session or an upload. MONAI Label's client names its own image beside a session
    or an upload: a name that is none of the store counts as none.
    """
    app = app_instance()
    task = app.task(model)
    request = task.read(read_object(params))
    deadline = Deadline(
        app.limits.infer_seconds,
        lambda: from_thread.run(http.is_disconnected),
        is_ending=lambda: app.shutdown.has_begun,
    )
    upload = file
    with ExitStack() as stack:
        if upload is None:
            path = _stored_image(image, session_id)
            if not session_id:
                stack.enter_context(app.refused.noting(image, path))
        else:
            path = stack.enter_context(images.uploaded(upload.file, upload.filename))
        _check_one_image(image, session_id, file)
        requeue = stack.enter_context(app.queue.slot(deadline.check))
        cancel = _preemptible(deadline, requeue) if request.is_preemptible else deadline.should_stop
        annotator = Annotator(user.username, session_id)
        try:
            label_file, reply = app.engine.retry_without_caches(
                lambda: task.segment(
                    path,
                    request,
                    annotator=annotator,
                    temporary=upload is not None,
                    cancel=cancel,
                )
            )
        except CancelledError:
            if deadline.has_passed:
                raise deadline.error() from None
            raise
    return _response(label_file, reply, output, background_tasks)


@router.post("/prefetch", include_in_schema=False)
def prefetch(
    image: str = "",
    session_id: str = "",
    model: str = DEFAULT_MODEL,
    *,
    axis: AxisChoice = "auto",
    index: Annotated[int | None, Query(alias="slice", ge=0, le=2**31)] = None,
    window: Annotated[str, Query(max_length=200)] = "",
    user: AnyUser,
) -> JSONResponse:
    """Encode the slices around `slice` (default: the middle one) across `axis` while no prompt is
    being answered. `window` is a preset's name or low,high. A slice beyond the last one is refused;
    of a series, whose slices are not counted here, it stands for the last one.

    The reply comes at once, with status 202; `accepted` is false if the server does not prefetch.
    Each prompt prefetches around its own slice, so clients can do without this route. An invalid
    image is not reported here, but by its first prompt.
    """
    app = app_instance()
    app.task(model)  # raises if there is none
    path = _stored_image(image, session_id)
    _check_one_image(image, session_id)
    _check_slice(path, axis, index)
    view = View(path, axis, index, _window(window), app.config.models.get(model))
    return JSONResponse({"accepted": app.prefetcher.prefetch_around(view)}, 202)


@router.get("/segsam/progress/{request_id}", include_in_schema=False)
def progress(request_id: str, optional: bool = False, *, user: AnyUser) -> dict[str, Any] | None:
    """Return the progress of the inference that was sent with this `request_id`. If it does not run
    (yet, or any more): 404 or, with `optional`, null.
    """
    try:
        state: dict[str, Any] = app_instance().progress.get(request_id)
    except NotFoundError:
        if not optional:
            raise
        return None
    return state


def _check_one_image(image: str, session_id: str, file: UploadFile | None = None) -> None:
    """Raise `RequestError` if a request names two images, of which one would be dropped."""
    named = [f"session_id={session_id:.80}"] if session_id else []
    if file is not None:
        named.append(f"the file {images.base_name(file.filename)!r:.80}")
    if image and named and image in app_instance().datastore().list_images():
        named.insert(0, f"image={image:.130}")
    if len(named) > 1:
        raise RequestError(f"expected one image, got {' and '.join(named)}; send one of them")


def _check_slice(path: Path, axis: AxisChoice, index: int | None) -> None:
    """Raise `RequestError` for a slice beyond the last one of an image in one file, as far as its
    header tells: without a named axis, along its longest one.
    """
    if index is None or not path.is_file():
        return
    try:
        shape = read_grid(path).shape_ijk
    except VolumeError:
        return  # its first prompt says so
    slices = shape["ijk".index(axis)] if axis in ("i", "j", "k") else max(shape)
    if index >= slices:
        raise RequestError(f"expected a slice from 0 to {slices - 1}, got {index}")


def _stored_image(image: str, session_id: str) -> Path:
    app = app_instance()
    if session_id:
        return images.path_of_session(app.sessions(), session_id)
    return images.path_of_image(app.datastore(), image)


def _preemptible(deadline: Deadline, requeue: Callable[[], None]) -> Callable[[], bool]:
    """Return a check for the library to call before each slice, which first serves the waiting
    requests.
    """

    def should_stop() -> bool:
        if not deadline.should_stop():
            requeue()
        return deadline.should_stop()

    return should_stop


def _window(text: str) -> Window | None:
    low, comma, high = text.partition(",")
    if not comma:
        return window_of(text or None)
    try:
        limits = [float(low), float(high)]
    except ValueError as error:
        raise RequestError(f"window must be a preset's name or low,high, got {text!r}") from error
    return window_of(limits)


def _response(
    label_file: str | None,
    reply: dict[str, Any],
    output: Output | None,
    background_tasks: BackgroundTasks,
) -> Response:
    """Return the response in MONAI Label's form. The label file is deleted after it was sent, or at
    once if it is not sent.
    """
    if label_file is None:
        if output == "image":
            raise RequestError('output=image is a file: ask for "result": "volume"')
        return JSONResponse(reply)
    with ExitStack() as undo:
        undo.callback(Path(label_file).unlink, missing_ok=True)
        result = {"file": label_file, "params": reply}
        response = send_response(None, result, output, background_tasks)
        undo.pop_all()
    if output == "image":  # a file has no other place for them
        response.headers.update(_reply_headers(reply))
    return response if isinstance(response, Response) else JSONResponse(response)


def _reply_headers(reply: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a reply that is a file: as many notes as there is room for, and the
    names of its values with what the model thinks of them, if there is.
    """
    missing = reply.get("not_found", ())
    notes = [*reply.get("notes", ()), *(each["sentence"] for each in missing)]
    while len(json.dumps(notes)) > _MAX_HEADER:
        notes.pop()
    answer = {key: reply[key] for key in ("label_names", "category", "confidence") if key in reply}
    if "certainties" in reply:
        answer["certainties"] = {
            name: round(each["certainty"], 4) for name, each in reply["certainties"].items()
        }
    text = json.dumps(answer)
    found = {"X-Answer": text} if len(text) <= _MAX_HEADER else {}
    return {"X-Notes": json.dumps(notes), **found}
