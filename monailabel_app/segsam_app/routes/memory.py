"""Routes for names that annotators taught in this study.

GET    /memory                               all names, with colour, code and examples
PUT    /memory/{name}    {"image", "prompts"}    the object that the prompts mark has this name
PATCH  /memory/{name}    {"name", "colour", "code"}    rename it, or change its colour or code
DELETE /memory/{name}?case=ID&axis=k&slice=12    the name, or its examples of a case or a slice

`{name}` is the name in any spelling, or its `id` in the list. Names are also learnt when a label is
saved, see `inference/learning.py`. A folder that can only be read refuses changes (507).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from anyio import from_thread
from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance
from starlette.requests import Request

from segsam.errors import CancelledError
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.taught.conflicts import conflicts
from segsam.prediction.taught.examples import TaughtExample, TaughtName
from segsam.types import AxisName
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference import images
from segsam_app.inference.engine import Engine
from segsam_app.inference.requests import ShortText
from segsam_app.inference.teaching import LooksRequest, TeachRequest, examples_of
from segsam_app.routes.fields import FIELDS_ONCE
from segsam_app.routes.roles import Annotator, AnyUser
from segsam_app.storage.store import Store
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.strict_json import checked_json, json_response
from segsam_app.web.deadline import Deadline

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR, dependencies=FIELDS_ONCE)

SESSION = "an open session"
"""Name of the case of an image that is not of the studies."""


class ChangeRequest(LooksRequest):
    """Body of `PATCH /memory/{name}`."""

    name: ShortText | None = None
    """New name."""


@router.get("/memory")
def list_names(user: AnyUser) -> JSONResponse:
    """Return every taught name with its examples and the start that was learnt for the next case
    (`learnt`), names that were given to the same object (`conflicts`), and how many saved labels
    are still to be learnt from (`learning`).
    """
    app, names = app_instance(), _store().names()
    encoder = _encoder()
    return json_response(
        {
            "names": [_to_json(one, encoder) for one in names],
            "conflicts": [one.to_json() for one in conflicts(names)],
            "learning": app.learner.pending,
        }
    )


@router.put("/memory/{name:path}")
def teach_name(
    name: str, params: Annotated[dict[str, Any], Body()], http: Request, *, user: Annotator
) -> JSONResponse:
    """Teach a name by the object that prompts mark in an image: it is segmented as an inference
    does, and its slices become examples of the name.
    """
    app, studies = app_instance(), _studies()
    request = TeachRequest.model_validate(checked_json(params, "params"))
    path, case = _image_of(request)
    deadline = Deadline(
        app.limits.infer_seconds,
        lambda: from_thread.run(http.is_disconnected),
        is_ending=lambda: app.shutdown.has_begun,
    )
    studies.check_writable()
    by = user_name(user) or request.user
    with app.queue.slot(deadline.check):
        try:
            examples = examples_of(
                app.engine,
                path,
                request,
                case=case,
                user=by,
                cancel=deadline.should_stop,
            )
        except CancelledError:
            if deadline.has_passed:
                raise deadline.error() from None
            raise
    taught = studies.taught.teach(name, examples, looks=request.looks, user=by)
    return json_response(_to_json(taught, _encoder()))


@router.patch("/memory/{name:path}")
def change_name(
    name: str, params: Annotated[dict[str, Any], Body()], user: Annotator
) -> JSONResponse:
    """Rename a taught name, or change its colour or code; its examples stay."""
    request = ChangeRequest.model_validate(checked_json(params, "params"))
    changed = _store().change(name, rename=request.name, looks=request.looks, user=user_name(user))
    return json_response(_to_json(changed, _encoder()))


@router.delete("/memory/{name:path}")
def remove_name(
    name: str,
    case: str | None = None,
    axis: AxisName | None = None,
    index: Annotated[int | None, Query(alias="slice", ge=0, le=2**31)] = None,
    *,
    user: Annotator,
) -> JSONResponse:
    """Remove a taught name, or only its examples of a case, an axis or a slice. Earlier records
    stay on disk.
    """
    wanted = {"case": case, "axis": axis, "index": index}
    given = {key: value for key, value in wanted.items() if value is not None}

    def leaves(example: TaughtExample) -> bool:
        return all(getattr(example, key) == value for key, value in given.items())

    removed = _store().remove(name, leaves if given else None, user=user_name(user))
    return json_response({"removed": removed})


def user_name(user: User) -> str:
    """Return the name in MONAI Label's log-in; "" without one."""
    return str(user.username) if settings.MONAI_LABEL_AUTH_ENABLE else ""


def _studies() -> Store:
    studies = app_instance().datastore()
    if not isinstance(studies, Store):
        raise NotFoundError("names are taught for studies in a folder of this computer only")
    return studies


def _store() -> TaughtStore:
    return _studies().taught


def _image_of(request: TeachRequest) -> tuple[Path, str]:
    """Return the file of the image that a request names, and the name of its case."""
    app = app_instance()
    if bool(request.image) == bool(request.session_id):
        raise RequestError("expected one of image and session_id, got both or none of them")
    if request.session_id:
        return images.path_of_session(app.sessions(), request.session_id), SESSION
    return images.path_of_image(app.datastore(), request.image or ""), request.image or ""


def _encoder() -> EncoderRunner | None:
    """Return the model in use with its image encoder; None before it is loaded."""
    engine: Engine = app_instance().engine
    return engine.encoder_of(engine.resolved(None)) if engine.is_loaded else None


def _to_json(name: TaughtName, encoder: EncoderRunner | None) -> dict[str, Any]:
    """Return a name for clients. `usable` is false for an example of another image encoder and for
    what was learnt with another model, and None before the model is loaded.
    """
    learnt = _store().learnt_facts(name)
    return {
        "id": name.id,
        "name": name.name,
        "colour": name.colour_rgb,
        "code": name.snomed,
        "examples": [
            {
                **one.to_json(),
                "from_label": one.from_label,
                "usable": None if encoder is None else one.embedding == encoder.embedding_id,
            }
            for one in name.examples
        ],
        "learnt": None
        if learnt is None
        else {
            **learnt.to_json(),
            "usable": None if encoder is None else learnt.parent == encoder.weights_id,
        },
    }
