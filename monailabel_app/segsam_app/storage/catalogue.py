"""What the index must say, given the files that lie there."""

from __future__ import annotations

import calendar
import logging
import time
from collections.abc import Callable, Mapping

from monailabel.datastore.local import DataModel, ImageLabelModel

from segsam_app.storage.scan import Found
from segsam_app.storage.versions import History, Version

logger = logging.getLogger(__name__)

Histories = Callable[[str, str], History]


def label_entry(version: Version, name: str) -> DataModel:
    """What the index says of a label at `version`, whose file is called `name`."""
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


def reconciled(
    objects: Mapping[str, ImageLabelModel],
    found: Found,
    history_of: Histories,
    *,
    thorough: bool,
) -> dict[str, ImageLabelModel | None]:
    """The entries that differ from `objects`; None for images that are gone.

    `thorough` also opens the versions of every label, finishes or sweeps what killed processes
    left, and needs the store's lock. Otherwise only names of files are compared.
    """
    for name in found.outside:
        logger.warning("%s leads out of the study folder and is not listed", name)
    changed: dict[str, ImageLabelModel | None] = {
        image_id: None for image_id in objects if image_id not in found.images
    }
    for image_id, ending in found.images.items():
        known = objects.get(image_id)
        labels = {
            tag: label
            for tag, files in found.labels.items()
            if (
                label := _label(
                    known,
                    files.get(image_id, set()),
                    history_of(image_id, tag),
                    tag,
                    thorough=thorough,
                )
            )
        }
        same_image = known is not None and known.image.ext == ending
        image = (
            known.image if known is not None and same_image else _image(image_id + ending, ending)
        )
        entry = ImageLabelModel(image=image, labels=labels)
        if known is None or not same_image or known.labels != labels:
            changed[image_id] = entry
    return changed


def _image(name: str, ending: str) -> DataModel:
    return DataModel(info={"ts": int(time.time()), "name": name}, ext=ending)


def _label(
    known: ImageLabelModel | None,
    endings: set[str],
    history: History,
    tag: str,
    *,
    thorough: bool,
) -> DataModel | None:
    """The entry of the current label, None where there is none."""
    listed = known.labels.get(tag) if known is not None else None
    if not thorough and listed is not None and listed.ext in endings:
        return listed
    if not thorough and not endings:
        return None
    if thorough and history.settle():
        endings = history.current_endings()
    if not endings:
        return None
    newest = history.newest()
    if newest is not None and newest.is_label and newest.ending in endings:
        if listed is not None and listed.info.get("version") == newest.number:
            return listed
        return label_entry(newest, history.current_file(newest.ending).name)
    if listed is not None and listed.ext in endings:
        return listed
    ending = sorted(endings)[0]
    name = history.current_file(ending).name
    return DataModel(info={"ts": int(time.time()), "name": name, "version": 0}, ext=ending)
