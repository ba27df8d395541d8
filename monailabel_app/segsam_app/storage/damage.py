"""Damaged and foreign files that a store found: each by name, with what is wrong with it.

A file stays in the list as long as it is found so: one that is mended, or comes good again, leaves
it. What can be looked at again is, when the list is asked for and the file has changed.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from segsam_app.storage.disk import in_the_way, sentence_of_place, state_of_place

logger = logging.getLogger(__name__)

_MAX_LISTED = 1000
ASIDE = re.compile(r"\.(damaged|torn|aside)-\d{8}T\d{6}-\d{6}$")
"""End of the names of files that were set aside."""


@dataclass(frozen=True)
class _Look:
    """Look at a file that repeats itself when one of `paths` has another state."""

    paths: tuple[Path, ...]
    states: tuple[object, ...]
    again: Callable[[], object]

    @property
    def is_due(self) -> bool:
        return tuple(map(state_of_place, self.paths)) != self.states


class DamageList:
    """Names of files, relative to `folder`, and a clause about each; thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}
        self._looks: dict[str, _Look] = {}
        self._places: dict[str, bool] = {}
        """Places where something else lies than a file or, for True, than a folder."""

    def note(
        self, path: Path, why: str, again: Callable[[], object] | None = None, *also: Path
    ) -> None:
        """List a file; what is new is logged too.

        When the file or one of `also` has changed, it leaves the list, and `again` looks at it and
        lists what it finds.
        """
        name, paths = self.name_of(path), (path, *also)
        with self._lock:
            is_known = self._found.get(name) == why
            if not is_known and len(self._found) >= _MAX_LISTED:
                return
            self._found[name] = why
            if again is not None:
                self._looks[name] = _Look(paths, tuple(map(state_of_place, paths)), again)
        if is_known:
            return
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
                self._forget(self.name_of(path))

    def is_listed(self, path: Path) -> bool:
        """Return True if a file is in the list."""
        return self.name_of(path) in self._found

    def listed(self) -> Mapping[str, str]:
        """Return name -> clause, in the order of names."""
        self._look_again()
        with self._lock:
            for name in [each for each in self._found if self._is_over(each)]:
                self._forget(name)
            return dict(sorted(self._found.items()))

    def _look_again(self) -> None:
        """Look again at the files that have changed since they were listed."""
        with self._lock:
            due = {name: look for name, look in self._looks.items() if look.is_due}
            for name in due:
                self._forget(name)
        for name, look in due.items():
            try:
                look.again()
            except OSError as error:
                why = f"it cannot be looked at ({error.strerror or type(error).__name__})"
                self.note(look.paths[0], why, look.again, *look.paths[1:])
            if name not in self._found:
                logger.info("%s is good again, or gone", name)

    def _forget(self, name: str) -> None:
        for each in (self._found, self._looks, self._places):
            each.pop(name, None)

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
    for places in ("*", ".dicom/*", ".dicom/*/*", ".memory/*/*", "labels/*/.versions/*/*"):
        yield from (path for path in folder.glob(places) if ASIDE.search(path.name))


def aside_name(path: Path, why: str = "damaged") -> Path:
    """Return an unused name beside a file, such as `0002.json.damaged-20260102T030405-006789`.

    No reader of the store looks at such names, so the file waits there for a person.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return path.with_name(f"{path.name}.{why}-{stamp}-{time.time_ns() % 1_000_000:06d}")
