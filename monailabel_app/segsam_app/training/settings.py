"""Settings of a training: MONAI Label's usual parameters, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from segsam_app.ids import IdText
from segsam_app.records import RequestRecord

Share = Annotated[float, Field(ge=0, le=0.9)]
Count = Annotated[int, Field(ge=1)]

_HIDDEN = frozenset({"name", "val_batch_size", "seed"})
"""Settings that 3D Slicer's table does not show."""


class TrainSettings(RequestRecord):
    """Settings of one training. With the defaults it takes some minutes on two processor cores."""

    name: IdText | None = None
    """Name of the version in its record."""
    pretrained: bool = True
    """Start from the current version; else from the checkpoint that the server was started with."""
    max_epochs: Count = 20
    """Passes over the slices, unless `minutes` end them earlier."""
    minutes: Annotated[float, Field(gt=0, le=10_000)] = 5.0
    """Longest time for training steps, after the slices were encoded: three quarters of it for the
    prompted decoders, the rest for the dense head."""
    early_stop_patience: Annotated[int, Field(ge=-1)] = -1
    """Validations without a better score that end the training; -1 for none."""
    val_split: Share = 0.2
    """Share of the cases that is held out for validation; of one or two cases, slices are."""
    train_batch_size: Count = 4
    """Slices per step."""
    val_batch_size: Count = 1
    """Has no effect: validation takes one slice at a time."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    """Rate of the semantic parts; the decoder of the host has half of it."""
    slices: Annotated[int, Field(ge=4, le=1_000_000)] = 240
    """About the largest number of slices that are learnt from, copies included."""
    slices_per_volume: Annotated[int, Field(ge=1, le=10_000)] = 12
    """Most slices along each axis of a volume that is trained on."""
    copies: Annotated[int, Field(ge=0, le=8)] = 1
    """Augmented copies of each training slice."""
    replay_share: Share = 0.3
    """Share of the drawn slices that come from cases of earlier trainings."""
    keep: Share = 0.3
    """Share of the weights before in the average with the trained ones."""
    tolerance: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Percent points by which the mean score of a promoted version, and its Dice on other patients,
    may fall. It always keeps most of the Dice by box and by point (`promotion.FLOOR`)."""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    """Seed of all random numbers."""

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> TrainSettings:
        """Read a request. Raises `RequestError` that names the first invalid setting."""
        return cls.model_validate({key: params[key] for key in params if params[key] is not None})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return name -> default of the settings that MONAI Label's clients show."""
        return cls().model_dump(exclude=set(_HIDDEN))
