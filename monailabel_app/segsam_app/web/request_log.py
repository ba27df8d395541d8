"""One line of JSON for each request: what came, what was answered, how long it took.

::

    {"time": "2026-01-31T09:15:02.113Z", "request": "3f0c...", "method": "POST",
     "route": "/infer/{model}", "status": 200, "bytes_in": 412, "bytes_out": 1043, "ms": 182.4}

`route` is the pattern, not the path, so no id of a session, which is a key, ends up in a log. There
are no headers, no addresses, no names of files, no prompts and no texts of a request. MONAI Label's
own lines hold those (each request in full, names of uploaded files): they are kept only when the
operator starts the server with `--verbose DEBUG`.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from datetime import datetime, timezone

LOGGER = "segsam.requests"

_TALKATIVE = ("monailabel.endpoints", "monailabel.utils", "monailabel.interfaces.utils")
_TALKATIVE_STORES = ("monailabel.datastore", "monailabel.interfaces.app")


@dataclass(frozen=True)
class Entry:
    """One request that was answered; sizes in bytes, time in milliseconds."""

    request: str
    method: str
    route: str
    status: int
    bytes_in: int
    bytes_out: int
    ms: float


def write(entry: Entry) -> None:
    """One line to the journal."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    logging.getLogger(LOGGER).info(json.dumps({"time": now, **vars(entry)}))


def open_journal() -> None:
    """Lines go to the standard error stream as they are; MONAI Label's are quietened."""
    journal = logging.getLogger(LOGGER)
    if not journal.handlers:
        lines = logging.StreamHandler(sys.stderr)
        lines.setFormatter(logging.Formatter("%(message)s"))
        journal.addHandler(lines)
        journal.propagate = False
        journal.setLevel(logging.INFO)
    for name in (*_TALKATIVE, *_TALKATIVE_STORES):
        if not logging.getLogger(name).isEnabledFor(logging.DEBUG):
            logging.getLogger(name).setLevel(logging.WARNING)
