"""Writer of one label: checks and copies a file first, then makes it current or keeps it beside.

The order of writes, and what a kill leaves, is the commit protocol of `label_history`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from monailabel.datastore.local import DataModel

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.dicom_source import DicomSource
from segsam.imaging.formats.raw import RawGrid
from segsam_app.errors import ConflictError, NotFoundError, RequestError
from segsam_app.storage.disk import (
    FileStamp,
    StagedCopies,
    check_place,
    in_the_way,
    stamp_of,
    temporary_folder,
)
from segsam_app.storage.found_labels import FOUND, FoundLabel, FoundLabels
from segsam_app.storage.label_checks import as_stored, check_label
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.label_metadata import ANY_VERSION, DIGEST, LabelMetadata
from segsam_app.storage.label_names import (
    info_of_restored,
    names_by_value,
    note_on_unnamed,
    notes_on_label,
)
from segsam_app.storage.label_record import LabelVersion, now, time_text
from segsam_app.storage.reconcile import label_entry
from segsam_app.storage.version_files import number_of

logger = logging.getLogger(__name__)

_ADOPTING_SECONDS = 2.0
"""Time that a save may spend on voxels whose record is gone."""

Expected = int | str
"""Version from which an annotator began (0: no label), `ANY_VERSION`, or `DIGEST` with the SHA-256
of a label that was no version."""

UpdateIndex = Callable[[DataModel | None], None]
"""Puts the label's entry, or None for no label, into the index; raises if it cannot."""


@dataclass(frozen=True)
class Draft:
    """Label that is ready to be saved: its copies, and its record without a number."""

    staged: StagedCopies
    version: LabelVersion


class LabelWriter:
    """Writer of the label with this `history`.

    `save`, `remove` and `check_version` need the store's write lock; drafts do not.
    """

    def __init__(
        self,
        history: LabelHistory,
        found: FoundLabels,
        image: RawGrid | None,
        listed: DataModel | None = None,
        image_sha256: str = "",
        *,
        image_source: Callable[[], DicomSource | None] = lambda: None,
    ) -> None:
        """`found` checks labels of other programs on `image`; None if it cannot be read now.
        `listed` is the label's entry in the index, which may be of one that is no version yet.
        `image_sha256` is that of the image's content, "" if unknown; `image_source` reads whose.
        """
        self._image_source = image_source
        self._history, self._found, self._image = history, found, image
        self._listed, self._image_sha256 = listed, image_sha256
        self._current = 0
        """Number of the current version when it was last read; 0 for no label."""

    @contextmanager
    def draft(self, file: Path, image: RawGrid, metadata: LabelMetadata) -> Iterator[Draft]:
        """Check that `file` is a label on the grid of `image`, and copy it.

        Raises VolumeError, `RequestError`, OSError.
        """
        label = check_label(file, image)
        names = names_by_value(metadata.info, label.values, label.names)
        with as_stored(file, image, label) as (stored, ending):
            self._history.check_places(ending)
            version = LabelVersion(
                number=0,
                kind="saved",
                created=now(),
                user=metadata.user,
                ending=ending,
                names={str(value): name for value, name in names.items()},
                info={
                    **metadata.info,
                    **notes_on_label(metadata.info, names, label, self._image_source),
                },
                image_sha256=self._image_sha256,
            )
            with self._history.staged(stored) as staged:
                yield Draft(staged, version)

    @contextmanager
    def draft_of_version(self, number: int, user: str) -> Iterator[Draft]:
        """Copy the voxels and names of version `number`, whose SHA-256 is compared first, and which
        are checked as those of a label that is saved.

        Raises `NotFoundError`, VolumeError, `ConflictError` for a label of another image than lies
        there now, OSError.
        """
        version = self._history.with_voxels(number)
        voxels = self._history.voxels_of(version)
        if self._image is not None:
            check_label(voxels, self._image)
        before, now_there = version.image_sha256, self._image_sha256
        if before and now_there and before != now_there:
            raise ConflictError(
                f"version {number} is a label of another image than lies there now; nothing was "
                "changed. Put the earlier image back first; if the label fits this one too, fetch "
                "the version and save it anew"
            )
        self._history.check_places(version.ending)
        restored = replace(
            version,
            kind="restored",
            created=now(),
            user=user,
            info=info_of_restored(version.info, version.names),
            restored_from=number,
            beside=False,
            image_sha256=now_there or before,
        )
        with self._history.staged(voxels) as staged:
            if version.sha256 not in ("", staged.sha256):
                raise ConflictError("the label changed while it was restored; try again")
            yield Draft(staged, restored)

    def save(
        self, draft: Draft, expected: Expected | None, update_index: UpdateIndex
    ) -> LabelVersion:
        """Make the draft the current label.

        If the label is not at version `expected` any more, the draft is recorded as a conflict, and
        `ConflictError` names both versions. Raises `OutputError`, OSError; then nothing changed.
        """
        self._history.check_places(draft.version.ending)
        self.bring_up_to_date(update_index)
        if expected is not None and not self._is_at(expected):
            began = expected if isinstance(expected, int) else 0
            conflict = replace(draft.version, kind="conflict", parent=began)
            saved = self._history.record(conflict, draft.staged)
            raise ConflictError(
                f"somebody else saved this label: you began from {_in_words(expected)}, it is at "
                f"version {self._current} now. Yours is kept as version {saved.number} and can be "
                f"restored; version {self._current} stays current",
                current=self._current,
                kept=saved.number,
            )
        version = replace(draft.version, parent=self._current)
        saved = self._publish(version, draft.staged, update_index)
        self._adopt_set_aside(update_index)
        return saved

    def remove(self, update_index: UpdateIndex) -> LabelVersion:
        """Hide the current label; its versions stay."""
        self.bring_up_to_date(update_index)
        mark = LabelVersion(number=0, kind="removed", parent=self._current, created=now())
        removed = self._publish(mark, None, update_index)
        self._adopt_set_aside(update_index)
        return removed

    def check_version(self, expected: Expected | None, update_index: UpdateIndex) -> None:
        """Raise `ConflictError` if the label is at another version than `expected`."""
        self.bring_up_to_date(update_index)
        if expected is not None and not self._is_at(expected):
            raise ConflictError(
                f"the label is at version {self._current}, not "
                f"{_in_words(expected).removeprefix('version ')}; nothing was changed",
                current=self._current,
            )

    def _is_at(self, expected: Expected) -> bool:
        """Return True if the current label is this version, or has this SHA-256, or is any."""
        if expected == ANY_VERSION:
            return self._current > 0
        if isinstance(expected, int):
            return expected == self._current
        current = self._history.get(self._current)
        return current is not None and current.sha256 == expected.removeprefix(DIGEST)

    def _publish(
        self, version: LabelVersion, staged: StagedCopies | None, update_index: UpdateIndex
    ) -> LabelVersion:
        """Commit a version (steps 3 to 6 of the protocol).

        Raises OSError before anything is recorded if something lies in the way.
        """
        self._history.check_places(version.ending if version.is_label else "")
        self._history.check_may_write()
        version = self._history.record(version, staged)
        with ExitStack() as undo:
            undo.callback(self._history.withdraw, version)
            name = self._history.current_file(version.ending).name
            update_index(label_entry(version, name) if version.is_label else None)
            undo.pop_all()
        if self._history.finish_if_possible(version) and version.is_label:
            self._found.accept(self._history.current_file(version.ending))
        return version

    def _read_current(self) -> LabelVersion | None:
        """Read the newest version, and keep its number in `_current` if it is a label."""
        newest = self._history.newest()
        self._current = newest.number if newest is not None and newest.is_label else 0
        return newest

    def bring_up_to_date(self, update_index: UpdateIndex, also: Collection[str] = ()) -> None:
        """Complete what a killed process began, and adopt labels that another program wrote.

        The newest file becomes the current label, the others become versions beside it. `also` are
        endings in spellings that only a scan finds. Raises OSError.
        """
        history = self._history
        history.settle()
        self._read_current()
        self._adopt_without_record(update_index)
        self._adopt_set_aside(update_index)
        newest = self._read_current()
        label = newest if newest is not None and newest.is_label else None
        ours = None
        if label is not None and history.is_intact(label):
            ours = stamp_of(history.current_file(label.ending))
        skipped = history.current_file(label.ending) if label is not None and ours else None
        files = [history.current_file(ending) for ending in sorted(history.endings(also))]
        others = [file for file in files if file != skipped]
        if not others or self._image is None:
            return
        with self._copies() as copies:
            found = self._strangers(others, ours, self._image, copies)
            for one in found:
                is_newest = one is found[-1] and (
                    ours is None or one.stamp.modified_ns >= ours.modified_ns
                )
                try:
                    self._record_found(one, update_index, is_newest=is_newest)
                except VolumeError as error:  # it has changed since it was checked
                    logger.warning("a label is looked at again later: %s", error)
        if label is not None and ours is None and not found:
            self._put_back(label)
        self._adopt_set_aside(update_index, is_newest=True)

    def adopt_aside(
        self, aside: Path, update_index: UpdateIndex, *, is_newest: bool = False
    ) -> None:
        """Make a version of a file that was set aside, if it is a label, and remove it.

        Else it is listed, and looked at again when it has changed: the program that wrote it may
        not have been done. Raises OSError.
        """
        stamp = stamp_of(aside)
        if stamp is None or aside.is_symlink():
            self._found.leave_aside(aside, in_the_way(aside) or "a link; expected the file itself")
            return
        if self._image is None:
            self._found.leave_aside(aside, "its image cannot be read now")
            return
        if self._found.is_refused(aside, self._image):
            return
        is_kept = self._found.kept.get(aside) == stamp or self._history.is_version(aside)
        if not is_kept:
            with self._copies() as copies:
                found = self._found.check(aside, self._image, copies)
                if found is None or not self._record(found, update_index, is_newest=is_newest):
                    return
        self._found.kept[aside] = stamp
        if stamp_of(aside) == stamp and not self._found.may_grow(aside):
            aside.unlink()

    def _adopt_without_record(self, update_index: UpdateIndex) -> None:
        """Make versions again, under their numbers, of voxels whose record is gone, the newest
        first. What there is no time for waits for the next save or start.
        """
        until = time.monotonic() + _ADOPTING_SECONDS
        for file in reversed(self._history.without_record()):
            if time.monotonic() < until and not self._found.may_grow(file):
                self._adopt_version(file, update_index)
            else:
                self._history.note_without_record(file)

    def _adopt_version(self, file: Path, update_index: UpdateIndex) -> None:
        """Write a record for voxels that have none, if they are a label of the image."""
        history, number = self._history, number_of(file)
        found = None
        if self._image is not None and not in_the_way(file):
            found = self._found.check(file, self._image)
        if found is None or not found.label.is_stored_as_it_is:
            why = in_the_way(file) or self._found.why(file) or "its image cannot be read now"
            history.note_without_record(file, why)
            return
        sha256, newest = self._found.digest(file), history.newest()
        current = history.current_file(file.name[len(f"{number:04d}") :])
        was_current = (
            (newest is None or newest.number < number)
            and stamp_of(current) is not None
            and self._found.digest(current) == sha256
        )
        version = LabelVersion(
            number=number,
            kind="found",
            parent=self._current,
            created=time_text(found.stamp.modified_ns // 10**9),
            ending=file.name[len(f"{number:04d}") :],
            sha256=sha256,
            size=found.stamp.size,
            names={str(value): name for value, name in found.label.names.items()},
            info=notes_on_label({}, found.label.names, found.label, self._image_source),
            beside=not was_current,
        )
        if history.file(version) != file or found.has_changed:
            return
        history.replace_record(version)
        logger.warning("version %d of a label had no record; it is a version again", number)
        if was_current:
            update_index(label_entry(version, current.name))
            self._read_current()

    @contextmanager
    def _copies(self) -> Iterator[Path]:
        """Yield a folder for copies of what other programs wrote. Raises OSError."""
        self._history.check_places()
        with temporary_folder(self._history.folder) as folder:
            yield folder

    def _adopt_set_aside(self, update_index: UpdateIndex, *, is_newest: bool = False) -> None:
        """Make versions of what gave way to a label. What fails is looked at in the next scan."""
        while self._history.set_aside:
            aside = self._history.set_aside.pop()
            try:
                self.adopt_aside(aside, update_index, is_newest=is_newest)
            except (VolumeError, OutputError, OSError) as error:
                self._found.leave_aside(aside, "it could not be looked at yet")
                logger.warning("a label that was set aside waits: %s", error)

    def _strangers(
        self, files: Sequence[Path], ours: FileStamp | None, image: RawGrid, copies: Path
    ) -> list[FoundLabel]:
        """Return the labels that are no version yet, oldest first."""
        found = []
        for file in files:
            if ours is not None and _is_older(file, ours) and self._history.is_version(file):
                self._history.remove_if_kept(file)  # a killed process did not come to remove it
            elif (label := self._found.check(file, image, copies)) is not None:
                found.append(label)
        return sorted(found, key=lambda one: (one.stamp.modified_ns, one.file.name))

    def _record_found(
        self,
        found: FoundLabel,
        update_index: UpdateIndex,
        *,
        is_newest: bool,
    ) -> None:
        if not found.label.is_stored_as_it_is:
            check_place(found.file.parent / FOUND, is_folder=True)
        recorded = self._record(found, update_index, is_newest=is_newest)
        if recorded is None:
            return
        if not found.label.is_stored_as_it_is:
            found.put_away()
        elif not is_newest or found.file != self._history.current_file(recorded.ending):
            self._history.remove_if_kept(found.file)

    def _record(
        self, found: FoundLabel, update_index: UpdateIndex, *, is_newest: bool
    ) -> LabelVersion | None:
        """Make a label a version; None if it is being written, so that it is found again."""
        metadata, names = self._listed_with(found)
        unnamed = {} if names else note_on_unnamed(self._history.get(self._current))
        with found.as_stored() as (file, ending), self._history.staged(file) as staged:
            version = LabelVersion(
                number=0,
                kind="found",
                parent=self._current,
                created=now(),
                user=metadata.user,
                ending=ending,
                names={str(value): name for value, name in names.items()},
                info={**unnamed, **metadata.info},
                beside=not is_newest,
                image_sha256=self._image_sha256,
            )
            if found.has_changed:
                return None
            if not is_newest:
                return self._history.record(version, staged)
            recorded = self._publish(version, staged, update_index)
        self._current = recorded.number
        return recorded

    def _listed_with(self, found: FoundLabel) -> tuple[LabelMetadata, Mapping[int, str]]:
        """Return what the index says about a label that MONAI Label itself saved, and its names."""
        listed, label = self._listed, found.label
        nothing = replace(
            LabelMetadata.read(None),
            info=notes_on_label({}, label.names, label, self._image_source),
        )
        if listed is None or listed.info.get("version") or not found.file.name.endswith(listed.ext):
            return nothing, label.names
        try:
            metadata = LabelMetadata.read(listed.info)
            names = names_by_value(metadata.info, label.values, label.names) or label.names
            notes = notes_on_label(metadata.info, names, label, self._image_source)
            return replace(metadata, info={**metadata.info, **notes}), names
        except (RequestError, VolumeError) as error:
            logger.warning("a label is adopted without what the index says about it: %s", error)
            return nothing, label.names

    def _put_back(self, label: LabelVersion) -> None:
        """Put the newest version in the place of a file that cannot be used as a label."""
        current = self._history.current_file(label.ending)
        if not current.is_file() or self._found.may_be_unfinished(current):
            return
        try:
            self._history.put_back(label)
            self._found.accept(current)
        except NotFoundError as error:
            logger.warning("a label stays as it is: %s", error)


def _is_older(file: Path, ours: FileStamp) -> bool:
    stamp = stamp_of(file)
    return stamp is not None and stamp.modified_ns <= ours.modified_ns


def _in_words(expected: Expected) -> str:
    if expected in (0, ANY_VERSION):
        return "a label" if expected else "no label"
    return f"version {expected}" if isinstance(expected, int) else "another content"
