"""Fields of a request, each of which may come once: of two, one would be dropped without a word.

A request that removes something has no other fields than its route knows: a misspelt one would
widen what is removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fastapi import Depends, Request

from segsam_app.errors import RequestError

_LISTS = frozenset({"files"})
"""Fields that are lists of uploads."""
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


async def refuse_repeated(request: Request) -> None:
    """Raise `RequestError` if a field of the query or of the form comes twice, or if one that
    removes something is unknown.
    """
    if request.method == "DELETE":
        _refuse_unknown(request)
    _refuse(key for key, _ in request.query_params.multi_items())
    if request.headers.get("content-type", "").lower().startswith(_FORMS):
        form = await request.form()  # FastAPI has read it for the route's own fields
        _refuse(key for key, _ in form.multi_items())


def _refuse_unknown(request: Request) -> None:
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    unknown = [key for key in request.query_params if key not in known]
    if known and unknown:
        raise RequestError(f"expected one of {', '.join(known)}, got {unknown[0]!r:.80}")


def _refuse(keys: Iterable[str]) -> None:
    for key, count in Counter(keys).items():
        if count > 1 and key not in _LISTS:
            raise RequestError(f"expected {key!r:.80} once, got it {count} times")


FIELDS_ONCE = [Depends(refuse_repeated)]
"""Dependencies of a router whose requests have each field once."""
