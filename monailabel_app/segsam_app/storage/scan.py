"""What lies in the study folder: images, and labels under each tag, whoever put them there."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsam_app.storage.checks import LABEL_ENDINGS, ending_of
from segsam_app.storage.ids import is_listed, is_tag

_SETTLED_NS = 100_000_000
"""File systems give folders a time in steps of milliseconds: a younger one may hide a change."""

_LABEL = ".seg.nrrd"
"""A segmentation that lies among the images is none of them."""


@dataclass
class Found:
    """Endings of the files by image id; `labels` by tag. An id may have labels in two formats."""

    images: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    """Links that lead out of the study folder; they are not listed."""


class Scanner:
    """Looks at the folder, and knows whether it changed since it last looked."""

    def __init__(self, folder: Path, patterns: Sequence[str]) -> None:
        self._folder, self._labels = folder, folder / "labels"
        self._patterns = tuple(patterns)
        self._endings = tuple(pattern.replace("*", "") for pattern in patterns)
        self._seen: dict[Path, int] | None = None

    def image_ending(self, name: str) -> str | None:
        """The ending of an image's file, None when files of this kind are no images here."""
        return ending_of(name, self._endings)

    def has_changed(self) -> bool:
        """Whether a file appeared, vanished or was renamed since the last `look`."""
        return self._seen is None or any(_time(path) != seen for path, seen in self._seen.items())

    def look(self) -> Found:
        """Everything that lies there. Raises OSError."""
        folders = [self._folder, self._labels]
        tags = [entry.name for entry in _entries(self._labels) if entry.is_dir()]
        folders += [self._labels / tag for tag in tags if is_tag(tag)]
        seen = {path: _time(path) for path in folders}
        found = Found()
        root = os.path.realpath(self._folder) + os.sep
        for entry in _entries(self._folder):
            self._add_image(entry, root, found)
        for folder in folders[2:]:
            found.labels[folder.name] = _labels(folder)
        newest = max(seen.values())
        self._seen = seen if time.time_ns() - newest > _SETTLED_NS else None
        return found

    def _add_image(self, entry: os.DirEntry[str], root: str, found: Found) -> None:
        if not any(fnmatch.fnmatch(entry.name, pattern) for pattern in self._patterns):
            return
        ending = self.image_ending(entry.name)
        if ending is None or not is_listed(entry.name) or entry.name.lower().endswith(_LABEL):
            return
        if entry.is_symlink() and not os.path.realpath(entry.path).startswith(root):
            found.outside.append(entry.name)
        elif entry.is_file():
            found.images[entry.name[: -len(ending)]] = ending


def _labels(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in _entries(folder):
        ending = ending_of(entry.name, LABEL_ENDINGS)
        if ending and is_listed(entry.name) and entry.is_file(follow_symlinks=False):
            found.setdefault(entry.name[: -len(ending)], set()).add(ending)
    return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _time(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
