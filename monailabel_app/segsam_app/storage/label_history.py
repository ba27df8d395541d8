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
6. `finish`: rename the pending copy over the current label, and remove current labels of other
   formats.

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

import json
import logging
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from segsam_app.errors import NotFoundError
from segsam_app.storage.disk import PARTIAL, copy, flush, is_abandoned, sha256_of
from segsam_app.storage.label_checks import LABEL_ENDINGS

logger = logging.getLogger(__name__)

Kind = Literal["saved", "found", "conflict", "restored", "removed"]
VERSIONS = ".versions"
_FLUSH_EARLY_BYTES = 4 << 20
"""Size from which copies are flushed before the write lock is taken."""

_NUMBERED = re.compile(r"(\d{4,})(\.pending)?(\.[A-Za-z.]+)?")


@dataclass(frozen=True)
class LabelVersion:
    """One immutable version; its fields are the keys of the record on disk.

    `kind` is one of: `saved` by an annotator; `found`, a file that was put there without the store;
    `conflict`, saved by an annotator who began from an older version, and never current itself;
    `restored` from version `restored_from`; `removed`, a mark without voxels that hides the label.
    `parent` is the version that was current before (for a conflict: the one that the annotator
    began from), 0 for none. `names` maps voxel values to names; `info` is what the client sent.
    """

    number: int
    kind: Kind
    parent: int = 0
    created: str = ""
    user: str = ""
    ending: str = ""
    sha256: str = ""
    size: int = 0
    names: dict[str, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    restored_from: int | None = None

    @property
    def is_label(self) -> bool:
        """True if this is the current label as long as no newer version is."""
        return self.kind not in ("conflict", "removed")


@dataclass(frozen=True)
class StagedCopies:
    """Two copies of one file: one for the version, one for the current label."""

    version: Path
    current: Path
    sha256: str
    size: int


class LabelHistory:
    """Versions of the label of image `image_id` in `folder` = labels/<tag>."""

    def __init__(self, folder: Path, image_id: str) -> None:
        self._labels, self._id = folder, image_id
        self.folder = folder / VERSIONS / image_id

    def current_file(self, ending: str) -> Path:
        """Return the path of the current label in the format with this ending."""
        return self._labels / f"{self._id}{ending}"

    def file(self, version: LabelVersion) -> Path:
        """Return the path of the voxels of `version`."""
        return self.folder / f"{version.number:04d}{version.ending}"

    def all(self) -> list[LabelVersion]:
        """Return all readable versions, oldest first."""
        found = (self.get(number) for number in sorted(self._numbers(".json")))
        return [version for version in found if version is not None]

    def get(self, number: int) -> LabelVersion | None:
        """Return a version, or None if it does not exist or cannot be read (which is logged)."""
        record = self.folder / f"{number:04d}.json"
        try:
            version = LabelVersion(**json.loads(record.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            logger.warning("the record of version %d of a label cannot be read: %s", number, error)
            return None
        if version.kind != "removed" and not self.file(version).is_file():
            logger.warning("the voxels of version %d of a label are missing", number)
            return None
        return version

    def with_voxels(self, number: int) -> LabelVersion:
        """Return a version that has voxels. Raises `NotFoundError`."""
        version = self.get(number)
        if version is None or version.kind == "removed":
            raise NotFoundError(f"the label has no version {number}")
        return version

    def newest(self) -> LabelVersion | None:
        """Return the newest version that is not a conflict; it may be a removal."""
        for number in sorted(self._numbers(".json"), reverse=True):
            version = self.get(number)
            if version is not None and version.kind != "conflict":
                return version
        return None

    def is_intact(self, version: LabelVersion) -> bool:
        """Return True if the current label is still the file of `version`."""
        current = self.current_file(version.ending)
        if not current.is_file() or current.stat().st_size != version.size:
            return False
        return sha256_of(current) == version.sha256

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
            temporary.write_text(json.dumps(asdict(version), indent=1, allow_nan=False), "utf-8")
            files[temporary] = self.folder / f"{number:04d}.json"  # renamed last: the commit point
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
            self._pending_file(version).replace(current)
        elif current is not None:
            return
        for ending in LABEL_ENDINGS:
            if (other := self.current_file(ending)) != current:
                other.unlink(missing_ok=True)

    def current_endings(self) -> set[str]:
        """Return the endings of the current label's files; after a kill there may be two."""
        return {ending for ending in LABEL_ENDINGS if self.current_file(ending).is_file()}

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
                self.current_file(removed.ending).unlink()
                return True
        if not abandoned:
            return False
        if newest is not None and newest.is_label and self._pending_file(newest) in abandoned:
            self.finish(newest)
        for path in abandoned:
            path.unlink(missing_ok=True)
        return True

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


def now() -> str:
    """Return the time for a record: UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
