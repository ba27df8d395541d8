"""Metadata that clients send with a label or an image: user, expected version, and their own keys.

The names among them are read in `label_names`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from segsam.system.checked_json import is_near
from segsam_app.errors import InfoTooLargeError, RequestError
from segsam_app.storage.label_names import NAMES_NOTE, SOURCE_NOTE, is_number
from segsam_app.storage.label_record import IMAGE_SHA256, RECORD_CHECKSUM
from segsam_app.strict_json import checked_json, json_safe

_MAX_USER_LENGTH = 200
_MAX_BYTES = 1 << 18
DIGEST = "sha256-"
"""Beginning of what identifies a label that is no version; its SHA-256 follows."""
ANY_VERSION = "*"
"""In the place of a version: there must be a label, whichever."""
_DIGEST = re.compile(DIGEST + r"[0-9a-f]{64}")
GRID_NOTE = "grid_note"
"""Key of a label's metadata that says that its image has another grid now."""
IMAGE_NOTE = "image_note"
"""Key of a label's metadata that says that its image has another content of the same grid now."""
_RESERVED = (
    *(GRID_NOTE, IMAGE_NOTE, SOURCE_NOTE, IMAGE_SHA256),
    *("expected_version", "version", "names", "sha256", "kind", "ts", "name", NAMES_NOTE),
    RECORD_CHECKSUM,
)
"""Keys that only the store writes; a client's values for them are dropped."""

IMAGE_RESERVED = frozenset({"id", "name", "notes", "path", "score", "strategy", "ts", "why"})
"""Keys of an image's metadata, and of the reply that chooses it, that only the server writes."""


@dataclass(frozen=True)
class LabelMetadata:
    """Metadata of one label.

    `expected` is the version that the annotator began from: 0 for no label, `DIGEST` and a SHA-256
    for one that was no version, `ANY_VERSION`, None if unknown.
    """

    info: dict[str, Any]
    user: str
    expected: int | str | None

    @classmethod
    def read(cls, info: object) -> LabelMetadata:
        """Read the `params` that MONAI Label's clients send. Raises `RequestError`."""
        fields = checked_info(info)
        expected = fields.get("expected_version")
        if expected not in (None, ANY_VERSION) and not (
            is_number(expected) or _is_digest(expected)
        ):
            raise RequestError(
                f"expected_version must be the number of a version from 0, got {expected!r:.40}"
            )
        user = next((fields[key] for key in ("user", "client_id") if fields.get(key)), "")
        kept = {key: value for key, value in fields.items() if not _is_reserved(key)}
        return cls(kept, _one_line(str(user)), expected)


def checked_info(info: object) -> dict[str, Any]:
    """Return a client's metadata of an image or a label as strict JSON. Raises `RequestError`."""
    if info is None:
        return {}
    if not isinstance(info, Mapping):
        raise RequestError(f"information must be a JSON object {{key: value}}, got {info!r:.80}")
    text = json.dumps(json_safe(info), default=str)
    if len(text) > _MAX_BYTES:
        raise RequestError(
            f"information must have at most {_MAX_BYTES} bytes of JSON, got {len(text)}"
        )
    return dict(checked_json(json.loads(text), "information"))


def checked_image_info(info: Mapping[str, Any], strategies: Iterable[str] = ()) -> dict[str, Any]:
    """Return a client's metadata of an image. Raises `RequestError` for a key that only the server
    writes or that is the name of one of the `strategies`, and as `checked_info` does.
    """
    reserved = sorted(IMAGE_RESERVED.union(strategies))
    taken = [key for key in reserved if key in info]
    if taken:
        raise RequestError(
            f"the information about an image has the key {taken[0]!r}, which the server writes; "
            f"expected none of {', '.join(reserved)}"
        )
    return checked_info(info)


def with_added(
    known: Mapping[str, Any], fields: Mapping[str, Any], most_bytes: int, *, is_label: bool = False
) -> dict[str, Any]:
    """Return the metadata `known` of an image or a label with the client's `fields`. Keys that only
    the server writes are not counted.

    Raises `InfoTooLargeError` for more than `most_bytes` of JSON. What is larger already, from
    before there was a limit, may stay as large or become smaller.
    """
    own = _RESERVED if is_label else IMAGE_RESERVED
    added = {**known, **fields}
    size, before = (_bytes_of(each, own) for each in (added, known))
    if size > max(most_bytes, before):
        raise InfoTooLargeError(
            f"expected at most {most_bytes} bytes of information in all about one image or label "
            f"(setting info_kilobytes), got {size}: {before} that are there, and "
            f"{_bytes_of(fields, own)} that were sent"
        )
    return added


def _bytes_of(info: Mapping[str, Any], own: Collection[str]) -> int:
    counted = {key: value for key, value in info.items() if key not in own}
    return len(json.dumps(json_safe(counted), default=str))


def refuse_reserved(info: Mapping[str, Any]) -> None:
    """Raise `RequestError` for information about a label with a key that only the store writes."""
    taken = sorted(key for key in info if _is_reserved(key))
    if taken:
        raise RequestError(
            f"the information about a label has the key {taken[0]!r}, which the server writes; "
            f"expected none of {', '.join(sorted(_RESERVED))}"
        )


def _is_reserved(key: str) -> bool:
    return key in _RESERVED or is_near(key, RECORD_CHECKSUM)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _one_line(text: str) -> str:
    return re.sub(r"[^\S ]+|[\x00-\x1f\x7f]", " ", text)[:_MAX_USER_LENGTH].strip()
