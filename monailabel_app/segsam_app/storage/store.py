"""Data store of the study folder: MONAI Label's local data store that never loses a label.

MONAI Label's endpoints, ours, the trainer and the strategies all use it through the interface of
`LocalDatastore`. What differs: files are written completely or not at all, every saved label stays
as a version (`label_history` explains how a label is committed), images are never overwritten, the
index is shared with other processes (`index`), and files that appear or vanish are noticed at the
next access. Reading takes no lock; writing takes the `WriteLock`.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.datastore.local import ImageLabelModel, LocalDatastore, LocalDatastoreModel
from monailabel.interfaces.datastore import DefaultLabelTag

from segsam.errors import OutputError, VolumeError
from segsam.imaging.dicom_series import DicomSeries
from segsam.imaging.volume import Volume
from segsam_app.errors import ConflictError, NotFoundError
from segsam_app.ids import checked_id
from segsam_app.limits import Limits
from segsam_app.storage.archive import cases_stream
from segsam_app.storage.damage import DamageList
from segsam_app.storage.disk import FileStamp, check_place, output_errors, remove_abandoned
from segsam_app.storage.found_labels import FoundLabels
from segsam_app.storage.image_contents import ANY_SIZE, ImageContents
from segsam_app.storage.image_notes import ImageNotes
from segsam_app.storage.images import ImageFiles
from segsam_app.storage.index import Index
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.label_metadata import (
    LabelMetadata,
    checked_info,
    with_added,
)
from segsam_app.storage.label_names import info_without_names
from segsam_app.storage.label_record import LabelVersion
from segsam_app.storage.label_writer import Expected, UpdateIndex
from segsam_app.storage.reconcile import changed_entries, image_entry, mend_record
from segsam_app.storage.scan import FolderScanner, configured_patterns, owner_of
from segsam_app.storage.series import ENDING
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.storage.write_lock import WriteLock
from segsam_app.strict_json import json_safe

logger = logging.getLogger(__name__)

FINAL = DefaultLabelTag.FINAL.value
_MAX_LEFT_OUT = 100


class Store(ImageNotes, LocalDatastore):
    """`LocalDatastore` in `folder` with MONAI Label's settings.

    `on_image` is called with the file of every new image. Raises `OutputError` (507) for a disk
    error, `RequestError` (400) for invalid ids and metadata, `NotFoundError` (404),
    `ConflictError` (409), VolumeError (422).
    """

    def __init__(
        self,
        folder: str,
        *,
        on_image: Callable[[Path], None],
        scanner: FolderScanner | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._folder = Path(folder)
        with output_errors("Making the study folder"):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._on_image, self._info_bytes = on_image, (limits or Limits()).info_bytes
        self._write_lock = WriteLock(self._folder)
        self.damage = DamageList(self._folder)
        self.taught = TaughtStore(self._folder, self._write_lock, self.damage)
        self._found = FoundLabels(self.damage)
        self._seen: dict[Path, FileStamp] = {}
        """Current labels, in the states in which they were last compared with their versions."""
        self._index = Index(self._folder, self.damage)
        self._scanner = scanner or FolderScanner(self._folder, configured_patterns())
        self._images = ImageFiles(self._folder, self._scanner)
        self._contents = ImageContents(self._folder, self._images)
        self._notices_files = settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD
        self._is_open = False
        with output_errors("Opening the study folder"):
            for name in ("labels", f"labels/{FINAL}", f"labels/{DefaultLabelTag.ORIGINAL.value}"):
                check_place(self._folder / name, name, is_folder=True)
            if not self._opened_read_only(folder):
                super().__init__(
                    folder,
                    extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
                    auto_reload=False,  # MONAI Label's watcher would scan everything for every file
                    read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
                )
        self._is_open = True

    @property
    def _datastore(self) -> LocalDatastoreModel:
        """Newest index, for MONAI Label's own methods; never changed in place."""
        if self._is_open:
            self._refresh_index()
        return self._index.model

    @_datastore.setter
    def _datastore(self, model: LocalDatastoreModel) -> None:
        """Ignore the empty index that MONAI Label's constructor sets."""

    def history(self, image_id: str, tag: str) -> LabelHistory:
        """Return the history of a label. Raises `RequestError`, or `NotFoundError` for an unknown
        image.
        """
        self._known(image_id)
        return self.history_of(image_id, checked_id("tag", tag))

    def read_image(self, path: Path) -> Volume:
        """Read the file of an image of this store. Raises VolumeError."""
        return self._images.read(path)

    def is_of_series(self, path: Path) -> bool:
        """Return True for the file that was made of a DICOM series."""
        return self._images.is_of_series(path)

    @property
    def series(self) -> Mapping[str, DicomSeries]:
        """DICOM series of the folder by image id."""
        self._refresh_index()
        return self._scanner.series

    def get_image_uri(self, image_id: str) -> str:
        """Return the file of an image, "" for an unknown one; of a DICOM series, one file is made.

        Raises VolumeError for a series that cannot be read, `OutputError`.
        """
        known = self._datastore.objects.get(image_id)
        if known is not None:
            self._contents.want(image_id, known.image.ext)
        if known is not None and image_id in self._scanner.series:
            return str(self._images.path(image_id, ENDING))
        return str(super().get_image_uri(image_id))

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Return image and label files of all images with a final label that can be read."""
        pairs = []
        for image_id in self.get_labeled_images():
            try:
                image = Store.get_image_uri(self, image_id)
            except VolumeError as error:
                logger.warning("%s is left out: %s", image_id, error)
                continue
            pairs.append({"image": image, "label": self.get_label_uri(image_id, FINAL)})
        return pairs

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add an image, call `on_image` and return its id: `image_id`, or else the file's name.

        Adding the same file twice is no error; another file under a used id raises `ConflictError`.
        """
        info = checked_info(image_info)
        self._check_places()
        self._refresh_index()
        with self._images.staged(image_id, Path(image_filename)) as image, self._writing():
            known = self._index.model.objects.get(image.id)
            if known is None:
                self._check_no_twin(image.id)
                entry = image_entry(self._images.add(image), image.ending, info)
                self._index.put({image.id: ImageLabelModel(image=entry)})
            else:
                self._images.check_same(image, known.image.ext)
        if known is None:
            self._on_image(Path(self.get_image_uri(image.id)))
        return image.id

    def _check_no_twin(self, image_id: str) -> None:
        """Raise `ConflictError` if labels of another image may have the names of this one's."""
        twin = self._scanner.twin_of(image_id, self._index.model.objects)
        if twin is not None:
            raise ConflictError(
                f"the labels of an image {image_id!r:.80} could have the file names of those of "
                f"the image {twin!r:.80}; choose another id"
            )

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Save a label through MONAI Label's interface; see `save`."""
        self.save(image_id, Path(label_filename), label_tag, label_info)
        return image_id

    def save(
        self, image_id: str, file: Path, tag: str, info: Mapping[str, Any] | None
    ) -> LabelVersion:
        """Check the label in `file` and make it the current one, as a new version.

        `info["expected_version"]` is the version that the annotator began from. If the label has
        changed since, this one is recorded as a version but does not become current, and
        `ConflictError` names both.
        """
        metadata = LabelMetadata.read(info)
        known = self._known(image_id)
        self._check_places()
        grid = self._images.grid(image_id, known.image.ext)
        writer = self._writer(image_id, checked_id("tag", tag), grid)
        checked = writer.draft(file, grid, metadata)
        with output_errors("Saving the label"), checked as draft, self._writing():
            self._mend(image_id, tag)
            return writer.save(draft, metadata.expected, self._index_update(image_id, tag))

    def _check_places(self) -> None:
        """Raise `OutputError` before anything is copied if nothing can be saved."""
        self._write_lock.check()
        self._index.check_places()

    def restore(
        self,
        image_id: str,
        tag: str,
        number: int,
        *,
        user: str = "",
        expected: Expected | None = None,
    ) -> LabelVersion:
        """Make the voxels of version `number` current again, as a new version.

        Raises `NotFoundError` if there is no such version or its voxels are damaged,
        `ConflictError` if the label is at another version than `expected`.
        """
        self._check_places()
        self._known(image_id)
        tag, grid = checked_id("tag", tag), self._grid(image_id)
        writer = self._writer(image_id, tag, grid, ANY_SIZE)
        restored = writer.draft_of_version(number, user)
        with output_errors("Restoring the label"), restored as draft, self._writing():
            self._mend(image_id, tag)
            update = self._index_update(image_id, tag)
            writer.check_version(expected, update)
            return writer.save(draft, None, update)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Hide the label; its versions stay and can be restored."""
        self._known(label_id)
        writer = self._writer(label_id, checked_id("tag", label_tag), self._grid(label_id))
        with output_errors("Removing the label"), self._writing():
            self._known_label(label_id, label_tag)
            self._mend(label_id, label_tag)
            writer.remove(self._index_update(label_id, label_tag))

    def remove_image(self, image_id: str) -> None:
        """Hide the image and its labels; its file moves to the folder `.removed`."""
        known = self._known(image_id)
        self._images.check_removable(image_id)
        for tag in list(known.labels):
            self.remove_label(image_id, tag)
        with output_errors("Removing the image"), self._writing():
            self._images.hide(image_id, known.image.ext)
            self._index.put({image_id: None})

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add `info` to the metadata of the image. Raises `InfoTooLargeError`."""
        fields = checked_info(info)
        with self._writing():
            known = self._known(image_id).image.info
            added = with_added(known, fields, self._info_bytes)
            self._index.put_information(image_id, added)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add `info` to the metadata of the current label; its versions stay as they are.

        Raises LabelError for other names than those of the version.
        """
        fields = LabelMetadata.read(info).info
        self._look_again(label_id, label_tag)
        with self._writing():
            known = self._known_label(label_id, label_tag).labels[label_tag].info
            new = info_without_names(fields, known.get("names") or {})
            added = with_added(known, new, self._info_bytes, is_label=True)
            self._index.put_information(label_id, added, label_tag)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return the metadata of the image without its path. Raises `NotFoundError`."""
        self._known(image_id)
        info = dict(super().get_image_info(image_id))
        series = self._scanner.series.get(image_id)
        if series is None:
            return {key: info[key] for key in info if key != "path"}
        return {**info, "series": series.uid, "slices": len(series.names)}

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """Return the metadata of the current label, with its `version` (0: it is none), `names` by
        value and `sha256`, and `grid_note` or `image_note` if its image is another one now; {}
        without a label.
        """
        self._look_again(label_id, label_tag)
        info = copy.deepcopy(dict(super().get_label_info(label_id, label_tag)))
        note = self.image_note(label_id, label_tag)
        return info if note is None else {**info, note.key: note.clause}

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the file of the current label; "" without one."""
        self._look_again(label_id, label_tag)
        return str(super().get_label_uri(label_id, label_tag))

    def get_labeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Return the ids of the images with a label of this tag (default: final), except labels
        of which the image is another one now.
        """
        return self._labelled(label_tag or FINAL)

    def refused_labels(self, tag: str) -> dict[str, tuple[Path, str]]:
        """Return the images without a label whose file there cannot be used, and why it cannot."""
        labelled, known = self.get_labeled_images(tag), self._index.model.objects
        refused = {
            owner_of(stem, found[0].name[len(stem) :], known)[0]: found
            for stem, found in self.refused_in(tag).items()
        }
        return {key: refused[key] for key in refused if key in known and key not in labelled}

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Return the ids of the other images than `get_labeled_images` does."""
        labelled = set(self.get_labeled_images(label_tag))
        return [key for key in self._datastore.objects if key not in labelled]

    def dataset_archive(self, limit_cases: int | None = None) -> Iterator[bytes]:
        """Return a ZIP file of the images with a final label (the first `limit_cases`, if that is
        above 0), piece by piece. Nothing is written. Raises `NotFoundError` if there is none.
        """
        metadata = json_safe(self._datastore.model_dump(exclude={"base_path"}))
        return cases_stream(self.datalist(), limit_cases, metadata)

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Raise `NotFoundError`: an archive is sent while it is made (`dataset_archive`)."""
        raise NotFoundError("the data set is not packed into a file; use GET /datastore/dataset")

    def status(self) -> dict[str, Any]:
        """Return MONAI Label's counts, `read_only` if nothing can be saved, damaged files of the
        index that were `set_aside`, all `damaged` files that are known, and files that are not
        listed as images though they may be some, if any.
        """
        status: dict[str, Any] = super().status()
        all_left_out = sorted(
            (*self._scanner.left_out, *self._without_image), key=lambda one: not one.may_be_image
        )
        left_out = {one.path: one.reason for one in all_left_out[:_MAX_LEFT_OUT]}
        more = {
            "read_only": self.is_read_only,
            "left_out": left_out,
            "set_aside": self._index.set_aside,
            "damaged": dict(self.damage.listed()),
        }
        return status | {name: found for name, found in more.items() if found}

    def _known(self, image_id: str) -> ImageLabelModel:
        """Return the entry of an image.

        Raises `RequestError` for an invalid id, `NotFoundError` for an unknown one.
        """
        known = self._index.model.objects.get(image_id) or self._datastore.objects.get(image_id)
        if known is None:
            checked_id("image", image_id)
            raise NotFoundError(f"there is no image {image_id!r:.80} in the study folder")
        return known

    def _known_label(self, image_id: str, tag: str) -> ImageLabelModel:
        """Return the entry of an image with a label of this tag. Raises `NotFoundError`."""
        known = self._known(image_id)
        if tag not in known.labels:
            raise NotFoundError(f"there is no label {image_id!r:.80} with the tag {tag}")
        return known

    def history_of(self, image_id: str, tag: str) -> LabelHistory:
        """Return the history of a label, whether its image is known or not."""
        return LabelHistory(self._folder / "labels" / tag, image_id, self.damage)

    def _mend(self, image_id: str, tag: str) -> None:
        known = self._index.model.objects.get(image_id)
        if known is not None:
            mend_record(self.history_of(image_id, tag), known.labels.get(tag))

    def _index_update(self, image_id: str, tag: str) -> UpdateIndex:
        return partial(self._index.put_label, image_id, tag)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the write lock, with the index up to date."""
        with self._write_lock.held():
            self._index.catch_up()
            if self._index.lost_something and self._is_open:
                self._reconcile_datastore()
            yield

    def _refresh_index(self) -> None:
        """Read changes of other processes and new files; after a disk error the index stays."""
        try:
            if self._index.is_behind() and not self._reconciled_in_memory():
                self._init_from_datastore_file()
            if self._notices_files and (self._scanner.has_changed() or self._is_scan_due()):
                self._reconcile(thorough=False)
        except (OutputError, OSError) as error:
            logger.warning("the study folder could not be read: %s", error)

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read the index, under MONAI Label's name for it."""
        with self._writing():
            pass

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the whole index, under MONAI Label's name for it."""
        with self._writing():
            self._index.compact()

    def _reconcile_datastore(self) -> None:
        """Bring the index in line with the files, under MONAI Label's name for it (`refresh`).

        Also completes or removes what killed processes left.
        """
        self._reconcile(thorough=True)

    def _reconcile(self, *, thorough: bool) -> None:
        if self._reconciled_in_memory():
            return
        with self._write_lock.held():
            self._index.catch_up()
            if not self._folder.is_dir():
                return
            thorough = thorough or self._index.lost_something
            if thorough:
                remove_abandoned(self._folder)
            objects = self._index.model.objects
            contents = self._scanner.scan({key: each.image.ext for key, each in objects.items()})
            with self._scanning():
                changed = changed_entries(objects, contents, self, thorough=thorough)
                self._adopt_asides(contents)
            self._index.put_or_remember(changed, compact=thorough)
            self._index.lost_something = False
            self._name_what_is_no_label(contents)
