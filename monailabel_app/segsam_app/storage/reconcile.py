"""Comparison of the index with the files: which entries must change so that both agree."""

from __future__ import annotations

import calendar
import logging
import time
from collections.abc import Callable, Mapping

from monailabel.datastore.local import DataModel, ImageLabelModel

from segsam_app.storage.label_history import LabelHistory, LabelVersion
from segsam_app.storage.scan import FolderContents

logger = logging.getLogger(__name__)

HistoryOf = Callable[[str, str], LabelHistory]
"""(image id, tag) -> history of the label."""


def label_entry(version: LabelVersion, name: str) -> DataModel:
    """Return the index entry of a label at `version`, whose file is called `name`."""
    info = dict(version.info)
    info |= {
        "ts": calendar.timegm(time.strptime(version.created, "%Y-%m-%dT%H:%M:%SZ")),
        "name": name,
        "version": version.number,
        "kind": version.kind,
        "names": version.names,
        "sha256": version.sha256,
    }
    if version.user:
        info["user"] = version.user
    return DataModel(info=info, ext=version.ending)


def image_entry(name: str, ending: str, info: Mapping[str, object] | None = None) -> DataModel:
    """Return the index entry of an image that is new now, whose file is called `name`."""
    return DataModel(info={**(info or {}), "ts": int(time.time()), "name": name}, ext=ending)


def changed_entries(
    objects: Mapping[str, ImageLabelModel],
    contents: FolderContents,
    history_of: HistoryOf,
    *,
    thorough: bool,
) -> dict[str, ImageLabelModel | None]:
    """Return the entries that differ from `objects`; None for images that are gone.

    `thorough` also opens the history of every label, completes or removes what killed processes
    left, and needs the store's write lock. Otherwise only names of files are compared.
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
            endings, history = files.get(image_id, set()), history_of(image_id, tag)
            entry_of = _settled_entry if thorough else _quick_entry
            if (label := entry_of(listed, endings, history)) is not None:
                labels[tag] = label
        if known is not None and known.image.ext == ending:
            image = known.image
        else:
            image = image_entry(image_id + ending, ending)
        entry = ImageLabelModel(image=image, labels=labels)
        if known is None or image is not known.image or known.labels != labels:
            changed[image_id] = entry
    return changed


def _quick_entry(
    listed: DataModel | None, endings: set[str], history: LabelHistory
) -> DataModel | None:
    """Return the entry of the current label, without opening its history if the files allow it."""
    if not endings:
        return None
    if listed is not None and listed.ext in endings:
        return listed
    return _entry_of_files(listed, endings, history)


def _settled_entry(
    listed: DataModel | None, endings: set[str], history: LabelHistory
) -> DataModel | None:
    """Return the entry of the current label after its history was settled; None without a label."""
    if history.settle():
        endings = history.current_endings()
    return _entry_of_files(listed, endings, history) if endings else None


def _entry_of_files(
    listed: DataModel | None, endings: set[str], history: LabelHistory
) -> DataModel:
    """Return the entry of the label that has files with these endings.

    A file that no version describes was put there without the store: it is version 0 until the next
    save records it.
    """
    newest = history.newest()
    if newest is not None and newest.is_label and newest.ending in endings:
        if listed is not None and listed.info.get("version") == newest.number:
            return listed
        return label_entry(newest, history.current_file(newest.ending).name)
    if listed is not None and listed.ext in endings:
        return listed
    ending = sorted(endings)[0]
    info = {"ts": int(time.time()), "name": history.current_file(ending).name, "version": 0}
    return DataModel(info=info, ext=ending)
