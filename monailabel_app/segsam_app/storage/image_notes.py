"""Labels whose image is another one now: on another grid, or with another content.

They stay and are served, with a note. They count as no label of the image: not as completed, not in
a data set, not in a training. Put the earlier image back, and they are as before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from monailabel.datastore.local import DataModel, ImageLabelModel

from segsam.errors import OutputError
from segsam_app.storage.adoption import LabelAdoption
from segsam_app.storage.damage import aside_files
from segsam_app.storage.found_labels import ImageNote
from segsam_app.storage.image_contents import ANY_SIZE, READ_AT_ONCE
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.label_record import IMAGE_SHA256, is_sha256
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.storage.version_files import VERSIONS

logger = logging.getLogger(__name__)

_READING_SECONDS = 5.0
"""Time that one look at the labels may spend on images that nobody has changed."""
_LISTING_SECONDS = 0.5
"""Time that a list of images may spend on reading those that have changed."""


class _Made(NamedTuple):
    """Label that has no content of its image in the index, and that content."""

    image_id: str
    tag: str
    version: object
    sha256: str


class ImageNotes(LabelAdoption):
    """Part of the store that compares labels with their images."""

    taught: TaughtStore

    def image_note(self, image_id: str, tag: str) -> ImageNote | None:
        """Return what is to say about a label whose image is another one now; None for others. An
        image that has changed is read.
        """
        label = self._datastore.label(image_id, tag)
        return None if label is None else self._image_note(image_id, tag, label, ANY_SIZE)

    def _image_note(
        self, image_id: str, tag: str, label: DataModel, most_bytes: int = READ_AT_ONCE
    ) -> ImageNote | None:
        file = self.history_of(image_id, tag).current_file(label.ext)
        known = self._index.model.objects.get(image_id)
        grid = self._grid(image_id, known.image.ext) if known is not None else None
        if known is None or grid is None:
            return None
        was, now = _content_at(label), ""
        if was:
            now = self._contents.latest(image_id, known.image.ext, most_bytes)
        return self._found.of_another_image(file, image_id, grid, was, now)

    def _labelled(self, tag: str) -> list[str]:
        """Return the images with a label of this tag that is one of the image as it is now."""
        until = time.monotonic() + _LISTING_SECONDS
        found = []
        for key, known in self._datastore.objects.items():
            most_bytes = READ_AT_ONCE if time.monotonic() < until else 0
            if tag in known.labels:
                note = self._image_note(key, tag, known.labels[tag], most_bytes)
                found += [key] if note is None else []
        return found

    def _compare_images_again(self) -> None:
        """Notice labels that were compared with their images, and whose images are others now."""
        until = time.monotonic() + _LISTING_SECONDS
        for image_id, known in self._index.model.objects.items():
            for tag, label in known.labels.items():
                file = self.history_of(image_id, tag).current_file(label.ext)
                if self._found.was_compared(file):
                    most_bytes = READ_AT_ONCE if time.monotonic() < until else 0
                    self._image_note(image_id, tag, label, most_bytes)

    def read_changed_images(self) -> None:
        """Read the images with labels that have changed, whatever their size: what is listed as
        labelled afterwards is.
        """
        for image_id, known in list(self._datastore.objects.items()):
            for tag, label in list(known.labels.items()):
                self._image_note(image_id, tag, label, ANY_SIZE)

    def look_at_labels(self) -> None:
        """Compare all labels with their images, of which those that have changed are read, and let
        labels without the content of their image have it. For a background thread.
        """
        until = time.monotonic() + _READING_SECONDS
        made = []
        for image_id, known in list(self._datastore.objects.items()):
            for tag, label in list(known.labels.items()):
                if not _content_at(label):
                    most_bytes = ANY_SIZE if time.monotonic() < until else 0
                    now = self._contents.now(image_id, known.image.ext, most_bytes)
                    made += [_Made(image_id, tag, label.info.get("version"), now)] if now else []
                self._image_note(image_id, tag, label, ANY_SIZE)
        self._contents.read_wanted(until)
        self._keep(made)
        if not self.is_read_only:
            self._contents.save(self._index.model.objects)

    def _keep(self, made: Sequence[_Made]) -> None:
        """Put the contents of images into the index, where the labels are still the same."""
        if not made:
            return
        try:
            if self.is_read_only:
                self._index.remember(self._with_contents(made))
                return
            with self._writing():
                self._index.put(self._with_contents(made), durable=False)
        except (OutputError, OSError) as error:
            logger.warning("the contents of images could not be noted: %s", error)

    def _with_contents(self, made: Sequence[_Made]) -> dict[str, ImageLabelModel]:
        changed: dict[str, ImageLabelModel] = {}
        for one in made:
            known = changed.get(one.image_id) or self._index.model.objects.get(one.image_id)
            label = known.labels.get(one.tag) if known is not None else None
            if known is None or label is None or _content_at(label):
                continue
            if label.info.get("version") == one.version:
                info = {**label.info, IMAGE_SHA256: one.sha256}
                labels = {**known.labels, one.tag: label.model_copy(update={"info": info})}
                changed[one.image_id] = known.model_copy(update={"labels": labels})
        return changed

    def check_records(self) -> None:
        """Read all records, so that `damage` lists what is wrong, and what was set aside."""
        self.look_at_labels()
        self.taught.check()
        for file in aside_files(self._folder):
            self.damage.note_aside(file)
        for place in self._folder.glob(f"labels/*/{VERSIONS}/*"):
            self.damage.note_place(place, is_folder=True)
            try:
                LabelHistory(place.parents[1], place.name, self.damage).all()
            except OSError as error:
                self.damage.note(place, error.strerror or type(error).__name__)


def _content_at(label: DataModel) -> str:
    """Return the SHA-256 that the image had when the label was made; "" if it is not known."""
    found = label.info.get(IMAGE_SHA256)
    return str(found) if is_sha256(found) else ""
