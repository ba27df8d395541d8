"""Ids of images, labels, tags, sessions, models and runs: a name, never a path.

An id is 1 to 128 ASCII letters, digits, blanks and `_ - . + = @ , ( )`, and begins with a letter, a
digit or `_`. An allow-list leaves nothing to decode (`%2e`) and no separator of folders, and no
name begins with a dot. The device names of Windows (`con`, `nul`, ...) are refused on every system,
because study folders are copied between systems.

The id of an image comes from the name of its file, so it may also hold letters and digits of other
scripts: those that are shown, and are no look-alikes that Unicode keeps for old encodings (such as
the wide `\uff41`). They are stored as they are spelled, whole (NFC) or in parts (NFD).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from segsam_app.errors import RequestError

ID_NAMES = frozenset({"image", "label", "tag", "id", "model", "strategy", "method", "session_id"})
"""Names of the path and query parameters of MONAI Label's routes that are ids."""
_IMAGE_NAMES = frozenset({"image", "label", "id"})
"""Names of the parameters that are ids of images."""

MAX_BYTES = 200
"""Most bytes of an id in UTF-8: with endings and times, names of files have 255 at most."""
IMAGE_ID_RULE = (
    f"1 to 128 letters, digits and _ - . + = @ , ( ) or blanks, at most {MAX_BYTES} bytes, "
    "beginning with a letter, a digit or _"
)
"""What the id of an image may hold, as a clause."""

_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@,() -]{0,127}", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_NOT_SHOWN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Fillers and selectors, which Unicode counts as letters and marks."""


def checked_id(name: str, value: str) -> str:
    """Return `value` if it is an id; `name` is its parameter. Raises `RequestError`."""
    if name in _IMAGE_NAMES and not is_image_id(value):
        raise RequestError(
            f"{name} must be an id: {IMAGE_ID_RULE}; got {value!a:.140}, {broken_rule(value)}"
        )
    if name not in _IMAGE_NAMES and not _is_id(value):
        raise RequestError(
            f"{name} must be an id: 1 to 128 letters, digits and _ - . + = @ , ( ) or blanks, "
            f"beginning with a letter, a digit or _; got {value!r:.140}, {broken_rule(value)}"
        )
    return value


def broken_rule(value: str) -> str:
    """Return what is wrong with a name that is no id, as a clause."""
    if not value:
        return "which is empty"
    if len(value) > 128 or len(value.encode("utf-8", "replace")) > MAX_BYTES:
        return "which is too long"
    if _DEVICE.fullmatch(value):
        return "which is the name of a device in Windows"
    if ".." in value:
        return "which has two dots in a row"
    if value[-1] in ". ":
        return f"which ends in a {'dot' if value[-1] == '.' else 'blank'}"
    if not (unicodedata.category(value[0])[0] in "LN" or value[0] == "_"):
        return "which begins with something else"
    strange = [sign for sign in value if _is_strange(sign)]
    if strange:
        return f"which has the character {strange[0]!a}"
    whole, parts = (unicodedata.normalize(form, value) for form in ("NFC", "NFD"))
    if unicodedata.normalize("NFKC", value) != whole:
        return "which has a look-alike that Unicode keeps for old encodings"
    if value not in (whole, parts):
        return "which spells some letters whole (NFC) and others in parts (NFD)"
    return "which has letters of another script"


def _is_strange(sign: str) -> bool:
    is_plain = sign.isalnum() or sign in "_.+=@,() -" if sign.isascii() else _is_of_any_script(sign)
    return not is_plain or _NOT_SHOWN.match(sign) is not None


def is_image_id(value: str) -> bool:
    """Return True for the id of an image, in any script."""
    if value.isascii():
        return _is_id(value)
    if len(value) > 128 or not all(map(_is_of_any_script, value)) or _NOT_SHOWN.search(value):
        return False
    whole, parts = (unicodedata.normalize(form, value) for form in ("NFC", "NFD"))
    is_plain = value in (whole, parts) and unicodedata.normalize("NFKC", value) == whole
    begins = unicodedata.category(value[0])[0] in "LN" or value[0] == "_"
    spelled = "".join(sign if sign.isascii() else "x" for sign in value)
    return is_plain and begins and _is_id(spelled) and len(value.encode()) <= MAX_BYTES


def _is_id(value: str) -> bool:
    is_named = bool(_PATTERN.fullmatch(value)) and not _DEVICE.fullmatch(value)
    return is_named and ".." not in value and value[-1] not in ". "


def _is_of_any_script(sign: str) -> bool:
    kind = unicodedata.category(sign)
    return sign.isascii() or kind[0] in "LM" or kind == "Nd"


def shown(text: str, most: int = 240) -> str:
    """Return a text in one line of at most `most` characters; what is not shown is written as in
    `\\u202e`.
    """
    line = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _checked(value: str) -> str:
    if not _is_id(value):
        raise ValueError(f"must be an id, not a path, and not one {broken_rule(value)}")
    return value


def _checked_image(value: str) -> str:
    if not is_image_id(value):
        raise ValueError(f"must be an id, not a path, and not one {broken_rule(value)}")
    return value


IdText = Annotated[str, AfterValidator(_checked)]
"""Id as the type of a pydantic field."""
ImageIdText = Annotated[str, AfterValidator(_checked_image)]
"""Id of an image as the type of a pydantic field."""
