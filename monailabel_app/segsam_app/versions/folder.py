"""Folder with the versions of one model, and the choice of the current one.

    <folder>/0001/{model.safetensors, model.json, version.json}    one version, never changed
    <folder>/0001/SHA256SUMS                                       of these three files
    <folder>/current.json                                          {"version": "0001"}
    <folder>/current.last.json                                     the same, for the case of damage
    <folder>/.training.lock                                        held while a training runs
    <folder>/.<name>.partial                                       a version being written

A version is written under a partial name, flushed and then renamed, so it is complete or does not
exist. One small file names the current version; it is replaced by a rename as well, and every
process notices that with its next request. Versions that were damaged, by hand or by a disk, are
skipped and reported; a damaged `current.json` keeps the last choice.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from segsam.errors import CheckpointError, DamagedRecordError
from segsam.model.card import read_card
from segsam.model.checkpoint import default_name, find_card
from segsam.system.atomic import write_bytes, write_json
from segsam.system.checked_json import read_object, with_checksum
from segsam_app.errors import ConflictError, NotFoundError
from segsam_app.storage.damage import aside_name
from segsam_app.storage.disk import (
    PARTIAL,
    FileStamp,
    flush,
    output_errors,
    remove_abandoned,
    sha256_of,
    stamp_of,
)
from segsam_app.versions.record import (
    CARD,
    FIRST,
    RECORD,
    WEIGHTS,
    Metrics,
    VersionRecord,
    read_record,
)

CURRENT = "current.json"
LAST = "current.last.json"
SUMS = "SHA256SUMS"
_LOCK = ".training.lock"
_LOCK_TIMEOUT_SECONDS = 3.0
"""Long enough for others that hold the lock for a moment, to see whether a training runs."""

_NUMBER = re.compile(r"\d{4}", re.ASCII)
_FILES = (WEIGHTS, CARD, RECORD)
_MAX_CHOICE_BYTES = 1 << 16
_READ_ONLY = 0o444


@dataclass(frozen=True)
class VersionHistory:
    """Versions in a folder at one moment.

    `versions` are the usable ones, oldest first, beginning with the checkpoint that the server was
    started with. `damaged` maps ids to what is wrong. `notes` are sentences for the operator.
    """

    current: str
    versions: tuple[VersionRecord, ...]
    damaged: dict[str, str]
    notes: tuple[str, ...]

    def find(self, version: str) -> VersionRecord:
        """Return a usable version.

        Raises `NotFoundError` if there is none, `CheckpointError` if it is damaged.
        """
        for record in self.versions:
            if record.id == version:
                return record
        if version in self.damaged:
            raise CheckpointError(
                f"version {version} cannot be used: {self.damaged[version]}; other versions are "
                "not affected"
            )
        known = ", ".join(record.id for record in self.versions)
        raise NotFoundError(f"there is no version {version!r:.40}; there are {known}")


class VersionFolder:
    """Versions of the model that began as `checkpoint`; safe for many threads and processes."""

    def __init__(self, folder: Path, checkpoint: str | None, first: VersionRecord) -> None:
        """Use `folder`, which need not exist; `first` is the record of the checkpoint itself."""
        self.folder = folder
        self._checkpoint = checkpoint
        self._first = first
        self._checked: dict[tuple[object, ...], VersionRecord | str] = {}
        """Cache of `_read`, by version, modification times and sizes of its files."""
        self._damaged: dict[str, str] = {}
        self._current: tuple[tuple[FileStamp | None, ...], str] = ((), FIRST)
        """Cache of `current`, with the states of the files that it was read from."""

    @classmethod
    def open(cls, root: Path, checkpoint: str | None) -> VersionFolder:
        """Open the versions that descend from a checkpoint (None: the default) under `root`.

        Each checkpoint has a folder of its own: versions trained from one are no versions of the
        other, and are there again when the operator returns to it. Raises `CheckpointError` for a
        damaged card.
        """
        return cls(root / version_folder_name(checkpoint), checkpoint, _first_record(checkpoint))

    def history(self) -> VersionHistory:
        """Return all versions as they are now."""
        found = {name: self._read(name) for name in self._names()}
        damaged = {name: reason for name, reason in found.items() if isinstance(reason, str)}
        usable = [record for record in found.values() if isinstance(record, VersionRecord)]
        current, notes = self._choose(usable)
        self._damaged = damaged | ({CURRENT: notes[0]} if notes else {})
        return VersionHistory(current, (self._first, *usable), damaged, notes)

    @property
    def checkpoint(self) -> str | None:
        """Weights of the current version, as `load_pretrained` takes them."""
        return self.weights(self.current)

    @property
    def current(self) -> str:
        """Id of the current version. If nothing changed, only the files' states are read."""
        state = tuple(stamp_of(self.folder / name) for name in (CURRENT, LAST))
        if not any(state):
            return FIRST
        known_state, version = self._current
        if state != known_state or isinstance(self._read(version), str):
            version = self.history().current
            self._current = (state, version)
        return version

    def weights(self, version: str) -> str | None:
        """Return the weights of a version; for the first, the checkpoint of the server's start."""
        return self._checkpoint if version == FIRST else str(self.folder / version / WEIGHTS)

    def use(self, version: str) -> VersionHistory:
        """Make a version current, after its files were compared with their SHA-256 again.

        Raises as `VersionHistory.find`, and `OutputError`.
        """
        self._checked = {key: found for key, found in self._checked.items() if key[0] != version}
        self.history().find(version)
        choice = with_checksum({"version": version})
        with output_errors("Choosing a version"):
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in (LAST, CURRENT):
                file = self.folder / name
                if file.exists() and choice_in(file) is None:
                    file.rename(aside_name(file))
        for name in (LAST, CURRENT):
            write_json(self.folder / name, choice)
        return self.history()

    @property
    def damaged(self) -> dict[str, str]:
        """Files that were damaged when the versions were last looked at: name -> clause."""
        return self._damaged

    def publish(
        self, save: Callable[[Path], object], describe: Callable[[str, str], VersionRecord]
    ) -> VersionRecord:
        """Add a version, and make it current if its record is marked as promoted.

        Args:
            save: writes weights and card to the path that it is given.
            describe: makes the record, from the id and the SHA-256 of the weights.

        Raises:
            OutputError: disk error; then there is no new version.
        """
        with output_errors("Writing a version"):
            self.folder.mkdir(parents=True, exist_ok=True)
        chosen = map(choice_in, (self.folder / CURRENT, self.folder / LAST))
        number = f"{max(map(int, (FIRST, *self._names(), *filter(None, chosen)))) + 1:04d}"
        staged = self.folder / f".{number}-{secrets.token_hex(4)}{PARTIAL}"
        try:
            with output_errors("Writing a version"):
                staged.mkdir()
                save(staged / WEIGHTS)
                record = describe(number, sha256_of(staged / WEIGHTS))
                write_bytes(staged / RECORD, record.model_dump_json(indent=1).encode())
                write_bytes(staged / SUMS, _sums(staged).encode())
                for path in staged.iterdir():
                    path.chmod(_READ_ONLY)
                flush(staged)
                staged.rename(self.folder / number)
                flush(self.folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        if record.promoted:
            self.use(number)
        return record

    @contextmanager
    def training_lock(self, *, timeout: float = _LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
        """Hold the lock of the one training that may run, over all processes.

        The operating system releases it when its process ends.

        Raises:
            ConflictError: another training of this model runs.
            OutputError: the folder cannot be written to.
        """
        with output_errors("Locking the versions"):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(self.folder / _LOCK), timeout=timeout)
        with output_errors("Locking the versions"):
            try:
                lock.acquire()
            except Timeout as error:
                raise ConflictError(
                    "a training of this model is already running, in another process; wait until "
                    "it has ended"
                ) from error
        try:
            self._remove_abandoned()
            yield
        finally:
            lock.release()

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(each.name for each in self.folder.iterdir() if _NUMBER.fullmatch(each.name))

    def _read(self, name: str) -> VersionRecord | str:
        """Return the record of a version, or a clause that states what is wrong with it.

        Weights are hashed again only if a file changed.
        """
        if name == FIRST:
            return self._first
        folder = self.folder / name
        try:
            record = read_record(folder)
            key = (name, *(stamp_of(folder / file) for file in (*_FILES, SUMS)))
            if key not in self._checked:
                self._checked[key] = _checked(folder, record)
        except CheckpointError as error:
            return str(error)
        except OSError:
            return f"its weights ({WEIGHTS}) or their card ({CARD}) are missing"
        found = self._checked[key]
        return found if isinstance(found, str) else record

    def _choose(self, usable: list[VersionRecord]) -> tuple[str, tuple[str, ...]]:
        """Return the version that current.json names, or else the newest promoted one before it.

        A damaged file keeps the last choice, which is in a second one.
        """
        files = [self.folder / name for name in (CURRENT, LAST)]
        if not any(file.exists() for file in files):
            return FIRST, ()
        choice, last = map(choice_in, files)
        named = choice or last
        if named in {FIRST, *(record.id for record in usable)}:
            problem = f"{CURRENT}, which names the current version, is damaged or missing"
            notes = () if choice else (f"{problem}; the last choice {named} is used instead",)
            return str(named), notes
        earlier = [
            record.id for record in usable if record.promoted and (not named or record.id < named)
        ]
        chosen = earlier[-1] if earlier else FIRST
        problem = f"version {named}, which is current, cannot be used"
        if not named:
            problem = f"{CURRENT}, which names the current version, is damaged"
        return chosen, (f"{problem}; {chosen} is used instead",)

    def _remove_abandoned(self) -> None:
        """Remove the partial versions and files that killed processes left.

        Only the holder of the training lock writes folders, so partial folders are removed at once.
        A partial file may be a `current.json` that another process is writing, so it is removed
        only when it is old.
        """
        for path in self.folder.glob(f".*{PARTIAL}"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        remove_abandoned(self.folder)


def version_folder_name(checkpoint: str | None) -> str:
    """Return the name of a checkpoint's folder; for a file it ends in a hash of the path."""
    name = checkpoint or default_name()
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return name
    path = Path(name.rpartition(":")[2])
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', path.stem)[:48]}-{digest[:8]}"


def choice_in(file: Path) -> str | None:
    """Return the version that a file names as the current one, None if it is damaged or missing."""
    try:
        version = read_object(file, _MAX_CHOICE_BYTES).get("version")
    except (DamagedRecordError, OSError):
        return None
    return version if isinstance(version, str) and _NUMBER.fullmatch(version) else None


def _sums(folder: Path) -> str:
    return "".join(f"{sha256_of(folder / name)}  {name}\n" for name in _FILES)


def _checked(folder: Path, record: VersionRecord) -> VersionRecord | str:
    """Return the record, or what is wrong: weights or card differ from those that were written."""
    if sha256_of(folder / WEIGHTS) != record.sha256:
        return "its weights are not those that were written"
    if read_card(folder / WEIGHTS).sha256 != record.sha256:
        return "its card belongs to other weights"
    if (folder / SUMS).exists() and (folder / SUMS).read_bytes() != _sums(folder).encode():
        return f"{CARD}, {RECORD} or {SUMS} is not what was written"
    return record


def _first_record(checkpoint: str | None) -> VersionRecord:
    name, card = Path(checkpoint or default_name()).name, find_card(checkpoint)
    why = f"the checkpoint {name}, with which the server was started"
    if card is None:
        return VersionRecord(id=FIRST, why=why)
    names = card.categories_seen or tuple(category.name for category in card.categories)
    return VersionRecord(
        id=FIRST,
        why=why,
        name=card.name,
        metrics=Metrics(after=dict(card.metrics)),
        categories=list(names) if card.semantic_is_trained else [],
    )
