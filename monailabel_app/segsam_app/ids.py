"""What may be the id of an image, label, tag, session, model or run: a name, never a path.

An allow-list: letters and digits of ASCII and `_ - . + = @ , ( )` and blanks, at most 128 of them,
beginning with a letter, a digit or `_`. So nothing is left to decode (`%2e`), to look alike
(Unicode) or to separate folders, and no name begins with a dot. Windows' names of devices are
refused on every system: study folders travel.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from segsam_app.errors import RequestError

ID_NAMES = frozenset({"image", "label", "tag", "id", "model", "strategy", "method", "session_id"})
"""What MONAI Label's routes call their ids, in paths and queries."""

_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@,() -]{0,127}", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def checked_id(name: str, value: str) -> str:
    """`value`, when it can be the id that a request calls `name`. Raises `RequestError`."""
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


def _valid(value: str) -> str:
    try:
        return checked_id("it", value)
    except RequestError as error:
        raise ValueError("must be an id, not a path") from error


IdText = Annotated[str, AfterValidator(_valid)]
"""An id in a pydantic model."""
