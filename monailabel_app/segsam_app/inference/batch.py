"""Batch inference, `POST /batch/infer/{model}`: many images, one after the other, in a process of
its own.

An image that cannot be segmented is reported with its reason and does not stop the others. The
results are saved with the tag `original` (or the requested one), with the names of their labels; a
label that an annotator saved is never overwritten. The process runs at a low priority, so the
server's own work comes first.
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
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from segsam.errors import SegSamError
from segsam_app.errors import RequestError

logger = logging.getLogger(__name__)

_NICE = 5


class SequentialBatchInfer(BatchInferTask):
    """MONAI Label's batch task, without its end at the first error and without threads."""

    def __call__(
        self, request: Mapping[str, Any], datastore: Datastore, infer: Callable[..., Any]
    ) -> dict[str, Any]:
        """Return {image id: its reply, or {"error", "code"}}."""
        if hasattr(os, "nice"):
            os.nice(_NICE)
        images = sorted(self.get_images(request, datastore))
        images = images[: request.get("max_batch_size", 0) or len(images)]
        replies: dict[str, Any] = {}
        for image in images:
            replies[image] = _infer(
                {**request, "image": image, "save_label": True}, datastore, infer
            )
            failed = sum("error" in reply for reply in replies.values())
            logger.info("%d of %d images, %d refused", len(replies), len(images), failed)
        return replies


@dataclass(frozen=True)
class LabelDestination:
    """Place for the label of an inference: the datastore if `is_saved`, else its file."""

    image: str
    tag: str
    is_saved: bool

    @classmethod
    def of_request(cls, request: Mapping[str, Any]) -> tuple[LabelDestination, dict[str, Any]]:
        """Return the destination in a request, and the rest of the request. Raises `RequestError`
        for the tag of annotators' labels.
        """
        image, is_saved = request.get("image", ""), bool(request.get("save_label"))
        rest = {key: request[key] for key in request if key not in ("save_label", "label_tag")}
        return cls(image, label_tag_of(request), is_saved), rest

    def save(
        self, store: Datastore, file: str | None, model: str, reply: Mapping[str, Any]
    ) -> str | None:
        """Return the id of the saved label, or the file if it is not saved."""
        if file is None or not self.is_saved:
            return file
        return str(store.save_label(self.image, file, self.tag, label_info(model, reply)))


def require_no_prompts(model: str, tasks: Mapping[str, InferTask]) -> None:
    """Raise `RequestError` for one of a server's models that segments what a prompt marks: a batch
    has no prompts.
    """
    if tasks[model].type != InferType.DEEPGROW:
        return
    others = [name for name, task in tasks.items() if task.type != InferType.DEEPGROW]
    raise RequestError(
        f"Expected a model that needs no prompts for a batch ({', '.join(others)}), got {model}."
    )


def label_tag_of(request: Mapping[str, Any]) -> str:
    """Return the tag for labels of the model. Raises `RequestError` for the tag of annotators'
    labels.
    """
    tag = request.get("label_tag") or DefaultLabelTag.ORIGINAL.value
    if tag == DefaultLabelTag.FINAL.value:
        raise RequestError("label_tag final is what annotators saved; choose another one")
    return str(tag)


def label_info(model: str, reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the information that is saved with a label of the model: the model, the names of the
    label's values, the nearest guesses for an object without a name, and the certainty of each,
    without the values of single slices.
    """
    keys = ("label_names", "suggestions", "certainty", "notes")
    certainties = {
        name: {key: value for key, value in one.items() if not isinstance(value, Mapping)}
        for name, one in reply.get("certainties", {}).items()
    }
    copied = {key: reply[key] for key in keys if key in reply}
    return {"model": model, **copied, "certainties": certainties}


def _infer(request: dict[str, Any], datastore: Datastore, infer: Callable[..., Any]) -> Any:
    try:
        reply = dict(infer(request, datastore))
    except SegSamError as error:
        logger.warning("an image was not segmented: %s", error)
        return {"error": str(error), "code": error.code}
    file = reply.pop("file", None)
    if file is not None:
        Path(file).unlink(missing_ok=True)
    return reply
