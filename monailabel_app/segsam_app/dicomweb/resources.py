"""Requests of a viewer for DICOM, as paths and queries: an allow-list.

A path is taken apart, each part is checked, and the path that is sent on is composed of the parts.
So nothing that a client writes reaches the server unchecked, however it is encoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.datadict import tag_for_keyword

from segsam_app.dicomweb.series import is_uid
from segsam_app.dicomweb.source import Resource, ResourceKind
from segsam_app.errors import NotFoundError, RequestError

_LEVELS = ("studies", "series", "instances")
_PARTS = {
    kind.value: kind
    for kind in (ResourceKind.METADATA, ResourceKind.RENDERED, ResourceKind.THUMBNAIL)
}
_FRAMES = re.compile(r"[1-9][0-9]{0,5}(,[1-9][0-9]{0,5}){0,999}")
_BULK = ("bulk", "bulkdata")
_BULK_PART = re.compile(r"[0-9A-Fa-f]{8}|[0-9]{1,6}")
"""A tag, or the number of an item in a sequence."""
_TAGS = re.compile(r"[0-9A-Fa-f]{8}(\.[0-9A-Fa-f]{8}){0,4}")
_SEARCH_NAMES = frozenset({"limit", "offset", "fuzzymatching", "includefield"})
_RETRIEVE_NAMES = frozenset(
    {"accept", "charset", "quality", "viewport", "window", "annotation", "iccprofile"}
)
_MAX_PATH = 2000
_MAX_ITEMS = 40
_MAX_VALUE = 1000
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ufffd]*")
"""Without the character that stands for bytes that are no UTF-8, which is another value."""
_ACCEPT = re.compile(r"[\x20-\x7e]{0,1000}")


def read_resource(path: str, query: Sequence[tuple[str, str]], accept: str) -> Resource:
    """Return the validated request. `path` is what follows the root of the service, decoded.

    Raises `NotFoundError` for a path that is not offered, `RequestError` for an invalid query.
    """
    parts = path.split("/") if len(path) <= _MAX_PATH else []
    uids: list[str] = []
    for level in _LEVELS:
        if len(parts) < 2 or parts[0] != level or not is_uid(parts[1]):
            break
        uids.append(parts[1])
        parts = parts[2:]
    kind = _kind(len(uids), parts)
    if kind is None:
        raise NotFoundError(
            "expected the path of a DICOMweb search or retrieval, such as studies/UID/series, got "
            f"{path!r:.120}"
        )
    names = [*zip(_LEVELS, uids, strict=False)]
    study, series, instance = (*uids, None, None, None)[:3]
    frames = parts[1].split(",") if parts[:1] == ["frames"] else []
    return Resource(
        kind,
        "/".join([*(part for name in names for part in name), *parts]),
        study,
        series,
        instance,
        tuple(map(int, frames)),
        _checked_query(query, kind),
        accept if _ACCEPT.fullmatch(accept) else "",
    )


def _kind(depth: int, parts: Sequence[str]) -> ResourceKind | None:
    """Return what the parts after `depth` UIDs stand for; None if they are not offered."""
    if not parts:
        return ResourceKind.RETRIEVE if depth else None
    first, *rest = parts
    if first == "frames" and depth == len(_LEVELS) and rest and _FRAMES.fullmatch(rest[0]):
        return ResourceKind.FRAMES if len(rest) == 1 else _shown(rest[1:])
    if first in _BULK and depth and 0 < len(rest) <= 8 and all(map(_BULK_PART.fullmatch, rest)):
        return ResourceKind.BULK_DATA
    if rest:
        return None
    if first in _LEVELS[depth:]:
        return ResourceKind(first)
    return _PARTS.get(first) if depth else None


def _shown(parts: Sequence[str]) -> ResourceKind | None:
    """Return the kind of frames that the server draws."""
    is_shown = len(parts) == 1 and parts[0] != ResourceKind.METADATA.value
    return _PARTS.get(parts[0]) if is_shown else None


def _checked_query(
    query: Sequence[tuple[str, str]], kind: ResourceKind
) -> tuple[tuple[str, str], ...]:
    """Return the query of a request. Raises `RequestError`."""
    if len(query) > _MAX_ITEMS:
        raise RequestError(f"expected at most {_MAX_ITEMS} parts of a query, got {len(query)}")
    for name, value in query:
        known = _is_attribute(name) if kind.is_search else name in _RETRIEVE_NAMES
        if not known:
            raise RequestError(f"expected a query that DICOMweb knows, got the name {name!r:.80}")
        if len(value) > _MAX_VALUE or not _TEXT.fullmatch(value):
            raise RequestError(
                f"expected {name} to be one line of at most {_MAX_VALUE} characters, got "
                f"{value!r:.80}"
            )
        if name in ("limit", "offset") and not re.fullmatch(r"[0-9]{1,9}", value):
            raise RequestError(f"expected {name} to be 0 to 999,999,999, got {value!r:.80}")
    return tuple(query)


def _is_attribute(name: str) -> bool:
    """Return True for a name in a search: a keyword or tag of DICOM, or one of DICOMweb's own."""
    keywords = name.split(".") if len(name) <= _MAX_VALUE else []
    return (
        name in _SEARCH_NAMES
        or _TAGS.fullmatch(name) is not None
        or (all(keywords) and bool(keywords) and all(map(tag_for_keyword, keywords)))
    )
