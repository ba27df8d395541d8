"""Labels of other programs in the store: they become versions when they are found or first read.

A label that another program put there, or changed in place, gets a number, so that a client can say
from which content its annotator began. Where that is not possible (the folder can only be read, the
disk is full), the label is listed as version 0 and known by the SHA-256 of its content.
"""

from __future__ import annotations

import logging
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastoreModel

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.dicom_source import DicomSource, known_dicom_source
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.image_files import LeftOut
from segsam_app.errors import NotFoundError
from segsam_app.storage.damage import DamageList
from segsam_app.storage.disk import FileStamp, open_regular, sha256_of_stream, stamp_of
from segsam_app.storage.found_labels import FoundLabels
from segsam_app.storage.image_contents import READ_AT_ONCE, ImageContents
from segsam_app.storage.images import ImageFiles
from segsam_app.storage.index import Index
from segsam_app.storage.label_metadata import DIGEST
from segsam_app.storage.label_record import LabelVersion
from segsam_app.storage.label_writer import Expected, LabelWriter, UpdateIndex
from segsam_app.storage.read_only import ReadOnlyAccess
from segsam_app.storage.reconcile import ListedLabel
from segsam_app.storage.scan import FolderContents

logger = logging.getLogger(__name__)

_SCAN_SECONDS = 2.0
"""Time that one scan may take for reading new labels; the others follow in a later one, or when
they are read."""
_PAUSE_SECONDS = 20.0
"""Time between two scans for labels that the one before had no time for."""
_LOOKS = 3
"""Times that a label is looked at again which could not become a version."""


@dataclass(frozen=True)
class CurrentLabel:
    """File of a current label, its name for clients, and what identifies its content: the number of
    its version, or `DIGEST` with its SHA-256.

    `version` is the version whose own file it is, if it is one.
    """

    file: Path
    name: str
    content: Expected
    version: LabelVersion | None = None


@dataclass(frozen=True)
class OpenLabel:
    """Current label, open to be read. What identifies its content was found in `stream` itself, or
    belongs to a file that never changes.
    """

    stream: BinaryIO
    name: str
    content: Expected


class LabelAdoption(ReadOnlyAccess):
    """Part of the store that adopts labels."""

    _folder: Path
    _contents: ImageContents
    _found: FoundLabels
    _images: ImageFiles
    _index: Index
    _notices_files: bool
    _seen: dict[Path, FileStamp]
    _datastore: LocalDatastoreModel
    damage: DamageList
    _adopts_until: float | None = None
    """Time of the monotonic clock until which a scan adopts; None outside of one."""
    _adopts_again: float | None = None
    """Time from which a scan for the labels that are left is due; None if there are none."""
    _without_image: tuple[LeftOut, ...] = ()

    def _writing(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def _known(self, image_id: str) -> ImageLabelModel:
        raise NotImplementedError

    def _index_update(self, image_id: str, tag: str) -> UpdateIndex:
        raise NotImplementedError

    def current_label(self, image_id: str, tag: str) -> CurrentLabel | None:
        """Return the current label with what identifies its content; None without one.

        Raises OSError.
        """
        self._look_again(image_id, tag)
        label = self._datastore.label(image_id, tag)
        if label is None:
            return None
        history = self.history_of(image_id, tag)
        file, number = history.current_file(label.ext), label.info.get("version")
        if number:
            with suppress(NotFoundError):
                version = history.with_voxels(number)
                own = history.file(version)
                if self._found.digest(own) != version.sha256:
                    own = history.voxels_of(version)
                return CurrentLabel(own, file.name, version.number, version)
            if self._seen.get(file) == stamp_of(file):  # its record is damaged
                return CurrentLabel(file, file.name, int(number))
        return CurrentLabel(file, file.name, DIGEST + self._found.digest(file))

    def open_label(self, image_id: str, tag: str) -> OpenLabel | None:
        """Open the current label; None without one.

        A version is read from its own file, which never changes, whatever another program does to
        the current label meanwhile. Raises OSError.
        """
        found = self._settled_label(image_id, tag)
        if found is None:
            return None
        history = self.history_of(image_id, tag)
        if found.version is not None and found.file != history.file(found.version):
            return OpenLabel(history.open_voxels(found.version), found.name, found.content)
        try:
            stream = open_regular(found.file)
        except FileNotFoundError:
            return None
        if isinstance(found.content, int):
            return OpenLabel(stream, found.name, found.content)
        digest = sha256_of_stream(stream)
        stream.seek(0)
        return OpenLabel(stream, found.name, DIGEST + digest)

    def _settled_label(self, image_id: str, tag: str) -> CurrentLabel | None:
        """Return the current label, as a version if it can become one: a program may be writing."""
        found = self.current_label(image_id, tag)
        for _ in range(_LOOKS):
            if self.is_read_only or found is None or found.version is not None:
                break
            found = self.current_label(image_id, tag)
        return found

    def is_label(self, file: Path, image_id: str, ending: str) -> bool:
        """Return False for a file that is no label of an image with this ending. When a scan has no
        time left, its header decides for now.
        """
        grid = self._grid(image_id, ending)
        if grid is None:
            return True
        if self._has_time():
            return self._found.check(file, grid) is not None
        return self._found.lies_on(file, grid)

    def adopt(self, image_id: str, tag: str, ending: str, endings: set[str]) -> None:
        """Make versions of labels that another program wrote; needs the write lock."""
        if self.is_read_only:
            history = self.history_of(image_id, tag)
            for file in map(history.current_file, sorted(endings)):
                self._found.refuse_unless_stored(file)
        elif self._has_time():
            writer = self._writer(image_id, tag, self._grid(image_id, ending))
            try:
                writer.bring_up_to_date(lambda _: None, endings)
            except (OutputError, OSError) as error:
                logger.warning("a label of another program is not recorded yet: %s", error)

    def refused_in(self, tag: str) -> Mapping[str, tuple[Path, str]]:
        """Return image id -> file and reason, for the files of this tag that were refused."""
        return self._found.refused_in(self._folder / "labels" / tag)

    def _writer(
        self, image_id: str, tag: str, image: RawGrid | None, most_bytes: int = READ_AT_ONCE
    ) -> LabelWriter:
        """Return the writer of a label on the grid of its image, which is read if it has changed
        and has at most `most_bytes`.
        """
        known = self._index.model.objects.get(image_id)
        listed = known.labels.get(tag) if known is not None else None
        sha256 = ""
        if known is not None and image is not None:
            sha256 = self._contents.now(image_id, known.image.ext, most_bytes)
        history = self.history_of(image_id, tag)
        source = partial(self._dicom_source, image_id)
        return LabelWriter(history, self._found, image, listed, sha256, image_source=source)

    def _dicom_source(self, image_id: str) -> DicomSource | None:
        """Return what an image is of; None if it is no DICOM."""
        known = self._index.model.objects.get(image_id)
        files = [] if known is None else self._images.files(image_id, known.image.ext)
        return known_dicom_source(files[0]) if files else None

    @contextmanager
    def _scanning(self) -> Iterator[None]:
        """Adopt for `_SCAN_SECONDS` within the block; what is left follows after a pause."""
        self._adopts_until, self._adopts_again = time.monotonic() + _SCAN_SECONDS, None
        try:
            yield
        finally:
            self._adopts_until = None

    def _has_time(self) -> bool:
        """Return True if a label may be read now; else a later scan is due for it."""
        now = time.monotonic()
        if self._adopts_until is None or now < self._adopts_until:
            return True
        self._adopts_again = now + _PAUSE_SECONDS
        return False

    def _is_scan_due(self) -> bool:
        """Return True if labels are left that the last scan had no time for."""
        return self._adopts_again is not None and time.monotonic() >= self._adopts_again

    def _grid(self, image_id: str, ending: str | None = None) -> RawGrid | None:
        """Return the grid of an image, None if it cannot be read now."""
        try:
            return self._images.grid(image_id, ending or self._known(image_id).image.ext)
        except (VolumeError, OutputError, NotFoundError):
            return None

    def _compare_images_again(self) -> None:
        """Notice labels that were compared with their images, and whose images are others now."""
        raise NotImplementedError

    def _look_again(self, image_id: str, tag: str) -> None:
        """Adopt the current label of an image if another program has written or changed it."""
        label = self._datastore.label(image_id, tag)
        if label is None or not self._notices_files:
            return
        file = self.history_of(image_id, tag).current_file(label.ext)
        stamp = stamp_of(file)
        if stamp is None or self._seen.get(file) == stamp:
            return
        try:
            entry = self._compared(image_id, tag)
        except (OutputError, OSError) as error:
            logger.warning("a label could not be compared with its versions: %s", error)
            return
        if entry is None:
            return
        file = self.history_of(image_id, tag).current_file(entry.ext)
        if file in self._found.refused:
            return
        stamp = None
        if entry.info.get("version"):  # another one may have taken its place since it was compared
            with suppress(OSError):
                stamp = self._found.state_of(file, entry.info.get("sha256", ""))
        elif self.is_read_only:
            stamp = stamp_of(file)
        if stamp is not None:
            self._seen[file] = stamp

    def _compared(self, image_id: str, tag: str) -> DataModel | None:
        """Bring the entry of a label in line with its file, and return it. Raises OSError."""
        if self.is_read_only:
            return self._reconciled_label(image_id, tag)
        with self._writing():
            return self._reconciled_label(image_id, tag)

    def _reconciled_label(self, image_id: str, tag: str) -> DataModel | None:
        known = self._index.model.objects.get(image_id)
        listed = known.labels.get(tag) if known is not None else None
        if known is None or listed is None:
            return None
        label = ListedLabel(self, image_id, known.image.ext, tag, listed, verify=True)
        endings = self.history_of(image_id, tag).endings({listed.ext})
        if not self.is_read_only:
            entry = label.settled(endings)
            if entry != listed:
                self._index_update(image_id, tag)(entry)
            return entry
        entry = label.as_it_is(endings)
        others = {key: value for key, value in known.labels.items() if key != tag}
        labels = others if entry is None else {**others, tag: entry}
        self._index.remember({image_id: known.model_copy(update={"labels": labels})})
        return entry

    def _adopt_asides(self, contents: FolderContents) -> None:
        """Make versions of labels that gave way to others and were not looked at yet, or not whole
        then; needs the write lock.
        """
        for tag, asides in contents.asides.items():
            for image_id, aside in asides:
                ending = contents.images.get(image_id)
                if ending is None:
                    self._found.leave_aside(aside, "there is no such image")
                elif self.is_read_only:
                    self._found.leave_aside(aside, "the study folder can only be read")
                elif self._has_time():
                    self._adopt_aside(image_id, tag, ending, aside)

    def _adopt_aside(self, image_id: str, tag: str, ending: str, aside: Path) -> None:
        writer = self._writer(image_id, tag, self._grid(image_id, ending))
        try:
            writer.adopt_aside(aside, lambda _: None)
        except (VolumeError, OutputError, OSError) as error:
            self._found.leave_aside(aside, "it could not be looked at yet")
            logger.warning("a label that was set aside waits: %s", error)
        if self._found.may_grow(aside):
            self._adopts_again = time.monotonic() + _PAUSE_SECONDS

    def _name_what_is_no_label(self, contents: FolderContents) -> None:
        """List the files among the labels that can be none, and notice when they become labels."""
        for place, is_folder in contents.misplaced.items():
            self.damage.note_place(place, is_folder=is_folder)
        for file in contents.set_aside:
            self.damage.note_aside(file)
        for file, why in contents.no_labels.items():
            self._found.refuse(file, why)
        spelled = {unicodedata.normalize("NFC", one): one for one in contents.images}
        self._without_image = tuple(
            LeftOut(f"labels/{tag}/{stem}{ending}", _why_without_image(stem, ending, spelled))
            for tag, files in contents.labels.items()
            for stem in sorted(files.keys() - contents.images.keys())
            for ending in sorted(files[stem])
        )
        self._found.forget_missing()
        self._compare_images_again()
        refused = self._found.refused
        self._scanner.watch(refused)
        if any(map(self._found.may_be_unfinished, refused)):
            self._scanner.scan_again()


def _why_without_image(stem: str, ending: str, spelled: Mapping[str, str]) -> str:
    """Return why a label has no image; `spelled` maps the names of images in whole letters (NFC) to
    those that they have.
    """
    alike = spelled.get(unicodedata.normalize("NFC", stem))
    if alike is None:
        return f"a label, but there is no image {stem!r:.80}"
    form = "whole (NFC)" if unicodedata.is_normalized("NFC", alike) else "in parts (NFD)"
    return (
        f"a label whose name spells letters otherwise than that of the image {alike!r:.80} does; "
        f"rename it so that they are spelled {form}, as {alike + ending!a:.200}"
    )
