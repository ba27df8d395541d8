"""Damaged and foreign files that a store found: each by name, with what is wrong with it.

A file stays in the list as long as it is found so: one that is mended, or comes good again, leaves
it.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

_MAX_LISTED = 1000
ASIDE = re.compile(r"\.(damaged|torn|aside)-\d{8}T\d{6}-\d{6}$")
"""End of the names of files that were set aside."""


class DamageList:
    """Names of files, relative to `folder`, and a clause about each; thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}

    def note(self, path: Path, why: str) -> None:
        """List a file; what is new is logged too."""
        name = self._name(path)
        with self._lock:
            is_known = self._found.get(name) == why
            if is_known or len(self._found) >= _MAX_LISTED:
                return
            self._found[name] = why
        logger.warning("%s cannot be used: %s", name, why)

    def clear(self, path: Path) -> None:
        """Take a file that is good off the list."""
        if self._found:
            with self._lock:
                self._found.pop(self._name(path), None)

    def listed(self) -> Mapping[str, str]:
        """Return name -> clause, in the order of names."""
        with self._lock:
            return dict(sorted(self._found.items()))

    def _name(self, path: Path) -> str:
        if path.is_relative_to(self._folder):
            path = path.relative_to(self._folder)
        return path.as_posix()


def aside_name(path: Path, why: str = "damaged") -> Path:
    """Return an unused name beside a file, such as `0002.json.damaged-20260102T030405-006789`.

    No reader of the store looks at such names, so the file waits there for a person.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return path.with_name(f"{path.name}.{why}-{stamp}-{time.time_ns() % 1_000_000:06d}")
