"""What comes with a label: who saves it, from which version they began, and what they say of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segsam_app.errors import RequestError
from segsam_app.strict_json import json_safe

_LONGEST_USER = 200
_MOST_BYTES = 1 << 18
_OURS = ("expected_version", "version", "names", "sha256", "kind", "ts", "name")
"""Keys that the store writes into a label's information; a client's are not believed."""


@dataclass(frozen=True)
class Submission:
    """`expected` is the version that the annotator began from: 0 for none, None for unknown."""

    info: dict[str, Any]
    user: str
    expected: int | None

    @classmethod
    def read(cls, info: object) -> Submission:
        """Of the `params` that MONAI Label's clients send. Raises `RequestError`."""
        fields = checked_info(info)
        expected = fields.get("expected_version")
        if expected is not None and not is_version(expected):
            raise RequestError(
                f"expected_version must be the number of a version from 0, got {expected!r:.40}"
            )
        user = next((fields[key] for key in ("user", "client_id") if fields.get(key)), "")
        kept = {key: value for key, value in fields.items() if key not in _OURS}
        return cls(kept, _one_line(str(user)), expected)


def checked_info(info: object) -> dict[str, Any]:
    """What a client says of an image or a label, in strict JSON. Raises `RequestError`."""
    if info is None:
        return {}
    if not isinstance(info, Mapping):
        raise RequestError(f"information is a JSON object {{key: value}}, got {info!r:.80}")
    fields = dict(json_safe(info))
    size = len(json.dumps(fields, default=str))
    if size > _MOST_BYTES:
        raise RequestError(f"information has at most {_MOST_BYTES} bytes of JSON, got {size}")
    return dict(json.loads(json.dumps(fields, default=str)))


def is_version(value: object) -> bool:
    """Whether `value` can number a version; 0 stands for no label."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _one_line(text: str) -> str:
    return re.sub(r"[^\S ]+|[\x00-\x1f\x7f]", " ", text)[:_LONGEST_USER].strip()
