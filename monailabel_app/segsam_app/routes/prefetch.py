"""`POST /prefetch?image=ID&axis=k&slice=12`: a client tells which slice its user has scrolled to.

The slices around it are then encoded while nothing else is to do. A click tells the same by itself,
so no client has to ask. The answer comes at once, 202, and says only whether anything will be done:
what is wrong with an image is told to its first click.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from segsam.types import AxisChoice
from segsam_app.config import DEFAULT_MODEL
from segsam_app.errors import RequestError
from segsam_app.inference import images
from segsam_app.inference.requests import Window, window_of
from segsam_app.inference.warmup import View

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)
_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))


@router.post("/prefetch", include_in_schema=False)
def prefetch(
    image: str = "",
    session_id: str = "",
    model: str = DEFAULT_MODEL,
    *,
    axis: AxisChoice = "auto",
    index: Annotated[int | None, Query(alias="slice", ge=0, le=2**31)] = None,
    window: Annotated[str, Query(max_length=200)] = "",
    user: User = _USER,
) -> JSONResponse:
    """Somebody looks at `slice` (default: the middle one) across `axis`; `window` is that of
    `POST /infer`, a preset's name or low,high. A slice beyond the last one means the last one.
    """
    app = app_instance()
    app.task(model)  # refused when there is none
    if session_id:
        path = images.path_of_session(app.sessions(), session_id)
    else:
        path = images.path_of_image(app.datastore(), image)
    view = View(path, axis, index, _window(window), app.config.models.get(model))
    return JSONResponse({"accepted": app.warmer.look(view)}, 202)


def _window(text: str) -> Window | None:
    low, comma, high = text.partition(",")
    if not comma:
        return window_of(text or None)
    try:
        ends = [float(low), float(high)]
    except ValueError as error:
        raise RequestError(f"window must be a preset's name or low,high, got {text!r}") from error
    return window_of(ends)
