"""Index of the study folder: MONAI Label's `datastore_v2.json`, and a journal of later changes.

Rewriting the whole index for every label would cost more with every image. Instead, a change
appends one line to `datastore_v2.journal`: the id and the complete entry of that one image, or null
if the image is gone. A later line replaces an earlier one, so replaying a line twice is harmless.
When the journal is longer than twice the number of images, the index is rewritten and the journal
is emptied.

The index is not the truth about labels: it can be rebuilt from the files (`reconcile`), so a label
does not wait until its line is flushed.

Everything here needs the store's write lock, except `is_behind`. A model is never changed in place,
so others may read it while an update replaces it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from monailabel.datastore.local import ImageLabelModel, LocalDatastoreModel

from segsam.errors import OutputError
from segsam.system.atomic import write_bytes
from segsam_app.storage.disk import output_errors, write_all
from segsam_app.storage.scan import is_listable, is_tag

logger = logging.getLogger(__name__)

Changes = Mapping[str, ImageLabelModel | None]
"""Image id -> its new entry, None if the image is gone."""

_MIN_LINES = 1000
"""Lines that the journal may always have, however few images there are."""

_FOLDERS = {"images_dir": ("", ".", "./"), "labels_dir": ("labels",)}


class Index:
    """Entries of all images, read from and written to `folder`.

    `set_aside` names the damaged files that were renamed, and `lost_something` is True until the
    store has rebuilt their content from the files. With `is_read_only` nothing is renamed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "datastore_v2.json"
        self.journal = folder / "datastore_v2.journal"
        self.set_aside: list[str] = []
        self.lost_something = False
        self.is_read_only = False
        self._model = _empty(folder)
        self._read_at: tuple[object, object] | None = None
        self._offset = 0
        """Length of the journal in bytes, as far as it was read or written."""
        self._lines = 0

    @property
    def model(self) -> LocalDatastoreModel:
        """Entries when they were last read; read-only."""
        return self._model

    def is_behind(self) -> bool:
        """Return True if another process has written since the last read."""
        return self._read_at != self._identity()

    def catch_up(self) -> None:
        """Read what other processes wrote; a damaged file sets `lost_something`."""
        if not self.is_behind():
            return
        snapshot, journal = self._identity()
        same = self._read_at is not None and self._read_at[0] == snapshot
        if not (same and self._has_grown(journal)):  # another process rewrote the index
            self._model, self._offset, self._lines = self._read_snapshot(), 0, 0
        self._replay()
        self._read_at = self._identity()

    def put(self, changed: Changes, *, durable: bool = True) -> None:
        """Store new entries. Raises `OutputError`; then nothing changed.

        `durable=False` leaves out the flush, for entries that can be rebuilt from the files.
        """
        if not changed:
            return
        lines = [_line(image_id, known) for image_id, known in changed.items()]
        self._append("".join(lines).encode(), durable=durable)
        self._lines += len(lines)
        self._model = _updated(self._model, changed)
        self._read_at = self._identity()
        if self._lines > max(_MIN_LINES, 2 * len(self._model.objects)):
            try:
                self.compact()
            except OutputError as error:
                logger.warning("the index could not be compacted: %s", error)

    def put_or_remember(self, changed: Changes, *, compact: bool) -> None:
        """Store entries that come from the files; if the disk refuses, keep them in memory."""
        try:
            self.put(changed)
            if compact and (self._lines or not self.path.exists()):
                self.compact()
        except OutputError as error:
            logger.warning("the index is kept in memory only: %s", error)
            self.remember(changed)

    def remember(self, changed: Changes) -> None:
        """Keep new entries in memory only."""
        self._model = _updated(self._model, changed)

    def compact(self) -> None:
        """Write the whole index and empty the journal. Raises `OutputError`.

        A kill between the two leaves lines that are in the index already, which is harmless.
        """
        content = self._model.model_dump(exclude={"base_path"})
        write_bytes(self.path, json.dumps(content, indent=2, default=str).encode())
        write_bytes(self.journal, b"")
        self._offset = self._lines = 0
        self._read_at = self._identity()

    def _identity(self) -> tuple[object, object]:
        return _identity(self.path), _identity(self.journal)

    def _has_grown(self, journal: object) -> bool:
        before = self._read_at[1] if self._read_at else None
        if not isinstance(journal, tuple) or not isinstance(before, tuple):
            return before is None and self._offset == 0
        return bool(journal[0] == before[0] and journal[1] >= self._offset)

    def _read_snapshot(self) -> LocalDatastoreModel:
        folder = self.path.parent
        try:
            model = LocalDatastoreModel.model_validate_json(self.path.read_bytes())
            _check(model)
        except FileNotFoundError:
            return _empty(folder)
        except ValueError as error:
            self._set_aside(self.path, str(error).splitlines()[0])
            return _empty(folder)
        return model.model_copy(update={"base_path": str(folder), "images_dir": "."})

    def _replay(self) -> None:
        if not self.journal.exists():
            return
        with self.journal.open("rb") as stream:
            stream.seek(self._offset)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]  # a killed process may leave part of a line
        changed: dict[str, ImageLabelModel | None] = {}
        damaged = 0
        for line in whole.splitlines():
            try:
                image_id, known = _read_line(line)
            except (ValueError, KeyError, TypeError):
                damaged += 1
                continue
            changed[image_id] = known
            self._lines += 1
        if damaged:
            self._set_aside(self.journal, f"{damaged} lines are damaged", copy=content)
        self._offset += len(whole)
        self._model = _updated(self._model, changed)

    def _append(self, content: bytes, *, durable: bool) -> None:
        with output_errors("Writing the index"):
            handle = os.open(self.journal, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                os.ftruncate(handle, self._offset)  # removes what a killed process left
                os.lseek(handle, self._offset, os.SEEK_SET)
                write_all(handle, content)
                if durable:
                    os.fsync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, self._offset)
                raise
            finally:
                os.close(handle)
        self._offset += len(content)

    def _set_aside(self, path: Path, reason: str, copy: bytes | None = None) -> None:
        """Rename a damaged file, or write a `copy` of what it held."""
        if self.is_read_only:
            self.lost_something = True
            logger.warning("%s cannot be read (%s) and is passed over", path.name, reason)
            return
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        aside = path.with_name(f"{path.name}.torn-{stamp}-{time.time_ns() % 1_000_000:06d}")
        with output_errors("Setting a damaged index aside"):
            if copy is None:
                path.replace(aside)
            else:
                aside.write_bytes(copy)
        self.lost_something = True
        self.set_aside.append(aside.name)
        logger.warning(
            "%s cannot be read (%s); it was renamed to %s and the index is rebuilt from the files",
            path.name,
            reason,
            aside.name,
        )


def _empty(folder: Path) -> LocalDatastoreModel:
    return LocalDatastoreModel(
        name="new-dataset",
        description="New Dataset",
        images_dir=".",
        labels_dir="labels",
        base_path=str(folder),
    )


def _check(model: LocalDatastoreModel) -> None:
    """Raise ValueError for an index with other folders, or with names that are paths."""
    for key, allowed in _FOLDERS.items():
        if (folder := getattr(model, key)) not in allowed:
            raise ValueError(f"expected {key} to be {allowed[-1]!r}, got {folder!r:.80}")
    _check_names(model.objects)


def _check_names(objects: Mapping[str, ImageLabelModel]) -> None:
    for image_id, known in objects.items():
        endings = [known.image.ext, *(label.ext for label in known.labels.values())]
        if not is_listable(image_id) or any("/" in end or "\\" in end for end in endings):
            raise ValueError("it holds an id that is not the name of a file")
        if not all(is_tag(tag) for tag in known.labels):
            raise ValueError("it holds a tag that is not the name of a folder")


def _updated(model: LocalDatastoreModel, changed: Changes) -> LocalDatastoreModel:
    objects = dict(model.objects)
    for image_id, entry in changed.items():
        if entry is None:
            objects.pop(image_id, None)
        else:
            objects[image_id] = entry
    return model.model_copy(update={"objects": objects})


def _line(image_id: str, known: ImageLabelModel | None) -> str:
    content: Collection[object] | None = known.model_dump() if known is not None else None
    return json.dumps({"id": image_id, "object": content}, default=str) + "\n"


def _read_line(line: bytes) -> tuple[str, ImageLabelModel | None]:
    read = json.loads(line)
    image_id, content = read["id"], read["object"]
    if content is None:
        return str(image_id), None
    known = ImageLabelModel.model_validate(content)
    _check_names({image_id: known})
    return image_id, known


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Inode, size and modification time of a file, None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
