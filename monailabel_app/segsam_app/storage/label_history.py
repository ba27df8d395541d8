"""History of one label on disk, and the commit protocol by which a version is added to it.

    labels/final/case.nii.gz                          the current label
    labels/final/.versions/case/0001.nii.gz           voxels of version 1, as sent; never changed
    labels/final/.versions/case/0001.json             its record: who, when, parent, names, SHA-256
    labels/final/.versions/case/0002.pending.nii.gz   a copy that is about to become current
    labels/final/.versions/case/0002.pending.json     a record whose version is being committed
    labels/final/.versions/case/.<random>.partial     a file that is still being written

**The commit protocol.** `LabelWriter` saves a label in these steps; steps 2 to 6 hold the store's
write lock. The rename of the record in step 4 is the commit point: a version exists if and only if
its record has its name.

1. `staged`: copy the file twice, under partial names. One copy becomes the version, the other one
   the current label. Large copies are flushed here, before the lock is taken, so that other
   writers do not wait for them.
2. `settle`: complete or remove what a killed process left behind. Only names that nothing but a
   save in progress has (`.partial`, `.pending`) are removed; voxels of a version never are.
3. `record`: write the record under a partial name, then flush both copies and the record.
4. `record`: rename the record to its pending name, the pending copy, the voxels and, last, the
   record. Then flush the folder (and, for the first version, the folders above it, which may be
   new).
5. Append the new entry to the index. If that fails, `withdraw` removes the version again.
6. `finish_if_possible`: exchange the pending copy and the current label, and remove current labels
   of other formats. What was there is looked at under another name, which no program writes to:
   only what is a version already is removed. A file that another program wrote meanwhile becomes a
   version, too.

The label is acknowledged to its client after step 6. What survives if the process is killed:

- before the voxels are renamed: the old label. Pending and partial files are removed later; no
  version was ever visible.
- between the voxels and the record: the new label. `settle` gives the pending record its name.
- after the record is renamed: the new label. `settle` renames the pending copy the next time that
  the label is written or the store is opened, and the index is brought in line with the files.

Voxels without any record are those of a version whose record a person or a disk has lost: they
keep their number, are named in health, and get a record again (`LabelWriter`).

A power cut leaves the same cases. Data is flushed before it gets its name (step 3) and names
are flushed before the client gets its answer (step 4), so an acknowledged version is never lost.
Steps 5 and 6 are not flushed: the pending copy and the record are on the disk and suffice to repeat
them.

Methods that write need the store's write lock, except `staged`.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from segsam.errors import DamagedRecordError
from segsam_app.storage.damage import DamageList, aside_name
from segsam_app.storage.disk import (
    PARTIAL,
    FileStamp,
    StagedCopies,
    check_may_write,
    check_place,
    copy,
    flush,
    give_back,
    in_the_way,
    is_abandoned,
    put_in_place,
    read_regular,
    sha256_of,
    stamp_of,
)
from segsam_app.storage.kept_versions import KeptVersions, damaged_version
from segsam_app.storage.label_checks import twin_of_label
from segsam_app.storage.label_record import LabelVersion, read_version
from segsam_app.storage.version_files import NUMBERED, VERSIONS

_FLUSH_EARLY_BYTES = 4 << 20
"""Size from which copies are flushed before the write lock is taken."""


class LabelHistory(KeptVersions):
    """Versions of the label of image `image_id` in `folder` = labels/<tag>."""

    def __init__(self, folder: Path, image_id: str, damage: DamageList | None = None) -> None:
        """`damage` lists the records that cannot be read."""
        super().__init__(folder, image_id, damage)
        self._verified: dict[Path, FileStamp] = {}
        """Current label, and its state when it was found to be the newest version."""
        self.set_aside: list[Path] = []
        """Files that had to give way, and are no versions; each waits to become one."""

    def replace_record(self, version: LabelVersion) -> None:
        """Write the record of `version` anew, or again; a damaged one stays beside it.

        Raises OSError.
        """
        record = self.record_file(version.number)
        with self._partial_files("r") as (temporary,):
            temporary.write_text(version.to_json(), "utf-8")
            flush(temporary)
            if os.path.lexists(record):
                record.replace(aside_name(record))
            temporary.replace(record)
            flush(self.folder)
        self.damage.clear(record)
        self.damage.clear(self.file(version))

    def is_intact(self, version: LabelVersion) -> bool:
        """Return True if the current label is still the file of `version`."""
        current = self.current_file(version.ending)
        stamp = stamp_of(current)
        if stamp is None or stamp.size != version.size or sha256_of(current) != version.sha256:
            return False
        self._verified[current] = stamp
        return True

    @contextmanager
    def staged(self, source: Path) -> Iterator[StagedCopies]:
        """Copy `source` twice (step 1); unused copies are removed afterwards. Raises OSError."""
        with self._partial_files("a", "b") as (first, second):
            sha256 = copy(source, first, second)
            size = first.stat().st_size
            if size > _FLUSH_EARLY_BYTES:
                flush(first, second)
            yield StagedCopies(first, second, sha256, size)

    def record(self, version: LabelVersion, staged: StagedCopies | None) -> LabelVersion:
        """Commit `version` as the next one, with the voxels in `staged` (steps 3 and 4).

        Its file is not the current label yet: `finish` makes it so, `withdraw` undoes the commit.
        Raises OSError; then nothing was recorded.
        """
        number = self.next_number()
        version = replace(version, number=number)
        waiting, record = self.pending_record(number), self.record_file(number)
        with self._partial_files("r") as (temporary,), ExitStack() as undo:
            files = {temporary: waiting}  # renamed in this order; the record's own name comes last
            if staged is not None:
                version = replace(version, sha256=staged.sha256, size=staged.size)
                if version.is_label:
                    files[staged.current] = self.pending_file(version)
                files[staged.version] = self.file(version)
            temporary.write_text(version.to_json(), "utf-8")
            flush(*files)
            if number != self.next_number():  # a person has put a file with this number there
                raise OSError(errno.EEXIST, f"there is a file with the number {number} now")
            undo.callback(self.withdraw, version)
            for file, name in files.items():
                file.replace(name)
            waiting.replace(record)  # the commit point
            # The first version may have made the folders above: their names need a flush as well.
            flush(self.folder, *(self.folder.parents[:4] if number == 1 else ()))
            undo.pop_all()
        return version

    def withdraw(self, version: LabelVersion) -> None:
        """Undo `record`, as far as the disk allows it: its own four files, and nothing else."""
        waiting = self.pending_record(version.number)
        with suppress(OSError):
            self.record_file(version.number).replace(waiting)  # no version from here on
        for path in (self.pending_file(version), self.file(version), waiting):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def finish(self, version: LabelVersion) -> None:
        """Make the recorded `version` the current label (step 6). Raises OSError."""
        current = self.current_file(version.ending) if version.is_label else None
        if current is not None and self.pending_file(version).exists():
            self._put_in_place(self.pending_file(version), current)
            self.damage.clear(current)
        elif current is not None:
            return
        for ending in self.endings():
            if (other := self.current_file(ending)) != current:
                self.remove_if_kept(other)

    def finish_if_possible(self, version: LabelVersion) -> bool:
        """Make a recorded version the current label, or list why the next save or start has to.

        It is the current label either way: it is on the disk, and in the index.
        """
        try:
            self.finish(version)
        except OSError as error:
            why = f"it could not give way to version {version.number} yet: {error.strerror}"
            self.damage.note(self.current_file(version.ending), why)
            return False
        return True

    def check_places(self, ending: str = "") -> None:
        """Look where the versions and, with an ending, the current label have to be.

        Raises OSError with a sentence if something else lies there.
        """
        places = dict.fromkeys((*reversed(self.folder.parents[:3]), self.folder), True)
        if ending:
            places[self.current_file(ending)] = False
        for place, is_folder in places.items():
            self.damage.note_place(place, is_folder=is_folder)
            check_place(place, self.damage.name_of(place), is_folder=is_folder)

    def check_may_write(self) -> None:
        """Look whether the current label may be exchanged. Raises OSError with a sentence."""
        check_may_write(self._labels, self.damage.name_of(self._labels))

    def put_back(self, version: LabelVersion) -> None:
        """Make the voxels of `version` its current label again; what is there is set aside.

        Raises `NotFoundError`, OSError.
        """
        with self._partial_files("c") as (temporary,):
            if copy(self.voxels_of(version), temporary) != version.sha256 and version.sha256:
                raise damaged_version(version)
            flush(temporary)
            self._put_in_place(temporary, self.current_file(version.ending))

    def is_version(self, file: Path) -> bool:
        """Return True if a file holds the voxels of a version, so that nothing is lost with it."""
        if self._verified.get(file) == stamp_of(file):
            return True
        digest = sha256_of(file)
        for number in sorted(self.recorded(), reverse=True):
            version = self.get(number)
            if version is None or version.sha256 != digest or version.kind == "removed":
                continue
            if sha256_of(self.file(version)) == digest:
                return True
        return False

    def endings(self, also: Iterable[str] = ()) -> set[str]:
        """Return the endings of the current label's files; see `VersionFiles.endings`. A version of
        the other image whose label may have such a name is none of them.
        """
        found = super().endings(also)
        return {each for each in found if not self._is_of_twin(self.current_file(each), each)}

    def _is_of_twin(self, file: Path, ending: str) -> bool:
        """Return True for a version of the other image whose label has this file name, if any."""
        twin = twin_of_label(self.image_id, ending)
        if not twin or not (self._labels / VERSIONS / twin).is_dir():
            return False
        other = LabelHistory(self._labels, twin, self.damage)
        return other.is_version(file) and not self.is_version(file)

    def remove_if_kept(self, file: Path) -> None:
        """Remove a current label that is a version. Raises OSError.

        Another program may put another one there at any time: what is removed is looked at once
        more, under a name of its own.
        """
        if not file.is_file() or not self.is_version(file):
            return
        aside = aside_name(file, "aside")
        with suppress(FileNotFoundError):
            file.rename(aside)
            if not self._is_removed(aside) and not give_back(aside, file):
                self.set_aside.append(aside)

    def _put_in_place(self, new: Path, current: Path) -> None:
        """Make a file the current label; what was there is set aside unless it is a version."""
        aside, before = aside_name(current, "aside"), stamp_of(current)
        if not put_in_place(new, current, aside):
            return
        after = stamp_of(aside)
        is_known = before is not None and self._verified.get(current) == before
        if is_known and before and after and before[:3] == after[:3]:
            aside.unlink()  # a new name changes the time of the state only
        elif not self._is_removed(aside):
            self.set_aside.append(aside)

    def _is_removed(self, aside: Path) -> bool:
        """Remove what was renamed if it is a version, so that nothing is lost with it."""
        if not aside.is_file() or aside.is_symlink() or not self.is_version(aside):
            return False
        aside.unlink()
        return True

    def settle(self) -> bool:
        """Complete or remove the files that a killed process left (step 2); True if there were any.

        Raises OSError.
        """
        if not self.folder.is_dir():
            return False
        numbers = self.waiting()
        for number in sorted(numbers):
            self._complete(number)
        abandoned = [path for path in self.folder.iterdir() if self._is_abandoned(path)]
        newest = self.newest()
        if newest is not None and newest.kind == "removed":
            removed = self.get(newest.parent)
            if removed is not None and self.is_intact(removed):
                self.remove_if_kept(self.current_file(removed.ending))
                return True
        if not abandoned:
            return bool(numbers)
        if newest is not None and self._waits(newest, abandoned):
            self.finish(newest)
        for path in abandoned:
            self._clear_up(path)
        return True

    def _complete(self, number: int) -> None:
        """Give a waiting record its name if its voxels have theirs; else remove it."""
        waiting, record = self.pending_record(number), self.record_file(number)
        if in_the_way(waiting):
            return
        try:
            version = read_version(read_regular(waiting), number)
        except DamagedRecordError:
            waiting.replace(aside_name(record))
            return
        voxels = self.file(version)
        has_voxels = version.kind == "removed" or (
            stamp_of(voxels) is not None and sha256_of(voxels) == version.sha256
        )
        if has_voxels and not os.path.lexists(record):
            waiting.replace(record)
        else:
            waiting.unlink()

    def _waits(self, newest: LabelVersion, abandoned: Sequence[Path]) -> bool:
        """Return True if the newest version is not the current label yet. Its pending copy may also
        be what gave way to it.
        """
        pending = self.pending_file(newest)
        if not newest.is_label or pending not in abandoned:
            return False
        return newest.sha256 in ("", sha256_of(pending))

    def _clear_up(self, path: Path) -> None:
        """Remove what a killed process left; what gave way to its label is set aside."""
        match = NUMBERED.fullmatch(path.name)
        if in_the_way(path):
            if PARTIAL in path.name:
                shutil.rmtree(path, ignore_errors=True)
            return
        if not path.exists():  # it has become current
            return
        voxels = self.folder / f"{match[1]}{match[3] or ''}" if match else path
        if match and any(map(os.path.lexists, (voxels, self.record_file(int(match[1]))))):
            is_copy = voxels.is_file() and sha256_of(voxels) == sha256_of(path)
            if not is_copy and not self.is_version(path):
                aside = aside_name(self.current_file(match[3] or ""), "aside")
                path.rename(aside)
                self.set_aside.append(aside)
        path.unlink(missing_ok=True)

    def _is_abandoned(self, path: Path) -> bool:
        """Return True for a name that only a save in progress has. `staged` of another process may
        be writing a young partial file, without the lock; pending records are completed before.
        """
        if PARTIAL in path.name:
            return path.name.startswith(".") and is_abandoned(path)
        match = NUMBERED.fullmatch(path.name)
        return bool(match and match[2]) and path.suffix != ".json"

    @contextmanager
    def _partial_files(self, *parts: str) -> Iterator[list[Path]]:
        """Yield paths for new files; files that still have these names at the end are removed."""
        self.check_places()
        self.folder.mkdir(parents=True, exist_ok=True)
        token = secrets.token_hex(8)
        paths = [self.folder / f".{token}-{part}{PARTIAL}" for part in parts]
        try:
            yield paths
        finally:
            for path in paths:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _pending_file(self, version: LabelVersion) -> Path:
        return self.folder / f"{version.number:04d}.pending{version.ending}"
