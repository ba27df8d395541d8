"""Index of the study folder: MONAI Label's `datastore_v2.json`, and a journal of later changes.

Rewriting the whole index for every label would cost more with every image. Instead, a change
appends one line to `datastore_v2.journal`: the id and the complete entry of that one image, or null
if the image is gone. A later line replaces an earlier one, so replaying a line twice is harmless.
When the journal is longer than twice the number of images, or than twice the index in bytes, the
index is rewritten and the journal is emptied: many small changes of a large entry do not add up.

Every line and every entry has a checksum (`segsam.system.checked_json`), which MONAI Label, another
reader and writer of the index, overlooks and leaves out. A damaged one costs only itself: the entry
is made again from the files, and the damaged file is kept.

The index is not the truth about labels: it can be rebuilt from the files (`reconcile`), so a label
does not wait until its line is flushed.

Everything here needs the store's write lock, except `is_behind`. A model is never changed in place,
so others may read it while an update replaces it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastoreModel
from pydantic import ValidationError

from segsam.errors import DamagedRecordError, OutputError
from segsam.system.atomic import write_bytes
from segsam.system.checked_json import (
    parse_json,
    parse_object,
    with_checksum,
    without_checksum,
)
from segsam_app.errors import InfoTooLargeError, NotFoundError
from segsam_app.storage.damage import DamageList, aside_name
from segsam_app.storage.disk import (
    check_place,
    in_the_way,
    open_regular,
    output_errors,
    read_regular,
    write_all,
)
from segsam_app.storage.scan import is_listable, is_tag

logger = logging.getLogger(__name__)

Changes = Mapping[str, ImageLabelModel | None]
"""Image id -> its new entry, None if the image is gone."""

_MIN_LINES = 1000
"""Lines that the journal may always have, however few images there are."""

_MIN_BYTES = 4 << 20
"""Bytes that the journal may always have, however small the index is."""

_MAX_BYTES = 4 << 30
"""Largest index that is read: an index from before there were limits still is."""
_MOST_BYTES = 128 << 20
"""Size of the index from which clients can add no more metadata."""

_MAX_LISTED = 20
_FOLDERS = {"images_dir": ("", ".", "./"), "labels_dir": ("labels",)}


class Index:
    """Entries of all images, read from and written to `folder`.

    `set_aside` names the damaged files that were renamed, and `lost_something` is True until the
    store has rebuilt their content from the files. With `is_read_only` nothing is renamed.
    """

    def __init__(self, folder: Path, damage: DamageList | None = None) -> None:
        """`damage` lists the files that were set aside."""
        self._damage = damage or DamageList(folder)
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
        self._is_stale = False
        """True if the files hold less than the model, so that the index has to be rewritten."""

    @property
    def model(self) -> LocalDatastoreModel:
        """Entries when they were last read; read-only."""
        return self._model

    def is_behind(self) -> bool:
        """Return True if another process has written since the last read."""
        return self._read_at != self._identity()

    def catch_up(self) -> None:
        """Read what other processes wrote; a damaged file sets `lost_something`.

        Raises `OutputError` if something else than a file lies there.
        """
        self.check_places()
        if not self.is_behind():
            return
        snapshot, journal = self._identity()
        same = self._read_at is not None and self._read_at[0] == snapshot
        if not (same and self._has_grown(journal)):  # another process rewrote the index
            self._model, self._offset, self._lines = self._read_snapshot(), 0, 0
        self._replay()
        self._read_at = self._identity()

    def check_places(self) -> None:
        """Raise `OutputError` if something else than a file lies where the index has to be."""
        for file in (self.path, self.journal):
            self._damage.note_place(file)
            with output_errors("Reading the index"):
                check_place(file)

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
        if self._is_stale or self._is_long:
            try:
                self.compact()
            except OutputError as error:
                logger.warning("the index could not be compacted: %s", error)

    def put_label(self, image_id: str, tag: str, label: DataModel | None) -> None:
        """Store the entry of an image's label, or with None that it has none.

        It is not flushed. Raises `OutputError`, and `NotFoundError` if the image is not listed.
        """
        known = self._model.objects.get(image_id)
        if known is None:
            raise NotFoundError(f"the image {image_id!r:.80} has left the study folder")
        others = {key: value for key, value in known.labels.items() if key != tag}
        labels = others if label is None else {**others, tag: label}
        self.put({image_id: known.model_copy(update={"labels": labels})}, durable=False)

    def put_information(self, image_id: str, info: dict[str, Any], tag: str | None = None) -> None:
        """Store the metadata that a client sent about an image, or about its label.

        Raises `OutputError`, and `InfoTooLargeError` if there is no room for more.
        """
        known = self._model.objects[image_id]
        if tag is None:
            changed = {"image": known.image.model_copy(update={"info": info})}
        else:
            label = known.labels[tag].model_copy(update={"info": info})
            changed = {"labels": {**known.labels, tag: label}}
        entry = known.model_copy(update=changed)
        if (size := self._bytes) > _MOST_BYTES:
            before, after = (len(_line(image_id, each)) for each in (known, entry))
            if after > before:
                raise InfoTooLargeError(
                    f"expected at most {_MOST_BYTES} bytes of information about all images and "
                    f"labels, got {size} already and {after - before} more"
                )
        self.put({image_id: entry})

    @property
    def _bytes(self) -> int:
        """Size of the index without its journal."""
        snapshot = _identity(self.path)
        return snapshot[1] if snapshot else 0

    @property
    def _is_long(self) -> bool:
        """True if the journal is due to be emptied."""
        is_long = self._lines > max(_MIN_LINES, 2 * len(self._model.objects))
        return is_long or self._offset > max(_MIN_BYTES, 2 * self._bytes)

    def put_or_remember(self, changed: Changes, *, compact: bool) -> None:
        """Store entries that come from the files; if the disk refuses, keep them in memory."""
        try:
            self.put(changed)
            if compact and (self._is_stale or self._lines or not self.path.exists()):
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
        content = self._model.model_dump(exclude={"base_path", "objects"})
        objects = {key: _checked(key, known) for key, known in self._model.objects.items()}
        whole = {**with_checksum(content), "objects": objects}
        write_bytes(self.path, json.dumps(whole, indent=2, default=str).encode())
        write_bytes(self.journal, b"")
        self._offset = self._lines = 0
        self._is_stale = False
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
            content = read_regular(self.path)
        except FileNotFoundError:
            self.lost_something |= bool(self._model.objects)  # it was there a moment ago
            return _empty(folder)
        try:
            model, damaged = _read_model(parse_json(content, _MAX_BYTES))
        except (DamagedRecordError, ValueError) as error:
            self._set_aside(self.path, str(error).splitlines()[0])
            return _empty(folder)
        if damaged:
            self._is_stale = True
            self._set_aside(self.path, f"damaged: {_listed(damaged)}", copy=content)
        return model.model_copy(update={"base_path": str(folder), "images_dir": "."})

    def _replay(self) -> None:
        if not os.path.lexists(self.journal):
            return
        changed: dict[str, ImageLabelModel | None] = {}
        damaged, read = [], 0
        with open_regular(self.journal) as stream:  # may be far longer than what it tells
            stream.seek(self._offset)
            for number, line in enumerate(stream, start=self._lines + 1):
                if not line.endswith(b"\n"):  # a killed process may leave part of a line
                    changed |= self._unfinished(line)
                    break
                read += len(line)
                try:
                    image_id, known = _read_line(line)
                except (DamagedRecordError, ValueError, KeyError, TypeError):
                    damaged.append(f"line {number} is not what was written")
                    continue
                changed[image_id] = known
                self._lines += 1
            if damaged:
                stream.seek(self._offset)
                self._set_aside(self.journal, f"damaged: {_listed(damaged)}", copy=stream.read())
        self._offset += read
        self._model = _updated(self._model, changed)

    def _unfinished(self, line: bytes) -> Changes:
        """Return what the last line holds that has no end: all of it, if only its end is missing or
        damaged.
        """
        for part in (line, line[:-1]):
            with suppress(DamagedRecordError, ValueError, KeyError, TypeError):
                image_id, known = _read_line(part)
                self._is_stale = True  # the next line takes the place of this one
                return {image_id: known}
        return {}

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
        aside = aside_name(path, "torn")
        with output_errors("Setting a damaged index aside"):
            if copy is None:
                path.replace(aside)
            else:
                aside.write_bytes(copy)
        self.lost_something = True
        self.set_aside.append(aside.name)
        what = f"{path.name} was damaged ({reason}); it is rebuilt from the files"
        self._damage.note(aside, what)


def check_index(folder: Path, damage: DamageList) -> None:
    """List what is damaged in the index of a folder; changes nothing. Raises OSError."""
    index = Index(folder)
    for file in (index.path, index.journal):
        damage.note_place(file)
    if in_the_way(index.path) or in_the_way(index.journal):
        return
    try:
        _, damaged = _read_model(parse_json(index.path.read_bytes(), _MAX_BYTES))
    except FileNotFoundError:
        damaged = []
    except (DamagedRecordError, ValueError) as error:
        damaged = [str(error).splitlines()[0]]
    if damaged:
        damage.note(index.path, _listed(damaged))
    if index.journal.exists() and (wrong := _damaged_lines(index.journal)):
        damage.note(index.journal, _listed(wrong))


def _damaged_lines(journal: Path) -> list[str]:
    wrong = []
    lines = journal.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            _read_line(line)
        except (DamagedRecordError, ValueError, KeyError, TypeError):
            if line.endswith(b"\n"):  # a killed process may leave part of the last one
                wrong.append(f"line {number} is not what was written")
    return wrong


def _empty(folder: Path) -> LocalDatastoreModel:
    return LocalDatastoreModel(
        name="new-dataset",
        description="New Dataset",
        images_dir=".",
        labels_dir="labels",
        base_path=str(folder),
    )


def _read_model(content: Any) -> tuple[LocalDatastoreModel, list[str]]:
    """Return the index in JSON, and what of it is damaged: entries that it leaves out, or "name".

    Raises ValueError for anything that is no index, or an index of other folders.
    """
    if not isinstance(content, dict) or not isinstance(content.get("objects", {}), dict):
        raise ValueError("it is not an index")
    damaged: list[str] = []
    objects = content.pop("objects", {})
    try:
        model = LocalDatastoreModel.model_validate(content)
    except ValidationError:  # a ValueError whose text names classes and is for programmers
        raise ValueError("it is not an index") from None
    for key, allowed in _FOLDERS.items():
        if (folder := getattr(model, key)) not in allowed:
            raise ValueError(f"expected {key} to be {allowed[-1]!r}, got {folder!r:.80}")
    try:
        without_checksum(content)
    except DamagedRecordError:
        damaged.append("name")
    known: dict[str, ImageLabelModel] = {}
    for image_id, entry in objects.items():
        try:
            known[image_id] = _read_entry(image_id, entry)
        except (DamagedRecordError, ValueError, TypeError):
            damaged.append(f"entry of {image_id!r:.80}")
    if objects and not known:
        raise ValueError("every entry in it is damaged")
    return model.model_copy(update={"objects": known}), damaged


def _read_entry(image_id: str, entry: Any) -> ImageLabelModel:
    if not isinstance(entry, dict):
        raise TypeError(image_id)
    checked = without_checksum({"id": image_id, **entry})
    del checked["id"]
    known = ImageLabelModel.model_validate(checked)
    _check_names({image_id: known})
    return known


def _checked(image_id: str, known: ImageLabelModel) -> dict[str, Any]:
    """Return an entry with its checksum, which holds for its id too."""
    entry = {"id": image_id, **json.loads(json.dumps(known.model_dump(), default=str))}
    checked = with_checksum(entry)
    del checked["id"]
    return checked


def _listed(damaged: list[str]) -> str:
    more = f" and {len(damaged) - _MAX_LISTED} more" if len(damaged) > _MAX_LISTED else ""
    return ", ".join(damaged[:_MAX_LISTED]) + more


def _check_names(objects: Mapping[str, ImageLabelModel]) -> None:
    for image_id, known in objects.items():
        endings = [known.image.ext, *(label.ext for label in known.labels.values())]
        if not is_listable(image_id) or any("/" in end or "\\" in end for end in endings):
            raise ValueError("it holds an id that is not the name of a file")
        if not all(is_tag(tag) for tag in known.labels):
            raise ValueError("it holds a tag that is not the name of a folder")


def _updated(model: LocalDatastoreModel, changed: Changes) -> LocalDatastoreModel:
    objects = {**model.objects, **changed}
    for image_id in [image_id for image_id, entry in changed.items() if entry is None]:
        del objects[image_id]
    return model.model_copy(update={"objects": objects})


def _line(image_id: str, known: ImageLabelModel | None) -> str:
    content = known.model_dump() if known is not None else None
    record = json.loads(json.dumps({"id": image_id, "object": content}, default=str))
    return json.dumps(with_checksum(record)) + "\n"


def _read_line(line: bytes) -> tuple[str, ImageLabelModel | None]:
    read = parse_object(line)
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
