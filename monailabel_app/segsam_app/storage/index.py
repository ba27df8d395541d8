"""The index of the study folder: MONAI Label's `datastore_v2.json`, and a journal of what changed
since.

Writing the whole index for every label costs more the more images there are, so a change is one
line appended to `datastore_v2.journal`: the id and all that is known of that one image, or null
when it is gone. Lines replace each other, so reading them twice does no harm. When there are more
lines than images, the index is written anew and the journal begins again.

Everything here needs the store's lock, `is_behind` excepted. The model is never changed in place:
who holds one may read it while others write.
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
from segsam_app.storage.durable import disk, write_all
from segsam_app.storage.ids import is_listed, is_tag

logger = logging.getLogger(__name__)

Objects = Mapping[str, ImageLabelModel]
_FEWEST_LINES = 1000
_FOLDERS = {"images_dir": ("", ".", "./"), "labels_dir": ("labels",)}


class Index:
    """What is known of every image, read from and written to `folder`.

    `set_aside` names the files that could not be read and were kept beside their place.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "datastore_v2.json"
        self.journal = folder / "datastore_v2.journal"
        self.set_aside: list[str] = []
        self.lost_something = False
        self._model = _empty(folder)
        self._read_at: tuple[object, object] | None = None
        self._offset = 0
        self._lines = 0

    @property
    def model(self) -> LocalDatastoreModel:
        """As it was when last read; treat it as read-only."""
        return self._model

    def is_behind(self) -> bool:
        """Whether another process wrote since."""
        return self._read_at != self._identity()

    def catch_up(self) -> None:
        """Read what other processes wrote. A damaged index is set aside: `lost_something`."""
        if not self.is_behind():
            return
        snapshot, journal = self._identity()
        same = self._read_at is not None and self._read_at[0] == snapshot
        if not (same and self._is_longer(journal)):
            self._model, self._offset, self._lines = self._read_snapshot(), 0, 0
        self._replay()
        self._read_at = self._identity()

    def put(
        self,
        changed: Mapping[str, ImageLabelModel | None],
        *,
        durable: bool = True,
    ) -> None:
        """These images are now so; None: gone. Raises `OutputError`, and then nothing changed.

        `durable=False` leaves out the flush, where a power cut loses nothing that the files do not
        tell.
        """
        if not changed:
            return
        lines = [_line(image_id, known) for image_id, known in changed.items()]
        self._append("".join(lines).encode(), durable=durable)
        self._lines += len(lines)
        self._model = _with(self._model, changed)
        self._read_at = self._identity()
        if self._lines > max(_FEWEST_LINES, 2 * len(self._model.objects)):
            try:
                self.compact()
            except OutputError as error:
                logger.warning("the index stays long: %s", error)

    def put_or_remember(
        self, changed: Mapping[str, ImageLabelModel | None], *, compact: bool
    ) -> None:
        """`put` what the files tell; on a disk that refuses it is at least known here."""
        try:
            self.put(changed)
            if compact and not self.is_compact:
                self.compact()
        except OutputError as error:
            logger.warning("the index is kept in memory only: %s", error)
            self._model = _with(self._model, changed)

    def compact(self) -> None:
        """Write the whole index and begin the journal again. Raises `OutputError`."""
        content = self._model.model_dump(exclude={"base_path"})
        write_bytes(self.path, json.dumps(content, indent=2, default=str).encode())
        write_bytes(self.journal, b"")
        self._offset = self._lines = 0
        self._read_at = self._identity()

    @property
    def is_compact(self) -> bool:
        """Whether the journal holds nothing."""
        return self._lines == 0 and self.path.exists()

    def _identity(self) -> tuple[object, object]:
        return _identity(self.path), _identity(self.journal)

    def _is_longer(self, journal: object) -> bool:
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
            self._keep_aside(self.path, str(error).splitlines()[0])
            return _empty(folder)
        return model.model_copy(update={"base_path": str(folder), "images_dir": "."})

    def _replay(self) -> None:
        if not self.journal.exists():
            return
        with self.journal.open("rb") as stream:
            stream.seek(self._offset)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]  # the rest was never finished
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
            self._keep_aside(self.journal, f"{damaged} lines are damaged", copy=content)
        self._offset += len(whole)
        self._model = _with(self._model, changed)

    def _append(self, content: bytes, *, durable: bool) -> None:
        with disk("Writing the index"):
            handle = os.open(self.journal, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                os.ftruncate(handle, self._offset)  # a line that a killed process began
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

    def _keep_aside(self, path: Path, reason: str, copy: bytes | None = None) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        aside = path.with_name(f"{path.name}.torn-{stamp}-{time.time_ns() % 1_000_000:06d}")
        with disk("Setting a damaged index aside"):
            if copy is None:
                path.replace(aside)
            else:
                aside.write_bytes(copy)
        self.lost_something = True
        self.set_aside.append(aside.name)
        logger.warning(
            "%s cannot be read (%s); it is kept as %s and the index is made anew from the files",
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
    """Raises ValueError for an index of another layout, or with names that are paths."""
    for key, allowed in _FOLDERS.items():
        if getattr(model, key) not in allowed:
            raise ValueError(f"{key} is not {allowed[-1]!r}")
    _check_names(model.objects)


def _check_names(objects: Objects) -> None:
    for image_id, known in objects.items():
        endings = [known.image.ext, *(label.ext for label in known.labels.values())]
        if not is_listed(image_id) or any("/" in end or "\\" in end for end in endings):
            raise ValueError("it holds an id that is no name of a file")
        if not all(is_tag(tag) for tag in known.labels):
            raise ValueError("it holds a tag that is no name of a folder")


def _with(
    model: LocalDatastoreModel, changed: Mapping[str, ImageLabelModel | None]
) -> LocalDatastoreModel:
    objects = dict(model.objects)
    for image_id, known in changed.items():
        if known is None:
            objects.pop(image_id, None)
        else:
            objects[image_id] = known
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
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
