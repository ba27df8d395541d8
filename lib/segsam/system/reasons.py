"""Reasons for sentences to users: the operating system's words, and never those of a library.

A library's message is written for programmers. It names attributes, options and types that a user
has never seen, and is sometimes wrong about the file ("truncated").
"""

from __future__ import annotations

import os

from segsam.system.unique_keys import RepeatedKeyError


def reason_of(error: BaseException) -> str:
    """Return why a file could not be read: as the system says, or that its content is wrong."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"the operating system says: {os.strerror(error.errno).lower()}"
    if isinstance(error, RepeatedKeyError):
        return str(error)
    return "it is damaged, or its content has another form"
