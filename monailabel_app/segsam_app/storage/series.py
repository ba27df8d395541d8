"""DICOM series in the study folder: one image for each series, wherever its slices lie.

A series is looked for in the study folder and its subfolders; loose slices and a folder of slices
are the same. Its id is made of the folder's name and of a hash of the folder's place and the
SeriesInstanceUID. So it is the same after each start, and another one for the same UID elsewhere,
as programs that anonymise write it.

    <studies>/patient7/IM000.dcm ...                              the slices; never changed
    <studies>/.segsam/series/<state of the slices>/patient7-1a2b3c4d5e6f.nii.gz
                                                                  the series as one file

The file is for clients. It is made when it is first asked for, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from segsam.imaging.dicom_series import DicomFacts, DicomSeries, read_facts, series_of
from segsam.imaging.image_files import LeftOut, image_kind, is_litter, may_be_dicom
from segsam.imaging.volume import Volume
from segsam_app.errors import RequestError
from segsam_app.ids import checked_id
from segsam_app.storage.disk import output_errors

ENDING = ".nii.gz"
"""Ending of the file that clients get of a series."""

_LABELS = "labels"
_HASH_DIGITS = 12
_LONGEST_NAME = 60
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")
_NOT_LISTED = "images in subfolders are not listed, except DICOM series; move it up"


@dataclass(frozen=True)
class _File:
    """Facts about a file when it had this modification time and size; None if it is no DICOM."""

    mtime_ns: int
    bytes: int
    facts: DicomFacts | None


@dataclass(frozen=True)
class _Folder:
    """Content of a folder when it had this modification time."""

    mtime_ns: int
    subfolders: tuple[str, ...]
    series: tuple[DicomSeries, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class SeriesListing:
    """Series of the study folder by image id, what is left out, and the folders that were read."""

    series: Mapping[str, DicomSeries]
    left_out: tuple[LeftOut, ...]
    folders: tuple[Path, ...]


class SeriesFinder:
    """Finds the series of a study folder. Only what is new or changed is read again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[Path, _Folder] = {}
        self._files: dict[Path, _File] = {}

    def find(self, settled_before_ns: int) -> SeriesListing:
        """Return all series. Folders that changed after `settled_before_ns` are read again.

        Raises OSError if the study folder itself cannot be read.
        """
        found: dict[Path, _Folder] = {}
        for folder in self._walk(found):
            before, mtime_ns = self._folders.get(folder), folder.stat().st_mtime_ns
            is_same = before is not None and before.mtime_ns == mtime_ns < settled_before_ns
            found[folder] = before if before is not None and is_same else self._read(folder)
        self._forget_files({folder for folder in found if found[folder].series})
        self._folders = found
        series = {
            series_id(self._root, each): each for one in found.values() for each in one.series
        }
        left_out = [one for each in found.values() for one in each.left_out]
        return SeriesListing(series, tuple(left_out), tuple(found))

    def _walk(self, found: Mapping[Path, _Folder]) -> Iterator[Path]:
        """Yield the study folder and its subfolders; each is in `found` before the next comes."""
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            try:
                yield folder
            except OSError:
                continue
            if (one := found.get(folder)) is not None:
                waiting += [folder / name for name in reversed(one.subfolders)]

    def _read(self, folder: Path) -> _Folder:
        mtime_ns = folder.stat().st_mtime_ns
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
        subfolders = [each.name for each in entries if self._is_searched(each)]
        names = [each.name for each in entries if not is_litter(each.name) and each.is_file()]
        facts = {
            name: read
            for name in names
            if may_be_dicom(name) and (read := self._facts(folder / name)) is not None
        }
        series, left_out = series_of(folder, facts)
        if folder != self._root:
            left_out += [
                LeftOut(name, _NOT_LISTED) for name in names if image_kind(name) and name not in facts
            ]
        place = folder.relative_to(self._root)
        named = tuple(
            LeftOut((place / one.path).as_posix(), one.reason, one.may_be_image)
            for one in left_out
        )
        return _Folder(mtime_ns, tuple(subfolders), tuple(series), named)

    def _is_searched(self, entry: os.DirEntry[str]) -> bool:
        if is_litter(entry.name) or not entry.is_dir(follow_symlinks=False):
            return False
        return not (entry.name == _LABELS and Path(entry.path).parent == self._root)
