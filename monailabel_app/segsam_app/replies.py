"""The one place where an error becomes an HTTP status: `{"detail": "<sentence>", "code":
"<word>"}`.

| situation                                                              | status |
| ---------------------------------------------------------------------- | ------ |
| not JSON, unknown key, wrong type, impossible prompt, unknown category | 400    |
| unknown image, session, model, strategy                                | 404    |
| the image, or what its header declares, is too large                   | 413    |
| the image can be read but not be segmented (4D, NaN, sheared, ...)     | 422    |
| cancelled by the client                                                | 499    |
| a bug                                                                  | 500    |
| the weights cannot be used, or memory ran out                          | 503    |
| the result cannot be written (disk full)                               | 507    |
"""

from __future__ import annotations

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

from .errors import NotFoundError, RequestError

logger = logging.getLogger(__name__)

STATUS: Mapping[type[Exception], int] = {
    RequestError: 400,
    errors.PromptError: 400,
    errors.CategoryError: 400,
    NotFoundError: 404,
    errors.VolumeNotFoundError: 404,
    errors.VolumeTooLargeError: 413,
    errors.VolumeError: 422,
    errors.CancelledError: 499,
    errors.CheckpointError: 503,
    errors.OutputError: 507,
}
_CODES = {401: "unauthorised", 403: "forbidden", 404: "not_found", 405: "method", 413: "too_large"}


async def answer(request: Request, error: Exception) -> JSONResponse:
    """The reply to a request that ended in `error`; Starlette calls it as an exception handler."""
    status, code, sentence = _explained(error)
    if status == 500:
        logger.error(
            "%s %s: %s", request.method, request.url.path, code, exc_info=_not_delivered(error)
        )
    else:
        logger.info("%s %s: %d, %s", request.method, request.url.path, status, sentence)
    headers = getattr(error, "headers", None)
    return JSONResponse({"detail": sentence, "code": code}, status, headers=headers)


HANDLED: tuple[type[Exception], ...] = (
    errors.SegSamError,
    MONAILabelException,
    RequestValidationError,
    HTTPException,
    json.JSONDecodeError,
    torch.OutOfMemoryError,
    MemoryError,
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
        return error.status_code, _CODES.get(error.status_code, "request"), _text(error.detail)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        return 400, "request", f"{name}: {first['msg'].lower()}"
    if isinstance(error, json.JSONDecodeError):
        return 400, "request", f"not JSON: {error.msg} at character {error.pos}"
    if isinstance(error, MONAILabelException):
        return _of_monai_label(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
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
