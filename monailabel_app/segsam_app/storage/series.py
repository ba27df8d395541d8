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

import errno
import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from segsam.errors import VolumeNotFoundError
from segsam.imaging.dicom_series import DicomFacts, DicomSeries, read_facts, series_of
from segsam.imaging.image_files import (
    LeftOut,
    image_kind,
    is_litter,
    may_be_dicom,
    reason_against,
)
from segsam.imaging.volume import Volume
from segsam_app.errors import RequestError
from segsam_app.ids import shown
from segsam_app.storage.disk import is_entry, output_errors

ENDING = ".nii.gz"
"""Ending of the file that clients get of a series."""

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of a folder that this process may only read."""
_LABELS = "labels"
_HASH_DIGITS = 12
_LONGEST_NAME = 60
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")
_TIMESTAMP_STEP_NS = 100_000_000
"""Upper bound of the step in which file systems give modification times."""
_COMING_NS = 60_000_000_000
"""Time for which a damaged file counts as one that is still being copied."""
_NOT_LISTED = "images in subfolders are not listed, except DICOM series; move it up"


@dataclass(frozen=True)
class _File:
    """Facts about a file in the state `stamp`, its modification time first; None if no DICOM."""

    stamp: tuple[int, ...]
    facts: DicomFacts | None


@dataclass(frozen=True)
class _Folder:
    """Content of a folder when it had this modification time.

    It is not settled if it may change without a new one: a file has just come, or could not be read
    because it may still be coming.
    """

    mtime_ns: int
    is_settled: bool
    subfolders: tuple[str, ...]
    series: tuple[DicomSeries, ...]
    left_out: tuple[LeftOut, ...]
    files: Mapping[str, _File]


@dataclass(frozen=True)
class SeriesListing:
    """Series of the study folder by image id, and what is left out.

    `folders` holds the modification time (ns) of each folder that was read.
    """

    series: Mapping[str, DicomSeries]
    left_out: tuple[LeftOut, ...]
    folders: Mapping[Path, int]
    is_settled: bool


class SeriesFinder:
    """Finds the series of a study folder. Only folders and files that changed are read again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[Path, _Folder] = {}

    def find(self) -> SeriesListing:
        """Return all series. Raises OSError if the study folder itself cannot be read."""
        found: dict[Path, _Folder] = {}
        left_out: list[LeftOut] = []
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            try:
                found[folder] = self._folder(folder)
            except OSError:
                if folder == self._root:
                    raise
                place = folder.relative_to(self._root).as_posix()
                left_out.append(LeftOut(place, "the folder cannot be read"))
                continue
            waiting += [folder / name for name in reversed(found[folder].subfolders)]
            left_out += found[folder].left_out
        self._folders = found
        return SeriesListing(
            {series_id(self._root, one): one for one in _noted(found, self._root)},
            tuple(left_out),
            {path: each.mtime_ns for path, each in found.items()},
            all(each.is_settled for each in found.values()),
        )

    def _folder(self, folder: Path) -> _Folder:
        before, mtime_ns = self._folders.get(folder), folder.stat().st_mtime_ns
        if before is not None and before.is_settled and before.mtime_ns == mtime_ns:
            return before
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
        files = _read_files(folder, entries, before.files if before is not None else {})
        facts = {name: one.facts for name, one in files.items() if one.facts is not None}
        series, left_out = series_of(folder, facts)
        names = [each.name for each in entries]
        others = [one for one in entries if one.name not in facts and is_entry(one)]
        for each in others:
            if image_kind(each.name) is None:
                reason = reason_against(each.name, names)
                left_out += [reason] if reason is not None else []
            elif folder != self._root:
                left_out.append(LeftOut(each.name, _NOT_LISTED))
        place, now_ns = folder.relative_to(self._root), time.time_ns()
        waits_ns = [(mtime_ns, _TIMESTAMP_STEP_NS)]
        for one in files.values():
            is_damaged = one.facts is not None and bool(one.facts.problem)
            waits_ns.append((one.stamp[0], _COMING_NS if is_damaged else _TIMESTAMP_STEP_NS))
        return _Folder(
            mtime_ns,
            # A time in the future was given before the clock was set back.
            all(abs(now_ns - changed_ns) > wait_ns for changed_ns, wait_ns in waits_ns),
            tuple(each.name for each in entries if self._is_searched(each)),
            tuple(series),
            tuple(replace(one, path=(place / one.path).as_posix()) for one in left_out),
            files,
        )

    def _is_searched(self, entry: os.DirEntry[str]) -> bool:
        if is_litter(entry.name) or not entry.is_dir(follow_symlinks=False):
            return False
        return not (entry.name == _LABELS and Path(entry.path).parent == self._root)


def _noted(found: Mapping[Path, _Folder], root: Path) -> Iterator[DicomSeries]:
    """Yield all series, with a note on each that has other files in another folder.

    A second copy of the same files is none, and slices at the same positions are another series.
    """
    by_uid: dict[str, list[DicomSeries]] = {}
    for each in found.values():
        for one in each.series:
            by_uid.setdefault(one.uid or f"{one.folder}/{one.names[0]}", []).append(one)
    for parts in by_uid.values():
        files = [_files_of(found[part.folder], part) for part in parts]
        for part, own in zip(parts, files, strict=True):
            notes = list(part.notes)
            uids, positions = {uid for uid, _ in own}, {position for _, position in own}
            for other, theirs in zip(parts, files, strict=True):
                count = sum(uid not in uids and at not in positions for uid, at in theirs)
                if other.folder != part.folder and count:
                    place = shown(other.folder.relative_to(root).as_posix())
                    notes.append(
                        f"The series continues in the folder {place}: {count} more files; put "
                        "them into one folder to read them as one image."
                    )
            yield replace(part, notes=tuple(notes))


def _files_of(folder: _Folder, series: DicomSeries) -> list[tuple[str, object]]:
    """Return SOP Instance UID and position of each file; its path for what it does not give."""
    facts = ((str(series.folder / name), folder.files[name].facts) for name in series.names)
    return [
        (one.sop_uid or path, one.position_lps or path) if one is not None else (path, path)
        for path, one in facts
    ]


def _read_files(
    folder: Path, entries: Iterable[os.DirEntry[str]], before: Mapping[str, _File]
) -> dict[str, _File]:
    """Return the facts about files that may be DICOM; links are not followed."""
    files = {}
    for entry in entries:
        if not may_be_dicom(entry.name) or not entry.is_file(follow_symlinks=False):
            continue
        status = entry.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
        known = before.get(entry.name)
        if known is None or known.stamp != stamp:
            known = _File(stamp, read_facts(folder / entry.name))
        files[entry.name] = known
    return files


def series_id(root: Path, series: DicomSeries) -> str:
    """Return the image id of a series in the study folder `root`."""
    place = series.folder.relative_to(root).as_posix()
    key = os.fsencode(f"{place}\n{series.uid or series.names[0]}")  # not every name is Unicode
    digest = hashlib.blake2b(key, digest_size=_HASH_DIGITS // 2).hexdigest()
    name = _NOT_IN_IDS.sub("_", series.folder.name if place != "." else "").strip("_-")
    return f"{name[:_LONGEST_NAME] or 'series'}-{digest}"


def image_named(name: str, series: Mapping[str, DicomSeries]) -> str:
    """Return the image id of the series that has the SeriesInstanceUID `name`; any other name is
    returned unchanged. A viewer knows a series by its UID only.

    Raises `RequestError` for a UID that series in several folders have.
    """
    found = [] if name in series else [key for key, one in series.items() if one.uid == name]
    if len(found) > 1:
        raise RequestError(
            f"the series {name:.64} lies in several folders of the study folder; expected one of "
            f"its image ids, {', '.join(found)}"
        )
    return found[0] if found else name


class SeriesFiles:
    """Series of a study folder, read, and written as one file each for clients. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._folder = root.resolve() / ".segsam" / "series"
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        """In place of the folder, if the study folder can only be read; removed at the end."""
        self._making: dict[str, threading.Lock] = {}

    def file(self, image_id: str, series: DicomSeries) -> Path:
        """Return the file of a series, which is made if there is none of this state of its slices.

        Raises VolumeError for a series that cannot be read, `OutputError`.
        """
        name = Path(_state(image_id, series), f"{image_id}{ENDING}")
        with self._making.setdefault(image_id, threading.Lock()):
            path = next((at / name for at in self._places() if (at / name).is_file()), None)
            if path is None:
                volume = self.read(image_id, series)
                path = self._with_folder(name)
                volume.save(path)
                self._remove_others(path)
        return path

    def _places(self) -> list[Path]:
        return [self._folder] + ([Path(self._temporary.name)] if self._temporary else [])

    def _with_folder(self, name: Path) -> Path:
        """Return where the file `name` is written; its folder is made. Raises `OutputError`."""
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            with output_errors("Saving a series as one file"):
                if error.errno not in _READ_ONLY:
                    raise
                self._temporary = self._temporary or tempfile.TemporaryDirectory(
                    prefix="segsam-series-"
                )
                path = Path(self._temporary.name) / name
                path.parent.mkdir(exist_ok=True)
        return path

    def id_of(self, path: Path) -> str | None:
        """Return the image id if `path` is the file of a series."""
        is_inside = path.parent.parent in self._places() and path.name.endswith(ENDING)
        return path.name.removesuffix(ENDING) if is_inside else None

    def read(self, image_id: str, series: DicomSeries) -> Volume:
        """Read a series from its slices. Raises VolumeError."""
        with _alone(series, image_id) as path:
            volume = Volume.load(path)
        return replace(volume, notes=(*volume.notes, *series.notes))

    def _remove_others(self, path: Path) -> None:
        """Remove files of earlier states of the series."""
        for other in path.parent.parent.glob(f"*/{path.name}"):
            if other != path:
                with suppress(OSError):
                    other.unlink()
                    other.parent.rmdir()


@contextmanager
def _alone(series: DicomSeries, image_id: str) -> Iterator[Path]:
    """Yield a path that reads as the series, without the headers of others in its folder."""
    if series.is_folder:
        yield series.folder
        return
    with tempfile.TemporaryDirectory(prefix="segsam-series-") as temporary:
        links = Path(temporary) / image_id
        links.mkdir()
        try:
            for name in series.names:
                (links / name).symlink_to(series.folder.absolute() / name)
        except OSError:  # a system without links for this user
            links = series.path
        yield links


def _state(image_id: str, series: DicomSeries) -> str:
    """Return a hash of names, sizes and times of the slices. Raises `VolumeNotFoundError`."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update("\n".join(series.notes).encode())  # notes are remembered by the file's path
    try:
        for name in series.names:
            status = (series.folder / name).stat()
            times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
            digest.update(os.fsencode(f"{name}\n{status.st_size} {status.st_ino} {times}\n"))
    except OSError as error:
        raise VolumeNotFoundError(f"the slices of {image_id} are not there any more") from error
    return digest.hexdigest()
