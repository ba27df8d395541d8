"""Saving one label: checked and copied first, then made current in one instant, or kept beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from monailabel.datastore.local import DataModel

from segsam.imaging.formats.raw import RawGrid
from segsam_app.errors import ConflictError, NotFoundError
from segsam_app.storage.catalogue import label_entry
from segsam_app.storage.checks import check_label
from segsam_app.storage.names import names_by_value
from segsam_app.storage.submission import Submission
from segsam_app.storage.versions import History, Staged, Version, now

Listing = Callable[[DataModel | None], None]
"""Puts the label's entry, or None for no label, into the index; raises when it cannot."""


@dataclass(frozen=True)
class Draft:
    """A label that may be saved: its copies, and the version that it will be."""

    staged: Staged
    version: Version


class LabelFiles:
    """The label that `history` is of. `save`, `remove` and `refuse_change` need the store's
    lock.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._current = 0
        """The version that the label had when it was last looked at; 0 for no label."""

    @contextmanager
    def checked(self, file: Path, image: RawGrid, submission: Submission) -> Iterator[Draft]:
        """A draft of `file`, when it is a label on the grid of `image`.

        Raises VolumeError, `RequestError`, OSError.
        """
        label = check_label(file, image)
        names = names_by_value(submission.info, label.values)
        version = Version(
            number=0,
            kind="saved",
            created=now(),
            user=submission.user,
            ending=label.ending,
            names={str(value): name for value, name in names.items()},
            info=submission.info,
        )
        with self._history.staged(file) as staged:
            yield Draft(staged, version)

    @contextmanager
    def again(self, number: int, user: str) -> Iterator[Draft]:
        """A draft with the voxels and names of version `number`. Raises `NotFoundError`."""
        version = self.version(number)
        restored = replace(version, kind="restored", created=now(), user=user, restored_from=number)
        with self._history.staged(self._history.file(version)) as staged:
            yield Draft(staged, restored)

    def version(self, number: int) -> Version:
        """The version with voxels of this number. Raises `NotFoundError`."""
        version = self._history.get(number)
        if version is None or version.kind == "removed":
            raise NotFoundError(f"the label has no version {number}")
        return version

    def save(self, draft: Draft, expected: int | None, listing: Listing) -> Version:
        """Make the draft the current label, or keep it as a conflict when the label is not at
        version `expected` any more. Raises `OutputError`, OSError; then nothing changed.
        """
        self._bring_up_to_date(listing)
        if expected is not None and expected != self._current:
            kept = replace(draft.version, kind="conflict", parent=expected)
            return self._history.record(kept, draft.staged)
        version = replace(draft.version, parent=self._current)
        return self._publish(version, draft.staged, listing)

    def remove(self, listing: Listing) -> Version:
        """Let there be no current label; what there was stays a version."""
        self._bring_up_to_date(listing)
        mark = Version(number=0, kind="removed", parent=self._current, created=now())
        return self._publish(mark, None, listing)

    def refuse_change(self, expected: int | None) -> None:
        """Raises `ConflictError` when the label is at another version than `expected`."""
        newest = self._history.newest()
        self._current = newest.number if newest is not None and newest.is_label else 0
        if expected is not None and expected != self._current:
            raise ConflictError(
                f"the label is at version {self._current}, not {expected}; nothing was changed",
                current=self._current,
            )

    def refuse_conflict(self, version: Version) -> None:
        """Raises `ConflictError` with both numbers when `version` was kept as a conflict."""
        if version.kind == "conflict":
            raise ConflictError(
                f"the label changed while you worked on it: you began from version "
                f"{version.parent}, it is at version {self._current}. Yours is kept as version "
                f"{version.number} and can be restored; version {self._current} stays current",
                current=self._current,
                kept=version.number,
            )

    def _publish(self, version: Version, staged: Staged | None, listing: Listing) -> Version:
        version = self._history.record(version, staged)
        with ExitStack() as undo:
            undo.callback(self._history.withdraw, version)
            name = self._history.current_file(version.ending).name
            listing(label_entry(version, name) if version.is_label else None)
            undo.pop_all()
        self._history.finish(version)
        return version

    def _bring_up_to_date(self, listing: Listing) -> None:
        """Finish what a killed process began; keep a label that somebody put there by hand."""
        self._history.settle()
        newest = self._history.newest()
        is_label = newest is not None and newest.is_label
        self._current = newest.number if newest is not None and is_label else 0
        if newest is not None and is_label and self._history.is_intact(newest):
            return
        endings = self._history.current_endings()
        if not endings:
            return
        ending = newest.ending if newest is not None and newest.ending in endings else min(endings)
        file = self._history.current_file(ending)
        found = Version(number=0, kind="found", parent=self._current, created=now(), ending=ending)
        with self._history.staged(file) as staged:
            adopted = self._publish(found, staged, listing)
        if newest is not None:
            self._current = adopted.number
