"""`POST /infer/{model}`: MONAI Label's route, parameter for parameter, with its traps closed (see
`guard.py`).

It is a plain function, so the server runs it in a worker thread: other requests are answered
meanwhile. The model serves one request at a time (`gate.py`); a client that hangs up, or the end of
its time, stops a job at the next slice.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from anyio import from_thread
from fastapi import APIRouter, BackgroundTasks, Depends, File, Form, UploadFile
from fastapi.responses import JSONResponse, Response
from monailabel.config import settings
from monailabel.endpoints.infer import send_response
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from starlette.requests import Request

from segsam.errors import CancelledError
from segsam_app.errors import RequestError
from segsam_app.inference import images
from segsam_app.inference.requests import read_object
from segsam_app.web.deadline import Deadline
from segsam_app.web.memory import with_room

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

Output = Literal["image", "json", "all", "dicom_seg"]
_FILE = File(None)
_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))


@router.post("/infer/{model}", include_in_schema=False)
def infer(
    background_tasks: BackgroundTasks,
    http: Request,
    *,
    model: str,
    image: str = "",
    session_id: str = "",
    params: str = Form("{}"),
    file: UploadFile | None = _FILE,
    output: Output | None = None,
    user: User = _USER,
) -> Response:
    """Segment what `params` (see `requests.py`) asks for; a session wins over an upload, an upload
    over an id.
    """
    app = app_instance()
    task = app.task(model)
    request = task.read(read_object(params))
    patience = Deadline(
        app.limits.infer_seconds, is_gone=lambda: from_thread.run(http.is_disconnected)
    )
    with ExitStack() as held:
        if session_id:
            path = images.path_of_session(app.sessions(), session_id)
        elif file is not None:
            path = held.enter_context(images.uploaded(file.file, file.filename))
        else:
            path = images.path_of_image(app.datastore(), image)
        step_aside = held.enter_context(app.gate.turn(patience.check))

        def cancel() -> bool:
            if task.gives_way and not patience.ended():
                step_aside()
            return patience.ended()

        keep = bool(session_id) or file is None
        try:
            label_file, reply = with_room(
                lambda: task.segment(path, request, keep=keep, cancel=cancel),
                app.engine.make_room,
            )
        except CancelledError:
            if patience.is_over:
                raise patience.too_late() from None
            raise
    return _delivered(label_file, reply, output, background_tasks)


def _delivered(
    label_file: str | None,
    reply: dict[str, Any],
    output: Output | None,
    background_tasks: BackgroundTasks,
) -> Response:
    """The reply as MONAI Label sends it; the label file is gone afterwards, whatever happens."""
    if label_file is None:
        if output in ("image", "dicom_seg"):
            raise RequestError(f'output={output} is a file: ask for "result": "volume"')
        return JSONResponse(reply)
    with ExitStack() as undo:
        undo.callback(Path(label_file).unlink, missing_ok=True)
        if output == "dicom_seg":
            raise RequestError("output=dicom_seg is not offered; ask for image, json or all")
        result = {"file": label_file, "params": reply}
        response = send_response(None, result, output, background_tasks)
        undo.pop_all()
    return response if isinstance(response, Response) else JSONResponse(response)
