"""What may be asked of the long-running tasks (train, batch inference, scoring) and of active
learning: allow-lists, with limits.

A request may set what stands in the models below, and what the task itself announces in its
`config` (3D Slicer shows that as a table and sends all of it back), as long as the value is a
number, a switch or a short word. A path or a URL is neither. What clients send and a server
decides, such as the device, is known and has no effect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from segsam_app.errors import NotFoundError, RequestError
from segsam_app.ids import IdText
from segsam_app.inference.requests import validated
from segsam_app.limits import Limits

_NO_EFFECT = frozenset(
    {"model", "method", "strategy", "device", "gpus", "multi_gpu", "client_id", "user"}
    | {"description", "logging", "dataset", "dataloader", "tracking", "local_rank", "images"}
)
_WORD_LENGTH = 200

Positive = Annotated[int, Field(ge=1)]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TrainOrder(_Order):
    """A training. Counts are bounded by the settings `max_epochs` and `max_batch`."""

    name: IdText | None = None
    pretrained: bool | None = None
    max_epochs: Positive | None = None
    early_stop_patience: Annotated[int, Field(ge=-1)] | None = None
    val_split: Annotated[float, Field(ge=0, le=0.9)] | None = None
    train_batch_size: Positive | None = None
    val_batch_size: Positive | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None


class BatchOrder(_Order):
    """A batch inference; `max_batch_size` is how many images at most, 0 for all."""

    save_label: bool | None = None
    label_tag: IdText | None = None
    max_workers: Annotated[int, Field(ge=0, le=1)] | None = None
    max_batch_size: Annotated[int, Field(ge=0, le=100_000)] | None = None


class ScoringOrder(_Order):
    """A comparison of the labels of two tags."""

    y: IdText | None = None
    y_pred: IdText | None = None


class NextSampleOrder(_Order):
    """The next image to annotate; what there is to choose is in the strategy's own config."""


def named(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """The task called `name`. Raises `NotFoundError` naming those that exist."""
    if name not in known:
        listed = ", ".join(known) or "none"
        raise NotFoundError(f"there is no {kind} {name!r:.80}; this server has: {listed}")
    return known[name]


def read_order(
    order: type[_Order], params: Mapping[str, Any] | None, announced: Mapping[str, Any]
) -> dict[str, Any]:
    """What of `params` is handed on to a task that announces the keys of `announced`.

    Raises `RequestError` for an unknown key, or a value that is out of bounds.
    """
    given = {key: value for key, value in (params or {}).items() if key not in _NO_EFFECT}
    own = {key: given[key] for key in given if key in announced and key not in order.model_fields}
    rest = {key: value for key, value in given.items() if key not in own}
    for key, value in own.items():
        _check_plain(key, value)
    return {**validated(order, rest).model_dump(exclude_none=True), **own}


def check_counts(order: Mapping[str, Any], limits: Limits) -> None:
    """Refuse a training that is larger than the operator allows."""
    most = {
        "max_epochs": limits.max_epochs,
        "train_batch_size": limits.max_batch,
        "val_batch_size": limits.max_batch,
    }
    for name, limit in most.items():
        if order.get(name, 0) > limit:
            raise RequestError(f"{name} may be at most {limit} on this server, got {order[name]}")


def _check_plain(key: str, value: Any) -> None:
    is_number = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    if value is None or is_number:
        return
    if not isinstance(value, str) or len(value) > _WORD_LENGTH:
        raise RequestError(f"{key} must be a number, a switch or a word, got {value!r:.80}")
    if any(mark in value for mark in ("/", "\\", "..", "\0")):
        raise RequestError(f"{key} must not be a path or a URL, got {value!r:.80}")
