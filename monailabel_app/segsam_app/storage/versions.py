"""Every label that was ever saved: the folder of one image's labels under one tag.

    labels/final/case.nii.gz                     the current label
    labels/final/.versions/case/0001.nii.gz      its voxels, as they were sent; never changed
    labels/final/.versions/case/0001.json        who, when, from which version, names, SHA-256
    labels/final/.versions/case/0002.pending.nii.gz   a current label about to take its place

A version exists from the moment that its record (the .json) has its name: that rename is the one
instant of a save. Before it, a kill leaves files without a record, which are swept; after it, a
pending file, which takes its place the next time that the folder is opened.

A save waits for the disk twice: for its files together before they have their names, and for the
folder with these names. That the current label then took its place is not waited for: without it
there is still the pending file, as after a kill.

Writing needs the store's lock; `staged` copies outside of it, so that others wait for a disk only
as long as short files need.
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

from segsam_app.storage.checks import LABEL_ENDINGS
from segsam_app.storage.durable import PARTIAL, copy, flush, is_abandoned, sha256_of

logger = logging.getLogger(__name__)

Kind = Literal["saved", "found", "conflict", "restored", "removed"]
VERSIONS = ".versions"
_SHORT_BYTES = 4 << 20
"""Of a label that is flushed together with its record, while others wait for the lock."""

_NUMBERED = re.compile(r"(\d{4,})(\.pending)?(\.[A-Za-z.]+)?")


@dataclass(frozen=True)
class Version:
    """One immutable version.

    `kind`: saved by an annotator; found beside the store's own files; kept of an annotator who
    began from an older version (conflict: never current by itself); restored from `restored_from`;
    or the mark that the label was removed, which has no voxels. `parent` is the version that was
    current before it (of a conflict: the one that its annotator began from), 0 for none. `names`
    are voxel value -> name, `info` what the client sent with it.
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
        """Whether it is the current label while it is the newest of its kind."""
        return self.kind not in ("conflict", "removed")


@dataclass(frozen=True)
class Staged:
    """Two copies of one file: the version to be, and the current label to be."""

    version: Path
    current: Path
    sha256: str
    size: int


class History:
    """The versions of the label of image `image_id` in `folder` = labels/<tag>."""

    def __init__(self, folder: Path, image_id: str) -> None:
        self._labels, self._id = folder, image_id
        self.folder = folder / VERSIONS / image_id

    def current_file(self, ending: str) -> Path:
        """Where the current label lies, or would."""
        return self._labels / f"{self._id}{ending}"

    def file(self, version: Version) -> Path:
        """The voxels of `version`."""
        return self.folder / f"{version.number:04d}{version.ending}"

    def all(self) -> list[Version]:
        """Oldest first. A record that cannot be read is left out and logged."""
        found = (self.get(number) for number in sorted(self._numbers(".json")))
        return [version for version in found if version is not None]

    def get(self, number: int) -> Version | None:
        """The version, or None when there is none, or its record or voxels are unreadable."""
        record = self.folder / f"{number:04d}.json"
        try:
            version = Version(**json.loads(record.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            logger.warning("version %d of a label has no readable record: %s", number, error)
            return None
        if version.kind != "removed" and not self.file(version).is_file():
            logger.warning("version %d of a label has lost its voxels", number)
            return None
        return version

    def newest(self) -> Version | None:
        """What the label is now: the newest version that is no conflict; may be a removal."""
        for number in sorted(self._numbers(".json"), reverse=True):
            version = self.get(number)
            if version is not None and version.kind != "conflict":
                return version
        return None

    def is_intact(self, version: Version) -> bool:
        """Whether the current label is still the file of `version`."""
        current = self.current_file(version.ending)
        if not current.is_file() or current.stat().st_size != version.size:
            return False
        return sha256_of(current) == version.sha256

    @contextmanager
    def staged(self, source: Path) -> Iterator[Staged]:
        """Copies of `source`; what was not used is gone afterwards. Raises OSError."""
        with self._scratch("a", "b") as (first, second):
            sha256 = copy(source, first, second)
            size = first.stat().st_size
            if size > _SHORT_BYTES:
                flush(first, second)
            yield Staged(first, second, sha256, size)

    def record(self, version: Version, staged: Staged | None) -> Version:
        """Make `version`, with the voxels of `staged`, the next one, on the disk.

        Its file is not current yet: `finish` does that, `withdraw` undoes this. Raises OSError, and
        then nothing was recorded.
        """
        number = max(self._numbers(), default=0) + 1
        version = replace(version, number=number)
        files: dict[Path, Path] = {}
        if staged is not None:
            version = replace(version, sha256=staged.sha256, size=staged.size)
            files[staged.version] = self.file(version)
            if version.is_label:
                files[staged.current] = self._pending(version)
        with self._scratch("r") as (fresh,), ExitStack() as undo:
            undo.callback(self.withdraw, version)
            fresh.write_text(json.dumps(asdict(version), indent=1, allow_nan=False), "utf-8")
            files[fresh] = self.folder / f"{number:04d}.json"  # the last to get its name
            flush(*files)
            for file, name in files.items():
                file.replace(name)
            flush(*self._folders(number))
            undo.pop_all()
        return version

    def withdraw(self, version: Version) -> None:
        """Undo `record`, as far as the disk lets."""
        for path in self._files_of(version.number):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def finish(self, version: Version) -> None:
        """Let the recorded `version` be what the label is now. Raises OSError."""
        kept = self.current_file(version.ending) if version.is_label else None
        if kept is not None and self._pending(version).exists():
            self._pending(version).replace(kept)
        elif kept is not None:
            return
        for ending in LABEL_ENDINGS:
            if (other := self.current_file(ending)) != kept:
                other.unlink(missing_ok=True)

    def current_endings(self) -> set[str]:
        """The formats in which a current label lies there; more than one after a kill."""
        files = {ending: self.current_file(ending) for ending in LABEL_ENDINGS}
        return {ending for ending, file in files.items() if file.is_file()}

    def settle(self) -> bool:
        """Finish or sweep what a killed process left; True when something was. Raises OSError."""
        if not self.folder.is_dir():
            return False
        left = [path for path in self.folder.iterdir() if self._is_left_over(path)]
        newest = self.newest()
        if newest is not None and newest.kind == "removed":
            removed = self.get(newest.parent)
            if removed is not None and self.is_intact(removed):
                self.current_file(removed.ending).unlink()
                return True
        if not left:
            return False
        if newest is not None and newest.is_label and self._pending(newest) in left:
            self.finish(newest)
        for path in left:
            path.unlink(missing_ok=True)
        return True

    def _is_left_over(self, path: Path) -> bool:
        if PARTIAL in path.name:  # another process may be writing it this moment, without the lock
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
    def _scratch(self, *parts: str) -> Iterator[list[Path]]:
        """Names for files that are being written; what still has one is gone afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        token = secrets.token_hex(8)
        paths = [self.folder / f".{token}-{part}{PARTIAL}" for part in parts]
        try:
            yield paths
        finally:
            for path in paths:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _folders(self, number: int) -> list[Path]:
        """Those that have a new name in them: at the first version also the ones above."""
        above = self.folder.parents[:4] if number == 1 else ()
        return [self.folder, *above]

    def _files_of(self, number: int) -> list[Path]:
        return list(self.folder.glob(f"{number:04d}.*"))

    def _pending(self, version: Version) -> Path:
        return self.folder / f"{version.number:04d}.pending{version.ending}"


def now() -> str:
    """The time for a record: UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
