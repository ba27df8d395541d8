"""`POST /batch/infer/{model}`: many images, one after the other, in a process of its own.

An image that cannot be segmented is told with its reason and does not end the others. What is found
is saved with the tag `original` (or the one asked for), with its names; a label that annotators
saved is never touched. The process is polite: whatever the server computes goes first.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from segsam.errors import SegSamError
from segsam_app.errors import RequestError

logger = logging.getLogger(__name__)

_POLITENESS = 5


class PoliteBatch(BatchInferTask):
    """MONAI Label's loop, which a single image does not end."""

    def __call__(
        self, request: Mapping[str, Any], datastore: Datastore, infer: Callable[..., Any]
    ) -> dict[str, Any]:
        """{image id: its reply, or {"error", "code"}}."""
        if hasattr(os, "nice"):
            os.nice(_POLITENESS)
        images = sorted(self.get_images(request, datastore))
        images = images[: request.get("max_batch_size", 0) or len(images)]
        tag = request.get("label_tag", DefaultLabelTag.ORIGINAL.value)
        done: dict[str, Any] = {}
        for image in images:
            wanted = {**request, "image": image, "save_label": True, "label_tag": tag}
            done[image] = _told(infer, wanted, datastore)
            failed = sum("error" in one for one in done.values())
            logger.info("%d of %d images, %d refused", len(done), len(images), failed)
        return done


@dataclass(frozen=True)
class Place:
    """Where the result of an inference is kept: as a label of `tag`, if `wanted` at all."""

    image: str
    tag: str
    wanted: bool

    @classmethod
    def taken_from(cls, request: Mapping[str, Any]) -> tuple[Place, dict[str, Any]]:
        """The place that a request names, and the rest of the request. Raises `RequestError` for
        the tag of what annotators saved.
        """
        tag = request.get("label_tag") or DefaultLabelTag.ORIGINAL.value
        if tag == DefaultLabelTag.FINAL.value:
            raise RequestError("label_tag final is what annotators saved; choose another one")
        place = cls(request.get("image", ""), tag, bool(request.get("save_label")))
        rest = {key: request[key] for key in request if key not in ("save_label", "label_tag")}
        return place, rest

    def keep(
        self, store: Datastore, file: str | None, model: str, reply: Mapping[str, Any]
    ) -> str | None:
        """The label's id, or the file where nothing is kept."""
        if file is None or not self.wanted:
            return file
        return str(store.save_label(self.image, file, self.tag, label_info(model, reply)))


def label_info(model: str, reply: Mapping[str, Any]) -> dict[str, Any]:
    """What is saved with a label that no annotator drew: whose it is, the names of its values, and
    how sure the model is of each, without the single slices.
    """
    kept = {key: reply[key] for key in ("label_names", "certainty", "notes") if key in reply}
    sure = {
        name: {key: value for key, value in one.items() if not isinstance(value, Mapping)}
        for name, one in reply.get("certainties", {}).items()
    }
    return {"model": model, **kept, "certainties": sure}


def _told(infer: Callable[..., Any], request: Mapping[str, Any], datastore: Datastore) -> Any:
    try:
        reply = dict(infer(dict(request), datastore))
    except SegSamError as error:
        logger.warning("an image was not segmented: %s", error)
        return {"error": str(error), "code": error.code}
    file = reply.pop("file", None)
    if file is not None:
        Path(file).unlink(missing_ok=True)
    return reply
