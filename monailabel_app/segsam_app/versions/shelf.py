"""Where the versions of one model stand, and which is current.

    <folder>/0001/{model.safetensors, model.json, version.json}    one version, never changed
    <folder>/current.json                                          {"version": "0001"}
    <folder>/.training.lock                                        held while a training runs
    <folder>/.<name>.partial                                       being written

A version is written beside its place and renamed, so it is there whole or not at all; making it
current is the renaming of one small file, which every process notices with its next request. What
was damaged by hand or by a disk is passed over, and said.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from segsam.errors import CheckpointError
from segsam.model.card import read_card
from segsam.system.atomic import write_bytes
from segsam_app.errors import ConflictError, NotFoundError
from segsam_app.storage.durable import disk, flush, is_abandoned, sha256_of
from segsam_app.versions.record import CARD, FIRST, RECORD, WEIGHTS, VersionRecord, read_record

CURRENT = "current.json"
_LOCK = ".training.lock"
_LOCK_SECONDS = 3.0
"""Others hold it for an instant only, when they look whether a training runs."""

_NUMBER = re.compile(r"\d{4}")
_READ_ONLY = 0o444


@dataclass(frozen=True)
class Shelf:
    """What stands in a folder at one moment."""

    current: str
    versions: tuple[VersionRecord, ...]
    """The sound ones, oldest first, the checkpoint of the start among them."""
    damaged: dict[str, str]
    """Id -> what is wrong."""
    notes: tuple[str, ...]
    """Sentences for the operator."""

    def find(self, version: str) -> VersionRecord:
        """A sound version. Raises `NotFoundError` for none, `CheckpointError` for a damaged one."""
        for record in self.versions:
            if record.id == version:
                return record
        if version in self.damaged:
            raise CheckpointError(
                f"version {version} cannot be used: {self.damaged[version]}; others are untouched"
            )
        known = ", ".join(record.id for record in self.versions)
        raise NotFoundError(f"there is no version {version!r:.40}; there are {known}")


class Versions:
    """The versions of the model that began as `checkpoint`; safe to use from many threads and
    processes.
    """

    def __init__(self, folder: Path, checkpoint: str | None, first: Callable[[], VersionRecord]):
        """In `folder`, which need not exist; `first` tells what the checkpoint itself is."""
        self.folder = folder
        self._checkpoint = checkpoint
        self._first = first
        self._checked: dict[tuple[object, ...], VersionRecord | str] = {}
        self._seen: tuple[tuple[int, int] | None, str] = (None, FIRST)

    def look(self) -> Shelf:
        """All versions, as they are now."""
        found = {name: self._look_at(name) for name in self._names()}
        damaged = {name: what for name, what in found.items() if isinstance(what, str)}
        sound = [one for one in found.values() if isinstance(one, VersionRecord)]
        current, notes = self._chosen(sound)
        return Shelf(current, (self._first(), *sound), damaged, notes)

    @property
    def checkpoint(self) -> str | None:
        """What `load_pretrained` takes for the current version."""
        return self.weights(self.current)

    @property
    def current(self) -> str:
        """Id of the current version; costs two looks at the disk when nothing changed."""
        state = self._state()
        if state is None:
            return FIRST
        kept_state, kept = self._seen
        if state != kept_state or isinstance(self._look_at(kept), str):
            kept = self.look().current
            self._seen = (state, kept)
        return kept

    def weights(self, version: str) -> str | None:
        """The file of a version; of the first the checkpoint that the server was started with."""
        return self._checkpoint if version == FIRST else str(self.folder / version / WEIGHTS)

    def use(self, version: str) -> Shelf:
        """Make a version current. Raises as `Shelf.find`, and `OutputError`."""
        self.look().find(version)
        with disk("Choosing a version"):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self.folder / CURRENT, json.dumps({"version": version}).encode())
        return self.look()

    def publish(
        self, save: Callable[[Path], object], describe: Callable[[str, str], VersionRecord]
    ) -> VersionRecord:
        """Add a version, and make it current when its record says that it is promoted.

        Args:
            save: writes weights and card to the path that it is given.
            describe: the record, from the id and the SHA-256 of the weights.

        Raises:
            OutputError: the disk refuses; then there is no new version.
        """
        with disk("Writing a version"):
            self.folder.mkdir(parents=True, exist_ok=True)
        number = f"{max(map(int, self._names()), default=0) + 1:04d}"
        staged = self.folder / f".{number}-{secrets.token_hex(4)}.partial"
        try:
            with disk("Writing a version"):
                staged.mkdir()
                save(staged / WEIGHTS)
                record = describe(number, sha256_of(staged / WEIGHTS))
                write_bytes(staged / RECORD, record.model_dump_json(indent=1).encode())
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
    def training(self, *, patience: float = _LOCK_SECONDS) -> Iterator[None]:
        """Held by the one training that may run, over all processes; it ends with its process.

        Raises:
            ConflictError: another training of this model runs.
            OutputError: the folder cannot be written to.
        """
        with disk("Locking the versions"):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(self.folder / _LOCK), timeout=patience)
        with disk("Locking the versions"):
            try:
                lock.acquire()
            except Timeout as error:
                raise ConflictError(
                    "a training of this model runs already, in another process; wait for its end"
                ) from error
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(each.name for each in self.folder.iterdir() if _NUMBER.fullmatch(each.name))

    def _look_at(self, name: str) -> VersionRecord | str:
        """A version's record, or what is wrong with it; weights are hashed when they changed."""
        if name == FIRST:
            return self._first()
        folder = self.folder / name
        try:
            record = read_record(folder)
            states = [(folder / file).stat() for file in (WEIGHTS, CARD)]
            key = (name, *((state.st_mtime_ns, state.st_size) for state in states))
            if key not in self._checked:
                self._checked[key] = _whole(folder, record)
        except CheckpointError as error:
            return str(error)
        except OSError:
            return f"its weights ({WEIGHTS}) or their card ({CARD}) are missing"
        found = self._checked[key]
        return found if isinstance(found, str) else record

    def _state(self) -> tuple[int, int] | None:
        try:
            state = (self.folder / CURRENT).stat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_ino

    def _chosen(self, sound: list[VersionRecord]) -> tuple[str, tuple[str, ...]]:
        """The version that current.json names, or the newest sound one before it."""
        if not (self.folder / CURRENT).exists():
            return FIRST, ()
        try:
            named = str(json.loads((self.folder / CURRENT).read_text(encoding="utf-8"))["version"])
        except (OSError, ValueError, LookupError, TypeError):
            named = ""
        known = {FIRST, *(record.id for record in sound)}
        if named in known:
            return named, ()
        before = [one.id for one in sound if one.promoted and (not named or one.id < named)]
        chosen = before[-1] if before else FIRST
        what = f"version {named}, which is current, cannot be used"
        what = what if named else f"{CURRENT}, which names the current version, is damaged"
        return chosen, (f"{what}; {chosen} is used instead",)

    def _sweep(self) -> None:
        """Remove what killed trainings left half written; only the holder of the lock writes."""
        for path in self.folder.glob(".*.partial"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif is_abandoned(path):
                path.unlink(missing_ok=True)


def _whole(folder: Path, record: VersionRecord) -> VersionRecord | str:
    """The record, or in which way weights or card are not those that were written."""
    if sha256_of(folder / WEIGHTS) != record.sha256:
        return "its weights are not those that were written"
    if read_card(folder / WEIGHTS).sha256 != record.sha256:
        return "its card is that of other weights"
    return record
