"""What a training may be told: MONAI Label's usual parameters, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from segsam_app.ids import IdText
from segsam_app.records import RequestRecord

Share = Annotated[float, Field(ge=0, le=0.9)]
Count = Annotated[int, Field(ge=1)]

_NOT_ANNOUNCED = frozenset({"name", "val_batch_size", "seed"})
"""Known, but nothing that 3D Slicer's table of settings should show."""


class TrainSettings(RequestRecord):
    """One training. The defaults take some minutes on two processor cores."""

    name: IdText | None = None
    """What the version is called in its record."""
    pretrained: bool = True
    """Whether to go on from the current version; else from the checkpoint of the start."""
    max_epochs: Count = 20
    """Passes over the slices, unless `minutes` end it before."""
    minutes: Annotated[float, Field(gt=0, le=10_000)] = 8.0
    """Of learning, after the slices were encoded."""
    early_stop_patience: Annotated[int, Field(ge=-1)] = -1
    """Validations without a better one that end it; -1 for none."""
    val_split: Share = 0.2
    """How many of the cases are held out; of one or two cases, slices are."""
    train_batch_size: Count = 4
    """Slices per step."""
    val_batch_size: Count = 1
    """Has no effect: validation goes slice by slice."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    """Of the semantic parts; the host's decoder learns at half of it."""
    slices: Annotated[int, Field(ge=4, le=1_000_000)] = 240
    """At most about so many slices, copies included, are encoded for one training."""
    slices_per_volume: Annotated[int, Field(ge=1, le=10_000)] = 12
    """At most so many along each axis of a volume."""
    copies: Annotated[int, Field(ge=0, le=8)] = 1
    """Augmented copies of each slice that is learnt from."""
    replay_share: Share = 0.3
    """How many of the slices drawn are of cases that the version before knew already."""
    keep: Share = 0.3
    """How much of the weights before is kept in the average with the learnt ones."""
    tolerance: Annotated[float, Field(ge=0, le=100)] = 0.0
    """So many percent points may the mean score fall for a version to be promoted all the same."""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> TrainSettings:
        """Raises `RequestError` naming the first that cannot be meant."""
        return cls.model_validate({key: params[key] for key in params if params[key] is not None})

    @classmethod
    def announced(cls) -> dict[str, Any]:
        """Name -> default, as MONAI Label's clients show them."""
        defaults = cls().model_dump()
        return {key: defaults[key] for key in defaults if key not in _NOT_ANNOUNCED}
