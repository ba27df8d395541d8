"""Scanner of the study folder: images, and labels under each tag, however they came there."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsam_app.errors import RequestError
from segsam_app.ids import checked_id
from segsam_app.storage.disk import FileStamp, stamp_of
from segsam_app.storage.label_checks import FOUND_ENDINGS, ending_of

_TIMESTAMP_STEP_NS = 100_000_000
"""Upper bound of the step in which file systems give folders a modification time. A folder that
changed more recently may change again without a new time, so it is scanned again."""

_SEGMENTATION = ".seg.nrrd"
"""Ending of segmentations; beside the images they are not listed as images."""

_MAX_NAME_LENGTH = 200


def is_listable(name: object) -> bool:
    """Return True if a file or id of this name may be listed: printable, not hidden, not a path.

    This is wider than `checked_id`, which is for ids that clients make up: a file that is there
    already may have a name that no client could send as a new one.
    """
    text = name if isinstance(name, str) else ""
    if not text or not text.isprintable() or len(text) > _MAX_NAME_LENGTH:
        return False
    return not text.startswith(".") and "/" not in text and "\\" not in text


def is_tag(name: object) -> bool:
    """Return True if a folder of this name can hold the labels of a tag."""
    try:
        return isinstance(name, str) and bool(checked_id("tag", name))
    except RequestError:
        return False


@dataclass
class FolderContents:
    """Files in the study folder.

    `images` maps ids to endings. `labels` maps tags to ids to endings; an id may have labels in two
    formats. `outside` names links that lead out of the study folder; they are not listed.
    """

    images: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)


class FolderScanner:
    """Scanner of one study folder, which also notices whether a new scan is needed."""

    def __init__(self, folder: Path, patterns: Sequence[str]) -> None:
        self._folder, self._labels = folder, folder / "labels"
        self._patterns = tuple(patterns)
        self._endings = tuple(pattern.replace("*", "") for pattern in patterns)
        self._scanned: dict[Path, int] | None = None
        """Modification time (ns) of each folder at the last scan; None if it must be repeated."""
        self._watched: Mapping[Path, FileStamp] = {}

    def image_ending(self, name: str) -> str | None:
        """Return the ending of an image's file, None if files of this kind are not images here."""
        return ending_of(name, self._endings)

    def has_changed(self) -> bool:
        """Return True if a file may have appeared, vanished or been renamed since the last scan."""
        if self._scanned is None:
            return True
        if any(stamp_of(file) != stamp for file, stamp in self._watched.items()):
            return True
        return any(_modified_ns(path) != time_ns for path, time_ns in self._scanned.items())

    def watch(self, files: Mapping[Path, FileStamp]) -> None:
        """Take note of files, with their states, after whose change a scan is needed."""
        self._watched = files

    def scan_again(self) -> None:
        """Make the next `has_changed` True."""
        self._scanned = None

    def scan(self) -> FolderContents:
        """Return everything that lies in the folder. Raises OSError."""
        tags = [entry.name for entry in _entries(self._labels) if entry.is_dir()]
        tag_folders = [self._labels / tag for tag in tags if is_tag(tag)]
        folders = [self._folder, self._labels, *tag_folders]
        scanned = {path: _modified_ns(path) for path in folders}
        contents = FolderContents()
        root = os.path.realpath(self._folder) + os.sep
        for entry in _entries(self._folder):
            self._add_image(entry, root, contents)
        for folder in tag_folders:
            contents.labels[folder.name] = _labels(folder)
        age_ns = time.time_ns() - max(scanned.values())
        # A time in the future was given before the clock was set back; the next one will differ.
        self._scanned = scanned if abs(age_ns) > _TIMESTAMP_STEP_NS else None
        return contents

    def _add_image(self, entry: os.DirEntry[str], root: str, contents: FolderContents) -> None:
        if not any(fnmatch.fnmatch(entry.name, pattern) for pattern in self._patterns):
            return
        ending = self.image_ending(entry.name)
        if ending is None or not is_listable(entry.name):
            return
        if entry.name.lower().endswith(_SEGMENTATION):
            return
        if entry.is_symlink() and not os.path.realpath(entry.path).startswith(root):
            contents.outside.append(entry.name)
        elif entry.is_file():
            contents.images[entry.name[: -len(ending)]] = ending


def _labels(folder: Path) -> dict[str, set[str]]:
    """Endings of the labels in the folder of one tag, as they are spelled, by image id."""
    labels: dict[str, set[str]] = {}
    for entry in _entries(folder):
        ending = ending_of(entry.name, FOUND_ENDINGS)
        if ending and is_listable(entry.name) and entry.is_file(follow_symlinks=False):
            stem = entry.name[: -len(ending)]
            labels.setdefault(stem, set()).add(entry.name[len(stem) :])
    return labels


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _modified_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
