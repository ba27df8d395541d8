"""Comparison of the index with the files: which entries must change so that both agree."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monailabel.datastore.local import DataModel, ImageLabelModel

from segsam.errors import DamagedRecordError
from segsam_app.storage.disk import in_the_way, sha256_of, stamp_of
from segsam_app.storage.label_checks import STORED_ENDINGS
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.label_record import IMAGE_SHA256, LabelVersion, read_version, time_text
from segsam_app.storage.scan import FolderContents

logger = logging.getLogger(__name__)

_TOGETHER_NS = 20_000_000
"""Largest difference of the times of two copies that were written together; where a file system
gives others, the files are compared."""


class LabelsOfStore(Protocol):
    """The part of the store that opens and changes the history of a label."""

    def history_of(self, image_id: str, tag: str) -> LabelHistory:
        """Return the history of a label."""

    def is_label(self, file: Path, image_id: str, ending: str) -> bool:
        """Return False for a file that is no label of an image with this ending."""

    def adopt(self, image_id: str, tag: str, ending: str, endings: set[str]) -> None:
        """Make versions of labels that another program wrote; `ending` is that of the image."""


def label_entry(version: LabelVersion, name: str) -> DataModel:
    """Return the index entry of a label at `version`, whose file is called `name`."""
    info = dict(version.info)
    info |= {
        "ts": version.seconds,
        "name": name,
        "version": version.number,
        "kind": version.kind,
        "names": version.names,
        "sha256": version.sha256,
    }
    if version.user:
        info["user"] = version.user
    if version.image_sha256:
        info[IMAGE_SHA256] = version.image_sha256
    return DataModel(info=info, ext=version.ending)


def mend_record(history: LabelHistory, listed: DataModel | None) -> bool:
    """Write the record of the current version, damaged or gone, anew from its entry in the index.

    A damaged file stays beside it. Returns True if the record is good again. Raises OSError.
    """
    number = listed.info.get("version") if listed is not None else None
    if listed is None or type(number) is not int or number < 1:
        return False
    if in_the_way(history.record_file(number)):
        return False
    if history.get(number) is not None:
        return False
    try:
        version = _version_of(listed, number, history)
        if sha256_of(history.file(version)) != version.sha256:
            return False
    except (DamagedRecordError, OSError):
        return False
    history.replace_record(version)
    logger.warning("the record of version %d of a label was made anew from the index", number)
    return True


def _version_of(listed: DataModel, number: int, history: LabelHistory) -> LabelVersion:
    """Return the version that an entry describes. Raises DamagedRecordError, OSError."""
    own = ("ts", "name", "version", "kind", "names", "sha256")
    info = listed.info
    newest = history.newest()
    record = {
        "number": number,
        "kind": info.get("kind"),
        "parent": newest.number if newest is not None else 0,
        "created": time_text(info.get("ts")),
        "user": info.get("user", ""),
        "ending": listed.ext,
        "sha256": info.get("sha256"),
        "size": (history.folder / f"{number:04d}{listed.ext}").stat().st_size,
        "names": info.get("names"),
        "info": {key: value for key, value in info.items() if key not in own},
    }
    return read_version(json.dumps(record).encode(), number)


def image_entry(name: str, ending: str, info: Mapping[str, object] | None = None) -> DataModel:
    """Return the index entry of an image that is new now, whose file is called `name`."""
    return DataModel(info={**(info or {}), "ts": int(time.time()), "name": name}, ext=ending)


def changed_entries(
    objects: Mapping[str, ImageLabelModel],
    contents: FolderContents,
    labels_of: LabelsOfStore,
    *,
    thorough: bool,
) -> dict[str, ImageLabelModel | None]:
    """Return the entries that differ from `objects`; None for images that are gone.

    `thorough` also opens the history of every label, and completes or removes what killed processes
    left. Otherwise only names of files are compared. Both need the store's write lock, because
    labels of other programs are adopted.
    """
    for name in contents.outside:
        logger.warning("%s leads out of the study folder and is not listed", name)
    changed: dict[str, ImageLabelModel | None] = {
        image_id: None for image_id in objects if image_id not in contents.images
    }
    for image_id, ending in contents.images.items():
        known = objects.get(image_id)
        labels = {}
        for tag, files in contents.labels.items():
            listed = known.labels.get(tag) if known is not None else None
            one = ListedLabel(labels_of, image_id, ending, tag, listed)
            endings = set(files.get(image_id, ()))
            entry = one.settled(endings) if thorough else one.quick(endings)
            if entry is not None:
                labels[tag] = entry
        if known is not None and known.image.ext == ending:
            image = known.image
        else:
            image = image_entry(image_id + ending, ending)
        if known is None or image is not known.image or known.labels != labels:
            changed[image_id] = ImageLabelModel(image=image, labels=labels)
    return changed


@dataclass(frozen=True)
class ListedLabel:
    """One label with the endings of its files, compared with its entry `listed` in the index."""

    store: LabelsOfStore
    image_id: str
    image_ending: str
    tag: str
    listed: DataModel | None
    verify: bool = False
    """True to compare the current label with its version by SHA-256, whatever its times say."""

    def quick(self, endings: set[str]) -> DataModel | None:
        """Return the entry of the current label, without opening its history if the files allow
        it.
        """
        if not endings:
            return None
        listed = self.listed
        if listed is not None and endings == {listed.ext} and listed.info.get("version"):
            return listed
        return self._entry(endings)

    def as_it_is(self, endings: set[str]) -> DataModel | None:
        """Return the entry of the current label; nothing is settled."""
        return self._entry(endings) if endings else None

    def settled(self, endings: set[str]) -> DataModel | None:
        """Return the entry of the current label after its history was settled; None without one."""
        history = self.store.history_of(self.image_id, self.tag)
        try:
            mend_record(history, self.listed)
            if history.settle():
                endings = history.endings(endings)
            if history.without_record():
                self.store.adopt(self.image_id, self.tag, self.image_ending, endings)
                endings = history.endings(endings)
        except OSError as error:
            logger.warning("the versions of a label cannot be settled: %s", error)
        return self._entry(endings) if endings else None

    def _entry(self, endings: set[str]) -> DataModel | None:
        """Return the entry of the label that has files with these endings.

        A file that no version describes was put there without the store. It becomes a version now;
        as long as it cannot, it is listed as version 0.
        """
        history = self.store.history_of(self.image_id, self.tag)
        newest = history.newest()
        if newest is not None and len(endings) == 1 and self._is_current(history, newest):
            return self._entry_of(newest, history)
        self.store.adopt(self.image_id, self.tag, self.image_ending, endings)
        endings, newest = history.endings(endings), history.newest()
        if newest is None or not newest.is_label or newest.ending not in endings:
            return self._entry_without_version(endings, history)
        if self._is_current(history, newest):
            return self._entry_of(newest, history)
        changed = self._entry_without_version({newest.ending}, history)
        return changed or self._entry_of(newest, history)

    def _entry_of(self, newest: LabelVersion, history: LabelHistory) -> DataModel:
        listed = self.listed
        if listed is not None and listed.info.get("version") == newest.number:
            return listed
        return label_entry(newest, history.current_file(newest.ending).name)

    def _entry_without_version(self, endings: set[str], history: LabelHistory) -> DataModel | None:
        listed = self.listed
        files = {ending: history.current_file(ending) for ending in sorted(endings)}
        usable = [
            (file.stat().st_mtime_ns, ending)
            for ending, file in files.items()
            if ending.lower() in STORED_ENDINGS
            and file.is_file()
            and self.store.is_label(file, self.image_id, self.image_ending)
        ]
        if not usable:
            return None
        ending = max(usable)[1]
        if listed is not None and listed.ext == ending and not listed.info.get("version"):
            return listed
        info = {"ts": int(time.time()), "name": files[ending].name, "version": 0}
        return DataModel(info=info, ext=ending)

    def _is_current(self, history: LabelHistory, newest: LabelVersion) -> bool:
        """Return True if the current label is the newest version, as far as times and sizes tell.

        The two are copies that were written together.
        """
        if not newest.is_label:
            return False
        current = stamp_of(history.current_file(newest.ending))
        version = stamp_of(history.file(newest))
        if current is None or version is None or current.size != newest.size:
            return False
        is_listed_as_other = self.listed is not None and not self.listed.info.get("version")
        if self.verify or is_listed_as_other:
            return history.is_intact(newest)
        together = abs(current.modified_ns - version.modified_ns) < _TOGETHER_NS
        is_last = history.last_number() == newest.number  # none after it is damaged
        return (together and is_last) or history.is_intact(newest)
