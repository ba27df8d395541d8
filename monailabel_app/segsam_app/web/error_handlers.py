"""Replies to errors: the one place where an error becomes an HTTP status and
`{"detail": "<sentence>", "code": "<word>"}`.

| situation                                                              | status |
| ---------------------------------------------------------------------- | ------ |
| not JSON, unknown key, wrong type, impossible prompt, unknown category | 400    |
| no token, or a wrong one                                               | 401    |
| unknown image, session, model, strategy; a route that is switched off  | 404    |
| the body took too long to arrive                                       | 408    |
| somebody else saved the label since the client loaded it               | 409    |
| the session has ended by itself                                        | 410    |
| the body, the image, or what its header declares, is too large         | 413    |
| an image or a label would have too much information                    | 413    |
| the image can be read but not be segmented (4D, NaN, sheared, ...)     | 422    |
| a task of this kind is running already                                 | 429    |
| cancelled by the client                                                | 499    |
| a bug                                                                  | 500    |
| not possible on this server                                            | 501    |
| the DICOMweb server refused                                            | 502    |
| queue full, weights that cannot be used, out of memory, PACS away      | 503    |
| too many open files or connections                                     | 503    |
| the deadline has passed; the DICOMweb server did not answer in time    | 504    |
| something cannot be written (disk full, read-only)                     | 507    |

Every 503 has a `Retry-After` header.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

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
from segsam.system.records import sentence_of_findings
from segsam_app.errors import (
    AlreadyRunningError,
    BusyError,
    ConflictError,
    DeadlineExceededError,
    GoneError,
    InfoTooLargeError,
    NotFoundError,
    NothingToLearnError,
    NotPossibleError,
    PacsAwayError,
    PacsError,
    PacsSlowError,
    RequestError,
    is_out_of_memory,
)
from segsam_app.server_paths import without_paths
from segsam_app.strict_json import encodable, json_problem, json_safe
from segsam_app.web.access import Rejection

logger = logging.getLogger(__name__)

STATUS: Mapping[type[Exception], int] = {
    RequestError: 400,
    InfoTooLargeError: 413,
    errors.PromptError: 400,
    errors.CategoryError: 400,
    NotFoundError: 404,
    ConflictError: 409,
    GoneError: 410,
    NothingToLearnError: 422,
    NotPossibleError: 501,
    AlreadyRunningError: 429,
    BusyError: 503,
    DeadlineExceededError: 504,
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
"""HTTP status of each error; a subclass without an entry has the status of its base."""

HANDLED: tuple[type[Exception], ...] = (
    errors.SegSamError,
    MONAILabelException,
    RequestValidationError,
    HTTPException,
    json.JSONDecodeError,
    MemoryError,
    RuntimeError,
    OSError,
    Exception,
)
"""Exceptions for which `error_response` is registered."""

_RETRY_AFTER: Mapping[str, str] = {"Retry-After": "5"}
_CODES = {
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method",
    408: "slow",
    413: "too_large",
}
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOBUFS})
"""No file, process or socket is left: others will end."""
_UNWRITABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
)
_BODY_ERROR = "There was an error parsing the body"
"""FastAPI's sentence for any exception while it receives a body."""


async def error_response(request: Request, error: Exception) -> JSONResponse:
    """Return the reply to a request that ended in `error`. Starlette calls it as an exception
    handler.

    A bug is logged with its traceback, and nothing of the request is.
    """
    status, code, sentence = _explained(error)
    if status == 500:
        route = getattr(request.scope.get("route"), "path", "none")
        # MONAI Label raises HTTPException(500) as a reply: its traceback would show nothing.
        traceback = None if isinstance(error, HTTPException) else error
        logger.error("%s %s: %s", request.method, route, code, exc_info=traceback)
    headers = getattr(error, "headers", None) or (_RETRY_AFTER if status == 503 else None)
    detail = without_paths(encodable(sentence))
    return JSONResponse({"detail": detail, "code": code}, status, headers=headers)


def rejection_response(rejection: Rejection) -> JSONResponse:
    """Return the reply to a request that the middleware rejected."""
    body = {"detail": rejection.sentence, "code": rejection.code}
    return JSONResponse(body, rejection.status, headers=rejection.headers)


def _explained(error: Exception) -> tuple[int, str, str]:
    """Return (status, code, sentence)."""
    if isinstance(error, errors.SegSamError):
        status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
        return status, error.code, str(error)
    if isinstance(error, HTTPException):
        return _explained_http(error)
    if isinstance(error, RequestValidationError):
        return 400, "request", _sentence_of_request(error)
    if isinstance(error, json.JSONDecodeError):
        return 400, "request", f"not JSON: {json_problem(error)}"
    if isinstance(error, MONAILabelException):
        return _explained_monai_label(error)
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return 507, "storage", f"The server cannot write: {error.strerror}; nothing was changed."
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        return 503, "busy", "The server has too many files or connections open; try again later."
    if is_out_of_memory(error):
        return 503, "memory", "The server ran out of memory; try again, or with a smaller image."
    return (
        500,
        "bug",
        f"This is a bug of SEG-SAM or MONAI Label ({type(error).__name__}), not of your request; "
        "the server's log has the details.",
    )


def _sentence_of_request(error: RequestValidationError) -> str:
    found: Sequence[Any] = error.errors()
    if found[0]["type"] == "json_invalid":
        return f"the body is not JSON: it cannot be read from character {found[0]['loc'][-1]} on"
    # The first part is where in the request a field is, the others are its name.
    return sentence_of_findings([{**one, "loc": one["loc"][1:] or ("body",)} for one in found])


def _explained_http(error: HTTPException) -> tuple[int, str, str]:
    if error.detail == _BODY_ERROR and isinstance(error.__cause__, OSError):
        return _explained(error.__cause__)  # such as a full disk, which is no client's fault
    detail: Any = error.detail
    sentence = detail if isinstance(detail, str) else json.dumps(json_safe(detail))
    return error.status_code, _CODES.get(error.status_code, "request"), sentence


def _explained_monai_label(error: MONAILabelException) -> tuple[int, str, str]:
    if isinstance(error, ImageNotFoundException | LabelNotFoundException):
        return 404, "not_found", str(error.msg)
    if error.error == MONAILabelError.INVALID_INPUT:
        return 400, "request", str(error.msg)
    return 500, "bug", str(error.msg)
