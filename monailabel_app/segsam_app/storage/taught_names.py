"""Names that annotators taught, in the study folder: `.memory`, one folder for each name.

Each change is a record of its own (`segsam.prediction.taught.files`), flushed before the reply: a
kill leaves it whole or not at all. Earlier records stay, as versions of labels do. A damaged one is
set aside, and the one before it holds. What was learnt about a name, from which the next case
starts, lies beside its records (`carried_files`); that can be made again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from segsam.categories.vocabulary import folded
from segsam.errors import DamagedRecordError, PromptError
from segsam.prediction.completion.adaptation import Weights
from segsam.prediction.completion.carried import CarriedState
from segsam.prediction.taught.carried_files import (
    FILE,
    MOST_CARRIED,
    CarriedFacts,
    forget_learnt,
    read_carried,
    read_facts,
    write_carried,
)
from segsam.prediction.taught.checks import check_taught_name
from segsam.prediction.taught.examples import TaughtExample, TaughtName, TaughtNames
from segsam.prediction.taught.files import (
    FOLDER,
    Change,
    FolderContents,
    damaged_records,
    name_folders,
    new_id,
    read_folder,
    write_change,
    write_without,
)
from segsam_app.errors import ConflictError, InfoTooLargeError, NotFoundError, RequestError
from segsam_app.storage.damage import DamageList, aside_name
from segsam_app.storage.disk import check_place, output_errors
from segsam_app.storage.label_record import now
from segsam_app.storage.write_lock import WriteLock

logger = logging.getLogger(__name__)

MOST_NAMES = 500
"""Names of one study, and with the examples of a name the most that the folder holds."""

_WAITING = ".waiting"
"""Folder with an empty file for each case that is still to be learnt from."""
ColourRgb = tuple[int, int, int]
Snomed = tuple[str, str]


@dataclass(frozen=True)
class Looks:
    """Colour and code of a name; None for what is not stated, and stays as it was."""

    colour_rgb: ColourRgb | None = None
    snomed: Snomed | None = None

    def of(self, name: TaughtName) -> TaughtName:
        """Return a name with this colour and code."""
        colour_rgb, snomed = self.colour_rgb or name.colour_rgb, self.snomed or name.snomed
        return replace(name, colour_rgb=colour_rgb, snomed=snomed)


class TaughtStore:
    """Taught names of a study folder. Thread-safe; other processes may change them as well.

    What changes them raises `OutputError` (507) for a disk error or a folder that can only be read.
    """

    def __init__(self, folder: Path, lock: WriteLock, damage: DamageList) -> None:
        self._folder, self._write_lock, self._damage = folder / FOLDER, lock, damage
        self._reading = threading.Lock()
        self._state: tuple[object, ...] | None = None
        self._names = TaughtNames()

    def waiting(self) -> list[str]:
        """Return the cases whose labels are still to be learnt from. Raises OSError."""
        place = self._folder / _WAITING
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def set_waiting(self, case: str, *, waits: bool) -> None:
        """Note on disk, for the next start, if a label is still to be learnt from. What cannot be
        noted is logged, and is learnt with the next version.
        """
        place = self._folder / _WAITING
        try:
            if waits:
                place.mkdir(parents=True, exist_ok=True)
                (place / case).touch()
            else:
                (place / case).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("a label to learn from could not be noted: %s", error.strerror)

    def names(self) -> TaughtNames:
        """Return all names as they are now; after a disk error, as they were last read."""
        try:
            with self._reading:
                state = self._state_on_disk()
                if state != self._state:
                    self._names, self._state = self._read().names, state
        except OSError as error:
            self._damage.note(self._folder, f"it cannot be read ({error.strerror})")
        return self._names

    def find(self, name: str) -> TaughtName:
        """Return a name by its id or in any spelling. Raises `NotFoundError`."""
        return _found(self.names(), name)

    def teach(
        self,
        name: str,
        examples: Sequence[TaughtExample],
        *,
        looks: Looks | None = None,
        user: str = "",
    ) -> TaughtName:
        """Add examples to a name, which is made if it is new; those that it had of the same slices
        of the case are replaced. Raises `InfoTooLargeError` if there are too many names.
        """
        slices = {(one.case, one.axis, one.index) for one in examples}
        with self._changing("Teaching a name") as names:
            known = names.find(name)
            before = known or _new(name, names)
            kept = before.without(lambda one: (one.case, one.axis, one.index) in slices)
            taught = replace(kept, examples=(*kept.examples, *examples))
            return self._write((looks or Looks()).of(taught), "taught", user)

    def learn_case(
        self,
        case: str,
        examples: Mapping[str, Sequence[TaughtExample]],
        *,
        looks: Callable[[str], Looks] = lambda _: Looks(),
        user: str = "",
    ) -> list[str]:
        """Put the examples of a case, by name, in the place of all that were learnt from it, and
        return the names that changed. A name that the case alone had taught is removed with it.

        `looks` gives colour and code of a new name. What has no room is left out, with a line in
        the log.
        """
        changed = []
        with self._changing("Learning names") as names:
            keys = {folded(name) for name in examples}
            for known in names:
                rest = known.without(lambda one: one.from_label and one.case == case)
                if folded(known.name) not in keys and len(rest.examples) < len(known.examples):
                    self._write_without(known, rest, user)
                    changed.append(known.name)
            for name, found in examples.items():
                try:
                    taught = names.find(name) or looks(name).of(_new(name, names))
                except InfoTooLargeError as error:
                    logger.warning("a name was not learnt: %s", error)
                    continue
                rest = taught.without(lambda one: one.from_label and one.case == case)
                taught = replace(rest, examples=(*rest.examples, *found))
                names = names.with_names([self._write(taught, "taught", user)])
                changed.append(name)
        return changed

    def change(
        self, name: str, *, rename: str | None = None, looks: Looks | None = None, user: str = ""
    ) -> TaughtName:
        """Rename a name, or change its colour and code; the examples stay.

        Raises `NotFoundError`, `RequestError` for what is no name, `ConflictError` if the new name
        is that of another one.
        """
        with self._changing("Changing a name") as names:
            found = _found(names, name)
            if rename is not None:
                _check_text(rename)
            other = names.find(rename) if rename is not None else None
            if other is not None and other.id != found.id:
                raise ConflictError(
                    f"there is a taught name {other.name!r:.80} already; remove one of the two, or "
                    "choose another name"
                )
            changed = (looks or Looks()).of(replace(found, name=rename or found.name))
            return self._write(changed, "changed", user)

    def remove(
        self, name: str, leaves: Callable[[TaughtExample], bool] | None = None, *, user: str = ""
    ) -> int:
        """Remove a name, or those of its examples that leave it, and return how many examples were
        removed; a name without any is removed too. Raises `NotFoundError` if there is none.
        """
        with self._changing("Removing a name") as names:
            found = _found(names, name)
            rest = found.without(leaves or (lambda _: True))
            count = len(found.examples) - len(rest.examples)
            if leaves is not None and not count:
                raise NotFoundError(f"the name {found.name!r:.80} has no such example")
            self._write_without(found, rest, user)
            return count

    def keep_learnt(self, name: TaughtName, state: CarriedState, parent: Weights) -> bool:
        """Keep what was learnt about a name in the place of what was learnt before; False if the
        name, or a case that was learnt from, was removed meanwhile. `parent` are the weights of the
        mask decoder that it was learnt with.
        """
        with self._changing("Keeping what was learnt") as names:
            known = next((one for one in names if one.id == name.id), None)
            if known is None or not set(state.cases) <= set(known.cases):
                return False
            write_carried(self._folder / name.id, state, parent)
            learnt = [place for place in name_folders(self._folder) if (place / FILE).is_file()]
            learnt.sort(key=lambda place: (place / FILE).stat().st_mtime_ns)
            for place in learnt[:-MOST_CARRIED]:
                forget_learnt(place)
        return True

    def learnt(self, name: TaughtName, parent: Weights) -> CarriedState | None:
        """Return what was learnt about a name, whatever the model it was learnt with; None if
        nothing was, or if its file is damaged, which is noted.
        """
        place = self._folder / name.id
        try:
            return read_carried(place, name.name, parent)
        except (DamagedRecordError, OSError) as error:
            self._damage.note(place / FILE, f"it cannot be used: {error}")
            return None

    def learnt_facts(self, name: TaughtName) -> CarriedFacts | None:
        """Return where what was learnt about a name comes from; None if nothing was, or if its file
        is damaged, which is noted.
        """
        place = self._folder / name.id
        try:
            return read_facts(place)
        except (DamagedRecordError, OSError) as error:
            self._damage.note(place / FILE, f"it cannot be used: {error}")
            return None

    def check(self) -> None:
        """Read all names, and set damaged records aside where this process may write."""
        self.names()
        if not self._write_lock.is_possible or not self._folder.is_dir():
            return
        with output_errors("Checking taught names"):
            damaged = list(damaged_records(self._folder))
            if damaged:
                with self._write_lock.held():
                    self._set_aside()

    def _set_aside(self) -> None:
        for one in damaged_records(self._folder):
            aside = aside_name(one.path)
            one.path.rename(aside)
            self._damage.clear(one.path)
            self._damage.note_aside(aside, f"it was set aside: {one.why}")

    def _read(self) -> FolderContents:
        contents = read_folder(self._folder)
        for one in contents.damaged:
            self._damage.note(one.path, f"{one.why}; the record before it holds", self._look_again)
        return contents

    def _look_again(self) -> None:
        self._state = None
        self.names()

    def _state_on_disk(self) -> tuple[object, ...]:
        return tuple((path.name, path.stat().st_mtime_ns) for path in name_folders(self._folder))

    def _write(self, name: TaughtName, change: Change, user: str) -> TaughtName:
        write_change(self._folder, name, change, user=user, now=now())
        self._state = None  # two changes within the clock's tick leave the folder's time the same
        return name

    def _write_without(self, known: TaughtName, rest: TaughtName, user: str) -> None:
        write_without(self._folder, known, rest, user=user, now=now())
        self._state = None

    @contextmanager
    def _changing(self, action: str) -> Iterator[TaughtNames]:
        """Hold the write lock, and yield the names as they are then. Raises `OutputError`."""
        self._write_lock.check()
        with output_errors(action), self._write_lock.held():
            check_place(self._folder, FOLDER, is_folder=True)
            yield self.names()


def _new(name: str, known: TaughtNames) -> TaughtName:
    """Return a name without examples. Raises `RequestError`, `InfoTooLargeError`."""
    _check_text(name)
    if len(known) >= MOST_NAMES:
        raise InfoTooLargeError(
            f"expected at most {MOST_NAMES} taught names, and there are as many; remove some first"
        )
    return TaughtName(new_id(), name)


def _check_text(name: str) -> None:
    try:
        check_taught_name(name)
    except PromptError as error:
        raise RequestError(str(error)[:1].lower() + str(error)[1:].rstrip(".")) from error


def _found(names: TaughtNames, name: str) -> TaughtName:
    """Return a name by its id or in any spelling. Raises `NotFoundError`."""
    by_id = next((one for one in names if one.id == name), None)
    found = by_id or names.find(name)
    if found is None:
        raise NotFoundError(f"no name {name!r:.80} was taught in this study")
    return found
