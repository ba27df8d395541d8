"""Reading of the JSON files in which experiments store their results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segsam.errors import SegSamError
from segsam.system.reasons import reason_of


def read_object(path: Path, refusal: type[SegSamError]) -> dict[str, Any]:
    """Return the JSON object in a file; raises `refusal` if it holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        named = Path(path.parent.name, path.name)
        raise refusal(f"Cannot read {named}: {reason_of(error)}.") from error
    if not isinstance(content, dict):
        raise refusal(f"Expected a JSON object in {path.name}, got {content!r:.80}.")
    return content
