"""Scanner of the study folder: images, and labels under each tag, however they came there."""

from __future__ import annotations

import fnmatch
import logging
import os
import re
import time
import unicodedata
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from monailabel.config import settings
from monailabel.interfaces.datastore import DefaultLabelTag

from segsam.imaging.dicom_series import DicomSeries
from segsam.imaging.image_files import (
    LeftOut,
    ending_of,
    image_kind,
    is_litter,
    reason_against_label,
)
from segsam_app.errors import RequestError
from segsam_app.ids import IMAGE_ID_RULE, broken_rule, checked_id, is_image_id, shown
from segsam_app.storage.damage import ASIDE
from segsam_app.storage.disk import FileStamp, in_the_way, is_entry, stamp_of
from segsam_app.storage.label_checks import FOUND_ENDINGS, twin_of_label
from segsam_app.storage.series import ENDING, SeriesFinder, SeriesListing

_TIMESTAMP_STEP_NS = 100_000_000
"""Upper bound of the step in which file systems give folders a modification time. A folder that
changed more recently may change again without a new time, so it is scanned again."""

INDEX_FILES = ("datastore_v2.json", "datastore_v2.journal")
FOLDERS = (".versions", ".found")
"""Folders beside the labels that only the store writes to."""

_MAX_NAME_LENGTH = 200
_MARK = re.compile(r"(\.seg)+$", re.IGNORECASE)
_MAX_LOGGED = 20
_LONGEST_REASON = 1000

logger = logging.getLogger(__name__)


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


def label_key(image_id: str, *, folds_case: bool = False) -> str:
    """Return what is the same for two ids whose labels may have one file name.

    `a.seg.nrrd` is a label of `a` and of `a.seg`. Letters that are shown alike (whole or in parts)
    are one name on some systems, and so are small and large ones, where the folder `folds_case`.
    """
    key = _MARK.sub("", unicodedata.normalize("NFC", image_id))
    return key.casefold() if folds_case else key


def owner_of(stem: str, ending: str, images: Container[str]) -> tuple[str, str]:
    """Return the image of a label file and the file's ending, as they are told apart by `images`.

    `a.seg.nrrd` is a label of `a`; but of `a.seg`, if that is the image.
    """
    twin = twin_of_label(stem, ending)
    if stem not in images and twin in images and len(twin) > len(stem):
        return twin, ending[len(twin) - len(stem) :]
    return stem, ending


def configured_patterns() -> tuple[str, ...] | None:
    """Return the patterns by which the operator chose the files that are images; None for all."""
    name = "MONAI_LABEL_DATASTORE_FILE_EXT"
    patterns = list(getattr(settings, name))
    return None if patterns == type(settings).model_fields[name].default else tuple(patterns)


@dataclass
class FolderContents:
    """Files in the study folder.

    `images` maps ids to endings, as they are spelled. `series` are those images that are DICOM
    series; their ending is that of the file that clients get. `labels` maps tags to ids to endings;
    an id may have labels in two formats. `no_labels` are files beside them that can be none, with
    the reasons. `outside` names links that lead out of the study folder; they are not listed.
    `asides` maps tags to files that lay at the place of a label, by image id. `misplaced` are
    places where something else lies than a file or, for True, than a folder.
    """

    images: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    no_labels: dict[Path, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    series: dict[str, DicomSeries] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    asides: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    set_aside: list[Path] = field(default_factory=list)
    """Damaged files of the index that were set aside."""
    misplaced: dict[Path, bool] = field(default_factory=dict)


class FolderScanner:
    """Scanner of one study folder, which also notices whether a new scan is needed."""

    def __init__(self, folder: Path, patterns: Sequence[str] | None) -> None:
        """`patterns` choose among the files that can be images; None for all of these."""
        self._folder, self._labels = folder, folder / "labels"
        self._patterns = None if patterns is None else [each.lower() for each in patterns]
        self._finder = SeriesFinder(folder) if self._matches("slice.dcm") else None
        self.series: Mapping[str, DicomSeries] = {}
        """DICOM series by image id, as of the last scan; never changed in place."""
        self.left_out: tuple[LeftOut, ...] = ()
        """Files that are no image though they might be, as of the last scan."""
        self._scanned: dict[Path, int] | None = None
        """Modification time (ns) of each folder at the last scan; None if it must be repeated."""
        self._watched: Mapping[Path, FileStamp] = {}

    def image_ending(self, name: str) -> str | None:
        """Return the ending of an image's file as it is spelled; None if it is no image here.

        A DICOM file is none: its series is the image.
        """
        kind = image_kind(name)
        if kind is None or kind.format == "DICOM" or not self._matches(name):
            return None
        endings = (each.replace("*", "") for each in self._patterns or ())
        ending = kind.ending if self._patterns is None else ending_of(name, list(endings))
        return None if ending is None else name[len(name) - len(ending) :]

    def _matches(self, name: str) -> bool:
        lowered = name.lower()
        return self._patterns is None or any(
            fnmatch.fnmatchcase(lowered, pattern) for pattern in self._patterns
        )

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

    def twin_of(self, image_id: str, others: Iterable[str]) -> str | None:
        """Return another one of the images whose labels may have the file names of this image's."""
        folds_case = self._folds_case()
        key = label_key(image_id, folds_case=folds_case)
        return next(
            (
                other
                for other in others
                if other != image_id and label_key(other, folds_case=folds_case) == key
            ),
            None,
        )

    def _folds_case(self) -> bool:
        """Return True if names in small and large letters are one name in the folder."""
        with suppress(OSError):
            return self._labels.samefile(self._folder / "LABELS")
        return False

    def scan(self, known: Mapping[str, str]) -> FolderContents:
        """Return everything that lies in the folder. Raises OSError.

        `known` maps the images of the index to the endings of their files: where several files
        could be an image, the one that is known stays it.
        """
        contents = FolderContents()
        self._add_misplaced_folders(contents)
        tags = [entry.name for entry in _entries(self._labels) if is_entry(entry, is_folder=True)]
        tag_folders = [self._labels / tag for tag in tags if is_tag(tag)]
        folders = [self._folder, self._labels, *tag_folders]
        scanned = {path: _modified_ns(path) for path in folders}
        listing = self._finder.find() if self._finder is not None else _NO_SERIES
        scanned |= listing.folders
        root = os.path.realpath(self._folder) + os.sep
        endings: dict[str, list[str]] = {}
        for entry in _entries(self._folder):
            self._add_image(entry, root, contents, endings)
            if ASIDE.search(entry.name):
                contents.set_aside.append(Path(entry.path))
            elif entry.name in INDEX_FILES and not is_entry(entry):
                contents.misplaced[Path(entry.path)] = False
        _choose_files(endings, known, contents)
        self._drop_folders_of_series(listing, contents)
        self._add_series(listing, contents)
        self._leave_out_twins(known, contents)
        for folder in tag_folders:
            _add_labels(folder, contents)
        self._name_left_out(contents)
        age_ns = time.time_ns() - max(scanned.values())
        # A time in the future was given before the clock was set back; the next one will differ.
        is_settled = listing.is_settled and abs(age_ns) > _TIMESTAMP_STEP_NS
        self._scanned = scanned if is_settled else None
        return contents

    def _add_image(
        self,
        entry: os.DirEntry[str],
        root: str,
        contents: FolderContents,
        endings: dict[str, list[str]],
    ) -> None:
        """Add the ending of an image's file to `endings` of its id."""
        ending = self.image_ending(entry.name)
        if ending is None:
            return
        image_id = entry.name.removesuffix(ending)
        if not is_image_id(image_id):
            reason = (
                f"its name without {ending} is no id: one {broken_rule(image_id)}; rename it: "
                f"{IMAGE_ID_RULE}"
            )
            contents.left_out.append(LeftOut(entry.name, reason))
        elif entry.is_symlink() and not os.path.realpath(entry.path).startswith(root):
            contents.outside.append(entry.name)
            contents.left_out.append(LeftOut(entry.name, "a link out of the study folder"))
        elif not is_entry(entry):
            contents.misplaced[Path(entry.path)] = False
        else:
            endings.setdefault(image_id, []).append(ending)

    def _add_misplaced_folders(self, contents: FolderContents) -> None:
        for folder in (self._labels, *(self._labels / tag.value for tag in DefaultLabelTag)):
            if in_the_way(folder, is_folder=True):
                contents.misplaced[folder] = True

    def _drop_folders_of_series(self, listing: SeriesListing, contents: FolderContents) -> None:
        """A folder whose name ends as an image's may hold series: then it is where it has to be."""
        for series in listing.series.values():
            for folder in (series.folder, *series.folder.parents):
                contents.misplaced.pop(folder, None)

    def _add_series(self, listing: SeriesListing, contents: FolderContents) -> None:
        """Add the series. An id that a file has already stays the file's."""
        contents.left_out += [
            one
            for one in listing.left_out
            if one.path not in INDEX_FILES and not ASIDE.search(one.path)
        ]
        for image_id, series in listing.series.items():
            if image_id in contents.images:
                reason = f"its id {image_id} is that of an image file; rename that file"
                place = series.folder.relative_to(self._folder).as_posix()
                contents.left_out.append(LeftOut(place, reason))
            else:
                contents.images[image_id] = ENDING
                contents.series[image_id] = series

    def _leave_out_twins(self, known: Mapping[str, str], contents: FolderContents) -> None:
        """Leave out all but one of the images whose labels could have one file name."""
        folds_case = self._folds_case()
        groups: dict[str, list[str]] = {}
        for image_id in contents.images:
            groups.setdefault(label_key(image_id, folds_case=folds_case), []).append(image_id)
        for twins in groups.values():
            stays = min(twins, key=lambda one: (one not in known, len(one), one))
            for other in twins:
                if other != stays:
                    series = contents.series.pop(other, None)
                    name = other + contents.images.pop(other)
                    place = series.folder.relative_to(self._folder).as_posix() if series else name
                    contents.left_out.append(LeftOut(place, _why_twin(other, stays)))

    def _name_left_out(self, contents: FolderContents) -> None:
        """Note what is left out, in lines that can be shown, and log what is new."""
        contents.left_out = [
            replace(one, path=shown(one.path), reason=shown(one.reason, _LONGEST_REASON))
            for one in contents.left_out
        ]
        before = {str(one) for one in self.left_out}
        new = sorted({str(one) for one in contents.left_out if one.may_be_image} - before)
        for sentence in new[:_MAX_LOGGED]:
            logger.warning("not listed as an image: %s", sentence)
        if len(new) > _MAX_LOGGED:
            logger.warning("%d more files are not listed as images", len(new) - _MAX_LOGGED)
        self.series, self.left_out = contents.series, tuple(contents.left_out)


_NO_SERIES = SeriesListing({}, (), {}, is_settled=True)


def _choose_files(
    endings: Mapping[str, Sequence[str]], known: Mapping[str, str], contents: FolderContents
) -> None:
    """Make one file the image of each id: the one that the index knows, if it is there."""
    for image_id, found in endings.items():
        chosen = known[image_id] if known.get(image_id) in found else found[-1]
        contents.images[image_id] = chosen
        for ending in found:
            if ending != chosen:
                reason = f"the image {image_id} is {image_id}{chosen}; rename one of them"
                contents.left_out.append(LeftOut(image_id + ending, reason))


def _why_twin(image_id: str, other: str) -> str:
    if _MARK.sub("", image_id) == other:
        return f"its name is that of a segmentation of {other}; rename it"
    return f"its labels would have the file names of those of the image {other}; rename one of them"


def _add_labels(folder: Path, contents: FolderContents) -> None:
    """Add the labels in the folder of one tag: their endings, as they are spelled, by image id."""
    labels = contents.labels.setdefault(folder.name, {})
    entries = _entries(folder)
    names = [entry.name for entry in entries]
    for entry in entries:
        ending = ending_of(entry.name, FOUND_ENDINGS)
        if aside := ASIDE.search(entry.name):
            owner, _ = _named(entry.name[: aside.start()], contents)
            contents.asides.setdefault(folder.name, []).append((owner, folder / entry.name))
        elif entry.name in FOLDERS:
            if not is_entry(entry, is_folder=True):
                contents.misplaced[folder / entry.name] = True
        elif not is_entry(entry):
            if ending is not None and is_listable(entry.name):
                contents.misplaced[folder / entry.name] = False
        elif entry.is_symlink():
            contents.no_labels[folder / entry.name] = "a link; expected the file itself"
        elif ending is None or not is_listable(entry.name):
            _leave_out_label(entry.name, names, folder, contents)
        else:
            owner, own = _named(entry.name, contents)
            labels.setdefault(owner, set()).add(own)


def _named(name: str, contents: FolderContents) -> tuple[str, str]:
    """Return the image id that a label's file name has, and its ending."""
    stem = name[: len(name) - len(ending_of(name, FOUND_ENDINGS) or "")]
    return owner_of(stem, name[len(stem) :], contents.images)


def _leave_out_label(
    name: str, siblings: Collection[str], folder: Path, contents: FolderContents
) -> None:
    if is_listable(name):
        if why := reason_against_label(name, siblings):
            contents.no_labels[folder / name] = why
    elif not is_litter(name):
        reason = "its name is no id, so it is a label of no image"
        contents.left_out.append(LeftOut(f"labels/{folder.name}/{name}", reason))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _modified_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
