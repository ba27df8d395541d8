"""Damaged and foreign files that a store found: each by name, with what is wrong with it.

A file stays in the list as long as it is found so: one that is mended, or comes good again, leaves
it.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from segsam_app.storage.disk import in_the_way, sentence_of_place

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
        self._places: dict[str, bool] = {}
        """Places where something else lies than a file or, for True, than a folder."""

    def note(self, path: Path, why: str) -> None:
        """List a file; what is new is logged too."""
        name = self.name_of(path)
        with self._lock:
            is_known = self._found.get(name) == why
            if is_known or len(self._found) >= _MAX_LISTED:
                return
            self._found[name] = why
        logger.warning("%s cannot be used: %s", name, why)

    def note_place(self, path: Path, *, is_folder: bool = False) -> None:
        """List what lies where a file (or a folder) has to be and is none, as long as it does."""
        if found := in_the_way(path, is_folder=is_folder):
            self._places[self.name_of(path)] = is_folder
            self.note(path, sentence_of_place(path.name, found, is_folder=is_folder))

    def note_aside(self, path: Path, why: str = "") -> None:
        """List a file that was set aside, as long as it is there; what is listed already stays."""
        if ASIDE.search(path.name) and self.name_of(path) not in self._found:
            self.note(path, why or "it was damaged and set aside; look at it, then delete it")

    def clear(self, path: Path) -> None:
        """Take a file that is good off the list."""
        if self._found:
            with self._lock:
                self._found.pop(self.name_of(path), None)

    def listed(self) -> Mapping[str, str]:
        """Return name -> clause, in the order of names."""
        with self._lock:
            for name in [each for each in self._found if self._is_over(each)]:
                del self._found[name]
                self._places.pop(name, None)
            return dict(sorted(self._found.items()))

    def _is_over(self, name: str) -> bool:
        """Return True if a person has moved away what was set aside, or lay in the way."""
        path = self._folder / name
        if name in self._places:
            return in_the_way(path, is_folder=self._places[name]) is None
        return bool(ASIDE.search(name)) and not os.path.lexists(path)

    def name_of(self, path: Path) -> str:
        """Return the name under which a path is listed: relative to the folder, if it is there."""
        if path.is_relative_to(self._folder):
            path = path.relative_to(self._folder)
        return path.as_posix()


def aside_files(folder: Path) -> Iterator[Path]:
    """Yield the files that were set aside where a store keeps its own files."""
    for places in ("*", ".dicom/*", ".dicom/*/*", "labels/*/.versions/*/*"):
        yield from (path for path in folder.glob(places) if ASIDE.search(path.name))


def aside_name(path: Path, why: str = "damaged") -> Path:
    """Return an unused name beside a file, such as `0002.json.damaged-20260102T030405-006789`.

    No reader of the store looks at such names, so the file waits there for a person.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return path.with_name(f"{path.name}.{why}-{stamp}-{time.time_ns() % 1_000_000:06d}")
