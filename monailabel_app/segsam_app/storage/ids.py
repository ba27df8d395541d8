"""Which names found in the study folder may be listed; what clients may send is `segsam_app.ids`.

An id that a client sends is looked up in the index first; only one that would make a new file must
pass the allow-list. A file that lies there already may have a name that nobody could send as new.
"""

from __future__ import annotations

from segsam_app.errors import RequestError
from segsam_app.ids import checked_id

_LONGEST_NAME = 200


def is_listed(name: object) -> bool:
    """Whether a file or id of this name may be listed: printable, not hidden, no path."""
    text = name if isinstance(name, str) else ""
    if not text or not text.isprintable() or len(text) > _LONGEST_NAME:
        return False
    return not text.startswith(".") and "/" not in text and "\\" not in text


def is_tag(name: object) -> bool:
    """Whether a folder of this name holds labels."""
    try:
        return isinstance(name, str) and bool(checked_id("tag", name))
    except RequestError:
        return False
