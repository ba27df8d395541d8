"""The one place where an error becomes an HTTP status: `{"detail": "<sentence>", "code":
"<word>"}`.

| situation                                                              | status |
| ---------------------------------------------------------------------- | ------ |
| not JSON, unknown key, wrong type, impossible prompt, unknown category | 400    |
| no token, or another one                                               | 401    |
| unknown image, session, model, strategy; a route that is switched off  | 404    |
| the body took too long to come in                                      | 408    |
| the label was saved by somebody else since it was loaded               | 409    |
| the session has ended by itself                                        | 410    |
| the body, the image, or what its header declares, is too large         | 413    |
| the image can be read but not be segmented (4D, NaN, sheared, ...)     | 422    |
| such a task is running already                                         | 429    |
| cancelled by the client                                                | 499    |
| a bug                                                                  | 500    |
| all places taken, weights that cannot be used, memory ran out          | 503    |
| the answer would have come too late                                    | 504    |
| something cannot be written (disk full, read-only)                     | 507    |

Every 503 says with `Retry-After` when to ask again.
"""

from __future__ import annotations

import errno
import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)
from starlette.exceptions import HTTPException
from starlette.requests import Request

from segsam import errors
from segsam_app.errors import (
    RETRY,
    AlreadyRunningError,
    BusyError,
    ConflictError,
    GoneError,
    NotFoundError,
    NothingToLearnError,
    OverTimeError,
    PacsAwayError,
    PacsError,
    PacsSlowError,
    RequestError,
    TooLargeError,
)
from segsam_app.web.access import Refusal
from segsam_app.web.memory import is_out_of_memory

logger = logging.getLogger(__name__)

STATUS: Mapping[type[Exception], int] = {
    RequestError: 400,
    errors.PromptError: 400,
    errors.CategoryError: 400,
    NotFoundError: 404,
    ConflictError: 409,
    GoneError: 410,
    TooLargeError: 413,
    NothingToLearnError: 422,
    AlreadyRunningError: 429,
    BusyError: 503,
    OverTimeError: 504,
    PacsError: 502,
    PacsAwayError: 503,
    PacsSlowError: 504,
    errors.VolumeNotFoundError: 404,
    errors.VolumeTooLargeError: 413,
    errors.VolumeError: 422,
    errors.CancelledError: 499,
    errors.CheckpointError: 503,
    errors.RuntimeChoiceError: 503,
    errors.OutputError: 507,
}
_CODES = {
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method",
    408: "slow",
    413: "too_large",
}
_UNWRITABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
)
_BODY = "There was an error parsing the body"
"""FastAPI's words for whatever happened while it received one."""


async def answer(request: Request, error: Exception) -> JSONResponse:
    """The reply to a request that ended in `error`; Starlette calls it as an exception handler.

    Nothing of the request goes into the log; of a bug, its traceback does.
    """
    status, code, sentence = _explained(error)
    if status == 500:
        route = getattr(request.scope.get("route"), "path", "none")
        logger.error("%s %s: %s", request.method, route, code, exc_info=_not_delivered(error))
    headers = getattr(error, "headers", None) or (RETRY if status == 503 else None)
    return JSONResponse({"detail": sentence, "code": code}, status, headers=headers)


def refused(refusal: Refusal) -> JSONResponse:
    """The reply to a request that was refused at the door."""
    body = {"detail": refusal.sentence, "code": refusal.code}
    return JSONResponse(body, refusal.status, headers=refusal.headers)


HANDLED: tuple[type[Exception], ...] = (
    errors.SegSamError,
    MONAILabelException,
    RequestValidationError,
    HTTPException,
    json.JSONDecodeError,
    torch.OutOfMemoryError,
    MemoryError,
    RuntimeError,
    OSError,
    Exception,
)
"""What `answer` is registered for."""


def plain(value: Any) -> Any:
    """`value` as strict JSON can hold it: numbers that are not finite become None, keys text,
    arrays lists.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _explained(error: Exception) -> tuple[int, str, str]:
    """(status, code, sentence)."""
    if isinstance(error, errors.SegSamError):
        found = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
        return found, error.code, str(error)
    if isinstance(error, HTTPException):
        if error.detail == _BODY and isinstance(error.__cause__, OSError):
            return _explained(error.__cause__)
        return error.status_code, _CODES.get(error.status_code, "request"), _text(error.detail)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        return 400, "request", f"{name}: {first['msg'].lower()}"
    if isinstance(error, json.JSONDecodeError):
        return 400, "request", f"not JSON: {error.msg} at character {error.pos}"
    if isinstance(error, MONAILabelException):
        return _of_monai_label(error)
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return 507, "storage", f"The server cannot write: {error.strerror}; nothing was changed."
    if is_out_of_memory(error):
        return 503, "memory", "The server ran out of memory; try again, or with a smaller image."
    return (
        500,
        "bug",
        f"This is a bug of SEG-SAM or MONAI Label ({type(error).__name__}), not of your request; "
        "the server's log has the details.",
    )


def _of_monai_label(error: MONAILabelException) -> tuple[int, str, str]:
    if isinstance(error, ImageNotFoundException | LabelNotFoundException):
        return 404, "not_found", str(error.msg)
    if error.error == MONAILabelError.INVALID_INPUT:
        return 400, "request", str(error.msg)
    return 500, "bug", str(error.msg)


def _not_delivered(error: Exception) -> Exception | None:
    """The traceback to log: none for what MONAI Label itself raised as a reply."""
    return None if isinstance(error, HTTPException) else error


def _text(detail: Any) -> str:
    return detail if isinstance(detail, str) else json.dumps(plain(detail))
