"""Writer of one label: checks and copies a file first, then makes it current or keeps it beside.

The order of writes, and what a kill leaves, is the commit protocol of `label_history`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from monailabel.datastore.local import DataModel

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.label_files import read_label_names
from segsam_app.errors import ConflictError
from segsam_app.storage.label_checks import check_label
from segsam_app.storage.label_history import LabelHistory, LabelVersion, StagedCopies, now
from segsam_app.storage.label_metadata import LabelMetadata, names_by_value, note_on_names
from segsam_app.storage.reconcile import label_entry

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

    def __init__(self, history: LabelHistory) -> None:
        self._history = history
        self._current = 0
        """Number of the current version when it was last read; 0 for no label."""

    @contextmanager
    def draft(self, file: Path, image: RawGrid, metadata: LabelMetadata) -> Iterator[Draft]:
        """Check that `file` is a label on the grid of `image`, and copy it.

        Raises VolumeError, `RequestError`, OSError.
        """
        label = check_label(file, image)
        names = names_by_value(metadata.info, label.values, label.names)
        version = LabelVersion(
            number=0,
            kind="saved",
            created=now(),
            user=metadata.user,
            ending=label.ending,
            names={str(value): name for value, name in names.items()},
            info={**metadata.info, **note_on_names(metadata.info, names)},
        )
        with self._history.staged(file) as staged:
            yield Draft(staged, version)

    @contextmanager
    def draft_of_version(self, number: int, user: str) -> Iterator[Draft]:
        """Copy the voxels and names of version `number`. Raises `NotFoundError`, OSError."""
        version = self._history.with_voxels(number)
        restored = replace(version, kind="restored", created=now(), user=user, restored_from=number)
        with self._history.staged(self._history.file(version)) as staged:
            yield Draft(staged, restored)

    def save(self, draft: Draft, expected: int | None, update_index: UpdateIndex) -> LabelVersion:
        """Make the draft the current label.

        If the label is not at version `expected` any more, the draft is recorded as a conflict, and
        `ConflictError` names both versions. Raises `OutputError`, OSError; then nothing changed.
        """
        self._bring_up_to_date(update_index)
        if expected is not None and expected != self._current:
            conflict = replace(draft.version, kind="conflict", parent=expected)
            saved = self._history.record(conflict, draft.staged)
            raise ConflictError(
                f"somebody else saved this label: you began from version {expected}, it is at "
                f"version {self._current} now. Yours is kept as version {saved.number} and can be "
                f"restored; version {self._current} stays current",
                current=self._current,
                kept=saved.number,
            )
        version = replace(draft.version, parent=self._current)
        return self._publish(version, draft.staged, update_index)

    def remove(self, update_index: UpdateIndex) -> LabelVersion:
        """Hide the current label; its versions stay."""
        self._bring_up_to_date(update_index)
        mark = LabelVersion(number=0, kind="removed", parent=self._current, created=now())
        return self._publish(mark, None, update_index)

    def check_version(self, expected: int | None) -> None:
        """Raise `ConflictError` if the label is at another version than `expected`."""
        self._read_current()
        if expected is not None and expected != self._current:
            raise ConflictError(
                f"the label is at version {self._current}, not {expected}; nothing was changed",
                current=self._current,
            )

    def _publish(
        self, version: LabelVersion, staged: StagedCopies | None, update_index: UpdateIndex
    ) -> LabelVersion:
        """Commit a version (steps 3 to 6 of the protocol)."""
        version = self._history.record(version, staged)
        with ExitStack() as undo:
            undo.callback(self._history.withdraw, version)
            name = self._history.current_file(version.ending).name
            update_index(label_entry(version, name) if version.is_label else None)
            undo.pop_all()
        self._history.finish(version)
        return version

    def _read_current(self) -> LabelVersion | None:
        """Read the newest version, and keep its number in `_current` if it is a label."""
        newest = self._history.newest()
        self._current = newest.number if newest is not None and newest.is_label else 0
        return newest

    def _bring_up_to_date(self, update_index: UpdateIndex) -> None:
        """Complete what a killed process began; record a current label that the store did not
        write.
        """
        self._history.settle()
        newest = self._read_current()
        if newest is not None and newest.is_label and self._history.is_intact(newest):
            return
        endings = self._history.current_endings()
        if not endings:
            return
        ending = newest.ending if newest is not None and newest.ending in endings else min(endings)
        file = self._history.current_file(ending)
        found = LabelVersion(
            number=0,
            kind="found",
            parent=self._current,
            created=now(),
            ending=ending,
            names=_names_in(file),
        )
        with self._history.staged(file) as staged:
            recorded = self._publish(found, staged, update_index)
        # A first label put there by hand is version 0 for its readers: clients that send 0 have
        # seen it, so it is no conflict.
        if newest is not None:
            self._current = recorded.number


def _names_in(file: Path) -> dict[str, str]:
    """Names that a label file gives its values; none if it cannot be read, as it is kept anyway."""
    try:
        return {str(value): name for value, name in read_label_names(file).items()}
    except VolumeError:
        return {}
