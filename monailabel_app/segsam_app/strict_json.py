"""JSON without NaN and Infinity, which many clients refuse to read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from segsam_app.server_paths import without_paths


def json_safe(value: Any) -> Any:
    """Return `value` in the types of JSON: a number that is not finite becomes None, a key text, an
    array a list. Other types are left as they are.
    """
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item) for item in value]
    if isinstance(value, np.generic):
        return json_safe(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the HTTP response with `value` as strict JSON, without paths of this computer."""
    content = without_paths(jsonable_encoder(json_safe(value)))
    return JSONResponse(content, status, headers=headers)
