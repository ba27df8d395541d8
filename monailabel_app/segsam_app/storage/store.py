"""The study folder: MONAI Label's local data store, which loses no label.

MONAI Label's endpoints, ours, the trainer and the strategies all use it through the interface of
`LocalDatastore`. What is different: files are written whole or not at all, every label that was
ever saved is kept (`storage.versions`), images are written once, the index is shared with other
processes (`storage.index`), and files that appear or vanish are seen when somebody next asks.
Reading is cheap and locks nothing; writing takes turns.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.datastore.local import (
    DataModel,
    ImageLabelModel,
    LocalDatastore,
    LocalDatastoreModel,
)
from monailabel.interfaces.datastore import DefaultLabelTag

from segsam.errors import OutputError
from segsam_app.errors import NotFoundError
from segsam_app.ids import checked_id
from segsam_app.storage.access import Turn
from segsam_app.storage.catalogue import reconciled
from segsam_app.storage.durable import disk, sweep
from segsam_app.storage.images import ImageFiles
from segsam_app.storage.index import Index
from segsam_app.storage.labels import LabelFiles
from segsam_app.storage.scan import Scanner
from segsam_app.storage.submission import Submission, checked_info
from segsam_app.storage.versions import History, Version

logger = logging.getLogger(__name__)

FINAL = DefaultLabelTag.FINAL.value


class Store(LocalDatastore):
    """`LocalDatastore` on `folder` with MONAI Label's settings; `on_image` is called with the file
    of every new image.

    Raises `OutputError` (507) when the disk refuses, `RequestError` (400) for ids and information
    that cannot be meant, `NotFoundError` (404), `ConflictError` (409), VolumeError (422).
    """

    def __init__(
        self, folder: str, *, on_image: Callable[[Path], None], scanner: Scanner | None = None
    ) -> None:
        self._folder = Path(folder)
        with disk("Making the study folder"):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._on_image = on_image
        self._turn = Turn(self._folder)
        self._index = Index(self._folder)
        self._scanner = scanner or Scanner(self._folder, settings.MONAI_LABEL_DATASTORE_FILE_EXT)
        self._images = ImageFiles(self._folder, self._scanner)
        self._notices = settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD
        self._is_open = False
        with disk("Opening the study folder"):
            super().__init__(
                folder,
                extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
                auto_reload=False,  # MONAI Label's watcher reads everything anew for every file
                read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
            )
        self._is_open = True

    @property
    def _datastore(self) -> LocalDatastoreModel:
        """What MONAI Label's own methods read: the newest index. It is never changed in place."""
        if self._is_open:
            self._look()
        return self._index.model

    @_datastore.setter
    def _datastore(self, model: LocalDatastoreModel) -> None:
        """MONAI Label's constructor begins with an empty one."""

    def history(self, image_id: str, tag: str) -> History:
        """The versions of a label. Raises `RequestError`, or `NotFoundError` for an unknown
        image.
        """
        self._known(image_id)
        return self._history(image_id, checked_id("tag", tag))

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Keep the image and announce it; its id comes from the file's name when `image_id` is
        empty.

        An id is given once: the same file again is fine, another raises `ConflictError`.
        """
        info = checked_info(image_info)
        source = Path(image_filename)
        image = self._images.checked(image_id, source)
        with self._images.staged(source) as staged, self._writing():
            known = self._index.model.objects.get(image.id)
            if known is None:
                name = self._images.keep(image, staged)
                info |= {"ts": int(time.time()), "name": name}
                entry = ImageLabelModel(image=DataModel(info=info, ext=image.ending))
                self._index.put({image.id: entry})
            else:
                self._images.check_same(image, known.image.ext, staged)
        if known is None:
            self._on_image(Path(self.get_image_uri(image.id)))
        return image.id

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Keep a label as MONAI Label asks for it: `save` without its answer."""
        self.save(image_id, Path(label_filename), label_tag, label_info)
        return image_id

    def save(self, image_id: str, file: Path, tag: str, info: Mapping[str, Any] | None) -> Version:
        """Check the label in `file` and make it the current one, as a new version.

        `info["expected_version"]` is the version that the annotator began from. When the label
        changed since, it is kept as a version too, is not made current, and `ConflictError` says
        so.
        """
        submission = Submission.read(info)
        known = self._known(image_id)
        history = self.history(image_id, tag)
        grid = self._images.grid(image_id, known.image.ext)
        labels = LabelFiles(history)
        draft_of = labels.checked(file, grid, submission)
        with disk("Saving the label"), draft_of as draft, self._writing():
            version = labels.save(draft, submission.expected, self._listing(image_id, tag))
        labels.refuse_conflict(version)
        return version

    def restore(
        self, image_id: str, tag: str, number: int, *, user: str = "", expected: int | None = None
    ) -> Version:
        """Make the voxels of version `number` current again, as a new version.

        Raises `NotFoundError` when there is no such version, `ConflictError` when the label is at
        another version than `expected`.
        """
        labels = LabelFiles(self.history(image_id, tag))
        with disk("Restoring the label"), labels.again(number, user) as draft, self._writing():
            labels.refuse_change(expected)
            return labels.save(draft, None, self._listing(image_id, tag))

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Hide the label; its versions stay and can be restored."""
        labels = LabelFiles(self.history(label_id, label_tag))
        with disk("Removing the label"), self._writing():
            if label_tag not in self._known(label_id).labels:
                raise NotFoundError(f"there is no label {label_id!r:.80} with the tag {label_tag}")
            labels.remove(self._listing(label_id, label_tag))

    def remove_image(self, image_id: str) -> None:
        """Hide the image and its labels: its file moves to the folder `.removed`."""
        known = self._known(image_id)
        for tag in list(known.labels):
            self.remove_label(image_id, tag)
        with disk("Removing the image"), self._writing():
            self._images.hide(image_id, known.image.ext)
            self._index.put({image_id: None})

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add `info` to what is known of the image."""
        fields = checked_info(info)
        with self._writing():
            known = copy.deepcopy(self._known(image_id))
            known.image.info.update(fields)
            self._index.put({image_id: known})

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add `info` to what is known of the current label; versions keep what they came with."""
        fields = Submission.read(info).info
        with self._writing():
            known = copy.deepcopy(self._known(label_id))
            if label_tag not in known.labels:
                raise NotFoundError(f"there is no label {label_id!r:.80} with the tag {label_tag}")
            known.labels[label_tag].info.update(fields)
            self._index.put({label_id: known})

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of the image. Raises `NotFoundError`."""
        self._known(image_id)
        return dict(super().get_image_info(image_id))

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What came with the current label, its `version`, `names` by value and `sha256`; {} for no
        label.
        """
        return copy.deepcopy(dict(super().get_label_info(label_id, label_tag)))

    def get_labeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Ids of the images with a label of this tag (default: final)."""
        tag = label_tag or FINAL
        return [key for key, known in self._datastore.objects.items() if tag in known.labels]

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Ids of the images without a label of this tag (default: final)."""
        tag = label_tag or FINAL
        return [key for key, known in self._datastore.objects.items() if tag not in known.labels]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """A new ZIP file of all images with a final label. Raises `NotFoundError` for none."""
        if not self.get_labeled_images():
            raise NotFoundError("there is no final label yet, so there is nothing to pack")
        with disk("Packing the data set"):
            return str(super().get_dataset_archive(limit_cases))

    def status(self) -> dict[str, Any]:
        """MONAI Label's numbers, and the damaged files that were `set_aside`, if any."""
        status: dict[str, Any] = super().status()
        return status | ({"set_aside": self._index.set_aside} if self._index.set_aside else {})

    def _known(self, image_id: str) -> ImageLabelModel:
        """Raises `RequestError` for what can be no id, `NotFoundError` for an unknown one."""
        known = self._index.model.objects.get(image_id) or self._datastore.objects.get(image_id)
        if known is None:
            checked_id("image", image_id)
            raise NotFoundError(f"there is no image {image_id!r:.80} in the study folder")
        return known

    def _history(self, image_id: str, tag: str) -> History:
        return History(self._folder / "labels" / tag, image_id)

    def _listing(self, image_id: str, tag: str) -> Callable[[DataModel | None], None]:
        """What puts a label, or None for no label, into the index."""

        def put(label: DataModel | None) -> None:
            known = self._index.model.objects.get(image_id)
            if known is None:
                raise NotFoundError(f"the image {image_id!r:.80} has left the study folder")
            others = {key: value for key, value in known.labels.items() if key != tag}
            labels = others if label is None else {**others, tag: label}
            entry = known.model_copy(update={"labels": labels})
            self._index.put({image_id: entry}, durable=False)

        return put

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._turn.taken():
            self._catch_up()
            yield

    def _catch_up(self) -> None:
        self._index.catch_up()
        if self._index.lost_something and self._is_open:
            self._reconcile_datastore()

    def _look(self) -> None:
        """Notice other processes and new files; a disk that refuses leaves what was known."""
        try:
            if self._index.is_behind():
                with self._writing():
                    pass
            if self._notices and self._scanner.has_changed():
                self._reconcile(thorough=False)
        except (OutputError, OSError) as error:
            logger.warning("the study folder could not be read: %s", error)

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """MONAI Label's name for reading the index."""
        with self._writing():
            pass

    def _update_datastore_file(self, lock: bool = True) -> None:
        """MONAI Label's name for writing the whole index."""
        with self._writing():
            self._index.compact()

    def _reconcile_datastore(self) -> None:
        """What `refresh` does: also finish or sweep what killed processes left."""
        self._reconcile(thorough=True)

    def _reconcile(self, *, thorough: bool) -> None:
        with self._turn.taken():
            self._index.catch_up()
            if not self._folder.is_dir():
                return
            thorough = thorough or self._index.lost_something
            if thorough:
                sweep(self._folder)
            found = self._scanner.look()
            changed = reconciled(self._index.model.objects, found, self._history, thorough=thorough)
            self._index.put_or_remember(changed, compact=thorough)
            self._index.lost_something = False
