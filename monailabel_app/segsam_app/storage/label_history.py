"""History of one label on disk, and the commit protocol by which a version is added to it.

    labels/final/case.nii.gz                          the current label
    labels/final/.versions/case/0001.nii.gz           voxels of version 1, as sent; never changed
    labels/final/.versions/case/0001.json             its record: who, when, parent, names, SHA-256
    labels/final/.versions/case/0002.pending.nii.gz   a copy that is about to become current
    labels/final/.versions/case/.<random>.partial     a file that is still being written

**The commit protocol.** `LabelWriter` saves a label in these steps; steps 2 to 6 hold the store's
write lock. The rename of the record in step 4 is the commit point: a version exists if and only if
its record has its name.

1. `staged`: copy the file twice, under partial names. One copy becomes the version, the other one
   the current label. Large copies are flushed here, before the lock is taken, so that other
   writers do not wait for them.
2. `settle`: complete or remove what a killed process left behind.
3. `record`: write the record under a partial name, then flush both copies and the record.
4. `record`: rename the voxels, the pending copy and, last, the record. Then flush the folder (and,
   for the first version, the folders above it, which may be new).
5. Append the new entry to the index. If that fails, `withdraw` removes the version again.
6. `finish`: exchange the pending copy and the current label, and remove current labels of other
   formats. What was there is looked at under another name, which no program writes to: only what is
   a version already is removed. A file that another program wrote meanwhile becomes a version, too.

The label is acknowledged to its client after step 6. What survives if the process is killed:

- before the record is renamed: the old label. Copies without a record, and partial files, are
  removed later; no version was ever visible.
- after the record is renamed: the new label. `settle` renames the pending copy the next time that
  the label is written or the store is opened, and the index is brought in line with the files.

A power cut leaves the same two cases. Data is flushed before it gets its name (step 3) and names
are flushed before the client gets its answer (step 4), so an acknowledged version is never lost.
Steps 5 and 6 are not flushed: the pending copy and the record are on the disk and suffice to repeat
them.

Methods that write need the store's write lock, except `staged`.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from segsam.errors import DamagedRecordError
from segsam_app.errors import NotFoundError
from segsam_app.storage.damage import DamageList, aside_name
from segsam_app.storage.disk import (
    PARTIAL,
    FileStamp,
    StagedCopies,
    check_place,
    copy,
    flush,
    give_back,
    in_the_way,
    is_abandoned,
    open_regular,
    put_in_place,
    read_regular,
    sha256_of,
    sha256_of_stream,
    stamp_of,
)
from segsam_app.storage.label_checks import FOUND_ENDINGS, twin_of_label
from segsam_app.storage.label_record import LabelVersion, read_version

VERSIONS = ".versions"
_FLUSH_EARLY_BYTES = 4 << 20
"""Size from which copies are flushed before the write lock is taken."""

_MOST_VERSIONS = 10**9
_NUMBERED = re.compile(r"(\d{4,})(\.pending)?(\.[A-Za-z.]+)?")


class LabelHistory:
    """Versions of the label of image `image_id` in `folder` = labels/<tag>."""

    def __init__(self, folder: Path, image_id: str, damage: DamageList | None = None) -> None:
        """`damage` lists the records that cannot be read."""
        self._labels, self.image_id = folder, image_id
        self.folder = folder / VERSIONS / image_id
        self.damage = damage or DamageList(folder)
        self._verified: dict[Path, FileStamp] = {}
        """Current label, and its state when it was found to be the newest version."""
        self.set_aside: list[Path] = []
        """Files that had to give way, and are no versions; each waits to become one."""

    def current_file(self, ending: str) -> Path:
        """Return the path of the current label in the format with this ending."""
        return self._labels / f"{self.image_id}{ending}"

    def file(self, version: LabelVersion) -> Path:
        """Return the path of the voxels of `version`."""
        return self.folder / f"{version.number:04d}{version.ending}"

    def all(self) -> list[LabelVersion]:
        """Return all readable versions, oldest first."""
        found = (self.get(number) for number in sorted(self._numbers(".json")))
        return [version for version in found if version is not None]

    def get(self, number: int) -> LabelVersion | None:
        """Return a version, or None if it does not exist or cannot be read (which is listed).

        A number that no version can have names no file, so nothing is damaged then.
        """
        if not 1 <= number <= _MOST_VERSIONS:
            return None
        record = self.record_file(number)
        try:
            version = read_version(read_regular(record), number)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.damage.note(record, error.strerror or type(error).__name__)
            return None
        except DamagedRecordError as error:
            self.damage.note(record, str(error))
            return None
        self.damage.clear(record)
        if version.kind != "removed" and not self.file(version).is_file():
            self.damage.note(self.file(version), "it is missing")
            return None
        return version

    def record_file(self, number: int) -> Path:
        """Return the path of the record of a version."""
        return self.folder / f"{number:04d}.json"

    def with_voxels(self, number: int) -> LabelVersion:
        """Return a version that has voxels. Raises `NotFoundError`."""
        version = self.get(number)
        if version is None or version.kind == "removed":
            raise NotFoundError(f"the label has no version {number!r:.20}")
        return version

    def voxels_of(self, version: LabelVersion) -> Path:
        """Return a file with exactly the voxels that `version` was saved with.

        That is its own, or else another one with its SHA-256: the current label, or a version that
        restored it. Raises `NotFoundError` if no file has them any more, OSError.
        """
        own = self.file(version)
        if not version.sha256:  # a record that was written without one
            return own
        if sha256_of(own) == version.sha256:
            self.damage.clear(own)
            return own
        self.damage.note(own, "it is not what was saved: its SHA-256 is another")
        others = [self.file(one) for one in self.all() if one.sha256 == version.sha256]
        for file in [self.current_file(version.ending), *others]:
            if file.is_file() and sha256_of(file) == version.sha256:
                return file
        raise _damaged(version)

    def open_voxels(self, version: LabelVersion) -> BinaryIO:
        """Open a file with exactly the voxels that `version` was saved with, as `voxels_of` does.

        What is read from it is what was compared, whatever takes the name of the file meanwhile.
        """
        stream = open_regular(self.voxels_of(version))
        if version.sha256 and sha256_of_stream(stream) != version.sha256:
            stream.close()
            raise _damaged(version)
        stream.seek(0)
        return stream

    def check(self) -> None:
        """Read all records, and compare all voxels with their SHA-256; what is damaged is listed.

        Raises OSError.
        """
        for version in self.all():
            if version.kind != "removed":
                with suppress(NotFoundError):
                    self.voxels_of(version)

    def newest(self) -> LabelVersion | None:
        """Return the newest version that was current; it may be a removal."""
        for number in sorted(self._numbers(".json"), reverse=True):
            version = self.get(number)
            if version is not None and version.was_current:
                return version
        return None

    def replace_record(self, version: LabelVersion) -> None:
        """Write the record of `version` anew; the damaged one stays beside it. Raises OSError."""
        record = self.record_file(version.number)
        with self._partial_files("r") as (temporary,):
            temporary.write_text(version.to_json(), "utf-8")
            flush(temporary)
            record.replace(aside_name(record))
            temporary.replace(record)
            flush(self.folder)
        self.damage.clear(record)

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
        number = max(self._numbers(), default=0) + 1
        version = replace(version, number=number)
        files: dict[Path, Path] = {}
        if staged is not None:
            version = replace(version, sha256=staged.sha256, size=staged.size)
            files[staged.version] = self.file(version)
            if version.is_label:
                files[staged.current] = self._pending_file(version)
        with self._partial_files("r") as (temporary,), ExitStack() as undo:
            undo.callback(self.withdraw, version)
            temporary.write_text(version.to_json(), "utf-8")
            files[temporary] = self.record_file(number)  # renamed last: the commit point
            flush(*files)
            for file, name in files.items():
                file.replace(name)
            # The first version may have made the folders above: their names need a flush as well.
            flush(self.folder, *(self.folder.parents[:4] if number == 1 else ()))
            undo.pop_all()
        return version

    def withdraw(self, version: LabelVersion) -> None:
        """Undo `record`, as far as the disk allows it."""
        for path in self.folder.glob(f"{version.number:04d}.*"):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def finish(self, version: LabelVersion) -> None:
        """Make the recorded `version` the current label (step 6). Raises OSError."""
        current = self.current_file(version.ending) if version.is_label else None
        if current is not None and self._pending_file(version).exists():
            self._put_in_place(self._pending_file(version), current)
        elif current is not None:
            return
        for ending in self.endings():
            if (other := self.current_file(ending)) != current:
                self.remove_if_kept(other)

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

    def put_back(self, version: LabelVersion) -> None:
        """Make the voxels of `version` its current label again; what is there is set aside.

        Raises `NotFoundError`, OSError.
        """
        with self._partial_files("c") as (temporary,):
            if copy(self.voxels_of(version), temporary) != version.sha256 and version.sha256:
                raise _damaged(version)
            flush(temporary)
            self._put_in_place(temporary, self.current_file(version.ending))

    def is_version(self, file: Path) -> bool:
        """Return True if a file holds the voxels of a version, so that nothing is lost with it."""
        if self._verified.get(file) == stamp_of(file):
            return True
        digest = sha256_of(file)
        for number in sorted(self._numbers(".json"), reverse=True):
            version = self.get(number)
            if version is None or version.sha256 != digest or version.kind == "removed":
                continue
            if sha256_of(self.file(version)) == digest:
                return True
        return False

    def endings(self, also: Iterable[str] = ()) -> set[str]:
        """Return the endings of the current label's files, as they are spelled.

        There may be several, of other programs or after a kill. Spellings in small or large letters
        are found, and those in `also`.
        """
        found: dict[tuple[int, int], str] = {}
        for ending in (*FOUND_ENDINGS, *map(str.upper, FOUND_ENDINGS), *sorted(also)):
            file = self.current_file(ending)
            if file.is_file() and not file.is_symlink() and not self._is_of_twin(file, ending):
                status = file.stat()  # the same file twice where letters do not differ
                found.setdefault((status.st_dev, status.st_ino), ending)
        return set(found.values())

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
        abandoned = [path for path in self.folder.iterdir() if self._is_abandoned(path)]
        newest = self.newest()
        if newest is not None and newest.kind == "removed":
            removed = self.get(newest.parent)
            if removed is not None and self.is_intact(removed):
                self.remove_if_kept(self.current_file(removed.ending))
                return True
        if not abandoned:
            return False
        if newest is not None and self._waits(newest, abandoned):
            self.finish(newest)
        for path in abandoned:
            self._clear_up(path)
        return True

    def _waits(self, newest: LabelVersion, abandoned: Sequence[Path]) -> bool:
        """Return True if the newest version is not the current label yet. Its pending copy may also
        be what gave way to it.
        """
        pending = self._pending_file(newest)
        if not newest.is_label or pending not in abandoned:
            return False
        return newest.sha256 in ("", sha256_of(pending))

    def _clear_up(self, path: Path) -> None:
        """Remove what a killed process left; what gave way to its label is set aside."""
        match = _NUMBERED.fullmatch(path.name)
        if in_the_way(path):
            if PARTIAL in path.name:
                shutil.rmtree(path, ignore_errors=True)
            return
        if match and match[2] and self.record_file(int(match[1])).is_file():
            voxels = self.folder / f"{match[1]}{match[3] or ''}"
            is_copy = voxels.is_file() and sha256_of(voxels) == sha256_of(path)
            if not is_copy and not self.is_version(path):
                aside = aside_name(self.current_file(match[3] or ""), "aside")
                path.rename(aside)
                self.set_aside.append(aside)
        path.unlink(missing_ok=True)

    def last_number(self) -> int:
        """Return the number of the last version, readable or not; 0 for none."""
        return max(self._numbers(".json"), default=0)

    def _is_abandoned(self, path: Path) -> bool:
        if PARTIAL in path.name:  # `staged` of another process may be writing it, without the lock
            return is_abandoned(path)
        match = _NUMBERED.fullmatch(path.name)
        if match is None or path.suffix == ".json":
            return False
        return bool(match[2]) or not (self.folder / f"{match[1]}.json").exists()

    def _numbers(self, suffix: str = "") -> set[int]:
        if not self.folder.is_dir():
            return set()
        matches = (
            _NUMBERED.fullmatch(path.name)
            for path in self.folder.iterdir()
            if path.name.endswith(suffix)
        )
        return {int(match[1]) for match in matches if match}

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


def _damaged(version: LabelVersion) -> NotFoundError:
    return NotFoundError(
        f"version {version.number} of the label is damaged on the disk: its voxels are not "
        "those that were saved; other versions are not affected"
    )
