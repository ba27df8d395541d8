"""Request log: one line of JSON per HTTP request, on the standard error stream.

::

    {"time": "2026-01-31T09:15:02.113Z", "request": "3f0c...", "method": "POST",
     "route": "/infer/{model}", "status": 200, "bytes_in": 412, "bytes_out": 1043, "ms": 182.4}

`route` is the pattern and not the path, because the id of a session gives access to its image.
There are no headers, addresses, file names, prompts or texts of a request. MONAI Label's own lines
hold those; they are written only if the operator starts the server with `--verbose DEBUG`.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from datetime import datetime, timezone

LOGGER = "segsam.requests"

_QUIETENED = (
    "monailabel.endpoints",
    "monailabel.utils",
    "monailabel.interfaces.utils",
    "monailabel.datastore",
    "monailabel.interfaces.app",
)
"""Loggers of MONAI Label that write requests in full, or the names of uploaded files."""


@dataclass(frozen=True)
class RequestRecord:
    """One request with its reply: sizes in bytes, time in milliseconds."""

    request: str
    method: str
    route: str
    status: int
    bytes_in: int
    bytes_out: int
    ms: float


def write(record: RequestRecord) -> None:
    """Write one line to the request log."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    logging.getLogger(LOGGER).info(json.dumps({"time": now, **vars(record)}))


def configure() -> None:
    """Send the request log to the standard error stream, and set MONAI Label's loggers of requests
    to WARNING.
    """
    log = logging.getLogger(LOGGER)
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.propagate = False
        log.setLevel(logging.INFO)
    for name in _QUIETENED:
        if not logging.getLogger(name).isEnabledFor(logging.DEBUG):
            logging.getLogger(name).setLevel(logging.WARNING)
