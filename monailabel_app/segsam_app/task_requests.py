"""Request bodies of the long-running tasks (train, batch inference, scoring) and of active
learning: allow-lists, with limits.

A request may set the fields of the models below, and the keys that the task itself announces in its
`config` (3D Slicer shows them as a table and sends all of it back), as long as the value is a
number, a switch or a short word that is no path and no URL. Keys that clients send but the server
decides, such as the device, are accepted and have no effect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from segsam.system.records import unknown_key
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.ids import IdText
from segsam_app.limits import Limits
from segsam_app.records import RequestRecord
from segsam_app.strict_json import checked_json

_IGNORED = frozenset(
    {"model", "method", "strategy", "device", "gpus", "multi_gpu", "client_id", "user"}
    | {"description", "logging", "dataset", "dataloader", "tracking", "local_rank", "images"}
)
_MAX_WORD_LENGTH = 200

Positive = Annotated[int, Field(ge=1)]


class TrainRequest(RequestRecord):
    """A training."""

    name: IdText | None = None
    """Name of the new version in its record."""
    pretrained: bool | None = None
    """Start from the current version."""
    max_epochs: Positive | None = None
    """Number of epochs; the setting `max_epochs` bounds it."""
    early_stop_patience: Annotated[int, Field(ge=-1)] | None = None
    """Validations without an improvement that end the training; -1 for none."""
    val_split: Annotated[float, Field(ge=0, le=0.9)] | None = None
    """Share of the cases that is held out for validation."""
    train_batch_size: Positive | None = None
    """Slices per step; the setting `max_batch` bounds it."""
    val_batch_size: Positive | None = None
    """No effect: validation goes slice by slice."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Learning rate."""


class BatchInferRequest(RequestRecord):
    """A batch inference."""

    save_label: bool | None = None
    """No effect: a batch always saves its labels."""
    label_tag: IdText | None = None
    """Tag of the saved labels."""
    max_workers: Annotated[int, Field(ge=0, le=1)] | None = None
    """No effect: images are segmented one after the other."""
    max_batch_size: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Number of images, 0 for all."""


class ScoringRequest(RequestRecord):
    """A comparison of the labels of two tags."""

    y: IdText | None = None
    """Tag of the reference labels."""
    y_pred: IdText | None = None
    """Tag of the compared labels."""


class NextSampleRequest(RequestRecord):
    """A request for the next image to annotate; the strategy announces what can be set."""


def find_task(kind: str, name: str, tasks: Mapping[str, Any]) -> Any:
    """Return the task `name` out of `tasks`. Raises `NotFoundError` that names the known ones."""
    if name not in tasks:
        known = ", ".join(tasks) or "none"
        raise NotFoundError(f"there is no {kind} {name!r:.80}; this server has: {known}")
    return tasks[name]


def read_task_request(
    model: type[RequestRecord], params: Mapping[str, Any] | None, announced: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the part of `params` that is passed on to a task; `announced` are the keys of the
    task's own config.

    Raises `RequestError` for an unknown key or an invalid value.
    """
    checked_json(params or {}, "params")
    given = {key: value for key, value in (params or {}).items() if key not in _IGNORED}
    own = {key: given[key] for key in given if key in announced and key not in model.model_fields}
    rest = {key: value for key, value in given.items() if key not in own}
    known = dict.fromkeys((*model.model_fields, *announced))
    for key in rest:
        if key not in known:
            raise RequestError(unknown_key(str(key), known))
    for key, value in own.items():
        _check_config_value(key, value, announced[key])
    return {**model.model_validate(rest).model_dump(exclude_none=True), **own}


def check_limits(request: Mapping[str, Any], limits: Limits) -> None:
    """Raise `RequestError` for a training that is larger than the operator allows."""
    maxima = {
        "max_epochs": limits.max_epochs,
        "train_batch_size": limits.max_batch,
        "val_batch_size": limits.max_batch,
    }
    for name, maximum in maxima.items():
        if request.get(name, 0) > maximum:
            raise RequestError(
                f"{name} may be at most {maximum} on this server, got {request[name]}"
            )


def _check_config_value(key: str, value: Any, announced: Any) -> None:
    """Raise `RequestError` for what is no value of a setting; `announced` is its default, or the
    choices.
    """
    known = announced if isinstance(announced, list | tuple) else [announced]
    if isinstance(value, bool) and not any(isinstance(one, bool) for one in known):
        raise RequestError(f"{key} must not be true or false, got {value!r}")
    is_number = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    if value is None or is_number:
        return
    if not isinstance(value, str) or len(value) > _MAX_WORD_LENGTH:
        raise RequestError(f"{key} must be a number, a switch or a word, got {value!r:.80}")
    if any(mark in value for mark in ("/", "\\", "..", "\0")):
        raise RequestError(f"{key} must not be a path or a URL, got {value!r:.80}")
