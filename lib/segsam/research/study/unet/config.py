"""Configuration of a run of a network without prompts."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from segsam.errors import TrainingError
from segsam.system.records import ByName, Number, Record, Several
from segsam.training.config import Count, Share

NetworkName: TypeAlias = Literal["dynunet", "unetr"]


class UNetConfig(Record):
    """Settings of one run: as many steps as fit into a time, on the slices on which a promptable
    model is trained. Invalid values raise TrainingError.
    """

    refusal: ClassVar[type[TrainingError]] = TrainingError

    network: NetworkName = Field(description="Architecture.")
    datasets: Several[str] = Field(
        min_length=1, description="Folders with dataset.json, images/ and labels/."
    )
    split: str = Field(description="Split file; the network is trained on its part `train`.")
    out: str = Field(description="Folder of the run.")
    seconds: Number = Field(
        default=600.0,
        ge=0,
        description="Time of the steps; cutting slices before and scoring after do not count.",
    )
    steps: int = Field(
        default=0, ge=0, description="Most steps; 0 for as many as there is time for."
    )
    images_per_step: int = Field(default=4, ge=1, description="Batch size.")
    seed: int = Field(
        default=0,
        ge=0,
        description="Seed of the weights, of the order of slices and of their augmentation.",
    )
    balance: Share = Field(
        default=0.5,
        description="Data sets are drawn in proportion to their number of slices to this power: 1 "
        "as they come, 0 all alike.",
    )
    slices_per_volume_of: ByName[Count] = Field(
        default_factory=dict,
        description="Most training slices per volume, by name of the data set; all if not named.",
    )
    threads: int = Field(
        default=0, ge=0, description="Processor threads; 0 leaves the setting unchanged."
    )
    part: str = Field(default="test", description="Part of the split that is measured at the end.")
    slices: int = Field(
        default=0, ge=0, description="Most slices per volume that are measured; 0 for all."
    )
    limit: int = Field(
        default=0, ge=0, description="Most cases per data set that are measured; 0 for all."
    )
