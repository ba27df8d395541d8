"""Settings of a training: MONAI Label's usual parameters, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from segsam_app.ids import IdText
from segsam_app.inference.requests import validated

_HIDDEN = frozenset({"name", "val_batch_size", "seed"})
"""Settings that 3D Slicer's table does not show."""


class TrainSettings(BaseModel):
    """Settings of one training. With the defaults it takes some minutes on two processor cores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: IdText | None = Field(default=None, description="Name of the version in its record")
    pretrained: bool = Field(
        default=True,
        description="Start from the current version; else from the checkpoint of the server's "
        "start",
    )
    max_epochs: int = Field(
        default=20, ge=1, description="Passes over the slices, unless `minutes` end them earlier"
    )
    minutes: float = Field(
        default=8.0,
        gt=0,
        le=10_000,
        description="Longest time for training steps, after the slices were encoded",
    )
    early_stop_patience: int = Field(
        default=-1,
        ge=-1,
        description="Validations without a better score that end the training; -1 for none",
    )
    val_split: float = Field(
        default=0.2,
        ge=0,
        le=0.9,
        description="Share of the cases that are held out; of one or two cases, slices are",
    )
    train_batch_size: int = Field(default=4, ge=1, description="Slices per step")
    val_batch_size: int = Field(
        default=1, ge=1, description="Has no effect: validation takes one slice at a time"
    )
    learning_rate: float = Field(
        default=1e-4,
        gt=0,
        le=1,
        description="Rate of the semantic parts; the host's decoder has half of it",
    )
    slices: int = Field(
        default=240,
        ge=4,
        le=1_000_000,
        description="About the largest number of slices that are encoded, copies included",
    )
    slices_per_volume: int = Field(
        default=12, ge=1, le=10_000, description="Most slices along each axis of a volume"
    )
    copies: int = Field(
        default=1, ge=0, le=8, description="Augmented copies of each training slice"
    )
    replay_share: float = Field(
        default=0.3,
        ge=0,
        le=0.9,
        description="Share of the drawn slices that come from cases of earlier trainings",
    )
    keep: float = Field(
        default=0.3,
        ge=0,
        le=0.9,
        description="Share of the weights before in the average with the trained ones",
    )
    tolerance: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Percent points by which the mean score of a promoted version may fall",
    )
    seed: int = Field(default=0, ge=0, le=2**31, description="Seed of all random numbers")

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> TrainSettings:
        """Read a request. Raises `RequestError` that names the first invalid setting."""
        return validated(cls, {key: value for key, value in params.items() if value is not None})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return name -> default of the settings that MONAI Label's clients show."""
        return cls().model_dump(exclude=set(_HIDDEN))
