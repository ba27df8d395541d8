"""Which of the two dialects a request speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segsam_app.errors import RequestError
from segsam_app.inference.requests import OurRequest, Request, validated
from segsam_app.inference.stock import StockRequest

_OURS = "prompts"
_STOCK = ("foreground", "background", "roi")


def read_request(params: Mapping[str, Any]) -> Request:
    """The request that `params` states. Raises `RequestError` for an unknown key, a wrong type or
    a mixture.
    """
    if _OURS not in params:
        return validated(StockRequest, params)
    mixed = [key for key in _STOCK if key in params]
    if mixed:
        raise RequestError(f"{_OURS} and {mixed[0]} are of two dialects; send one of them")
    return validated(OurRequest, params)
