"""Ids of images, labels, tags, sessions, models and runs: a name, never a path.

An id is 1 to 128 ASCII letters, digits, blanks and `_ - . + = @ , ( )`, and begins with a letter, a
digit or `_`. An allow-list leaves nothing to decode (`%2e`), no look-alike letters (Unicode) and no
separator of folders, and no name begins with a dot. The device names of Windows (`con`, `nul`, ...)
are refused on every system, because study folders are copied between systems.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from segsam_app.errors import RequestError

ID_NAMES = frozenset({"image", "label", "tag", "id", "model", "strategy", "method", "session_id"})
"""Names of the path and query parameters of MONAI Label's routes that are ids."""

_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@,() -]{0,127}", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def checked_id(name: str, value: str) -> str:
    """Return `value` if it is an id; `name` is its parameter. Raises `RequestError`."""
    if (
        not _PATTERN.fullmatch(value)
        or ".." in value
        or value[-1] in ". "
        or _DEVICE.fullmatch(value)
    ):
        raise RequestError(
            f"{name} must be an id: 1 to 128 letters, digits and _ - . + = @ , ( ) or blanks, "
            f"beginning with a letter, a digit or _; got {value!r:.140}"
        )
    return value


def _checked(value: str) -> str:
    try:
        return checked_id("id", value)
    except RequestError as error:
        raise ValueError("must be an id, not a path") from error


IdText = Annotated[str, AfterValidator(_checked)]
"""Id as the type of a pydantic field."""
