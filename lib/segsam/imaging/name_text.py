"""Text of a segment's name: what a name may hold, and what is made of one in a file that may not.

A name is shown in one line, compared, and learnt. What is not shown (a line break, a character that
turns the direction of writing, one without width) makes two names of what a reader sees as one. A
request with such a name is refused. A file that holds one may be valid otherwise: its name is
cleaned, with a note.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_NAME_LENGTH = 200

_MAX_FILE_BYTES = 150
_IN_FILES = frozenset(" ()+,-=_.")
"""Signs that the name of a file may have on every system, beside letters and digits."""

_JOINERS = re.compile(r"(?<=[\u0600-\u1fff])[\u200c\u200d](?=[\u0600-\u1fff])")
"""Characters without width between letters of a script that joins them, as in Persian and Hindi:
they are part of the spelling there."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's kinds of characters that are not shown: controls, format, halves, line ends."""
_BREAKS = frozenset({"Cc", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0")
"""Fillers, which Unicode counts as letters and signs."""


def refused_in(name: str) -> str:
    """Return what a name has that none may have, for a sentence; "" for one that may be used."""
    if len(name) > MAX_NAME_LENGTH:
        return f"{len(name)} characters"
    hidden = next((sign for sign in _JOINERS.sub("", name) if _is_hidden(sign)), None)
    if hidden is not None:
        return f"the character U+{ord(hidden):04X}"
    return "" if _is_visible(name) else "no name"


def name_in_file(text: str, default: str) -> tuple[str, str]:
    """Return the name that a file gives a value, cleaned, and what was wrong with it ("" if it was
    kept). `default` is the name of a value without one.
    """
    name = text.strip()
    wrong = refused_in(name)
    if not wrong:
        return name, ""
    kept = {found.start() for found in _JOINERS.finditer(name)}
    shown = (_shown(sign) if at not in kept else sign for at, sign in enumerate(name))
    cleaned = " ".join("".join(shown).split())[:MAX_NAME_LENGTH].strip()
    return (cleaned, wrong) if _is_visible(cleaned) else (default, "no name")


def part_of_file_name(text: str) -> str:
    """Return a text as a part of a file's name: another one for each text, never a path, and as it
    is if it may be.
    """
    signs = [c if c.isalnum() or c in _IN_FILES else f"%{ord(c):02X}" for c in text]
    if signs and signs[0] == ".":
        signs[0] = "%2E"
    name = "".join(signs)
    if name and len(name.encode()) <= _MAX_FILE_BYTES:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name[: _MAX_FILE_BYTES // 8]}%{digest[:16]}"


def is_text(name: str) -> bool:
    """Return False for a file's name of bytes that are no UTF-8, as old network shares have: it
    opens the file, but no JSON and no other program can name it.
    """
    return name == readable(name)


def readable(name: str) -> str:
    """Return a file's name as text: U+FFFD stands for each byte that is no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _is_hidden(sign: str) -> bool:
    return unicodedata.category(sign) in _HIDDEN


def _shown(sign: str) -> str:
    """A blank for a break of the line, nothing for another hidden character, else itself."""
    if unicodedata.category(sign) in _BREAKS:
        return " "
    return "" if _is_hidden(sign) else sign


def _is_visible(name: str) -> bool:
    """Return True for a name with more than blanks."""
    return any(not sign.isspace() and sign not in _BLANK_LETTERS for sign in name)
