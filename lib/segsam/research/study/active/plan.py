"""Plan of a simulation of active learning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import Field, model_validator

from segsam.errors import StudyError
from segsam.proposals.selection import STRATEGIES
from segsam.research.study.stored import insert_folders
from segsam.system.records import ByName, Record, Several
from segsam.training.config import TrainConfig


class ActivePlan(Record):
    """Cases and steps of a simulation, the same for every strategy. Invalid values raise
    StudyError.
    """

    refusal: ClassVar[type[StudyError]] = StudyError

    dataset: str = Field(description="Folder with dataset.json, images/ and labels/.")
    split: str = Field(
        description="Split file; cases are chosen from `train`, and `test` is held out."
    )
    sizes: Several[int] = Field(
        default=(2, 4, 8, 16),
        description="Numbers of labelled cases at which the model is measured; the first cases are "
        "drawn at random.",
    )
    pool: int = Field(
        default=30,
        description="Number of cases to choose from, evenly spread over the part `train`; 0 for "
        "all.",
    )
    first_steps: int = Field(default=40, description="Steps of training on the first cases.")
    steps: int = Field(
        default=25, description="Steps after each further choice, on all cases labelled by then."
    )
    held_out: int = Field(
        default=40,
        description="Most slices of the part `test` that are measured, evenly spread; 0 for all.",
    )
    looked_at: int = Field(default=2, description="Slices per case that a strategy examines.")
    grid: int = Field(default=3, description="Points per side on each of these slices.")
    strategies: Several[str] = Field(
        default=("random", "agreement", "diversity", "mix"),
        min_length=1,
        description="Strategies to compare.",
    )
    seeds: Several[int] = Field(
        default=(0, 1, 2),
        description="Seeds of the first cases, of random choices and of the training.",
    )
    train: ByName[Any] = Field(
        default_factory=dict, description="Changes to the defaults of `segsam train`."
    )

    @model_validator(mode="after")
    def _check_choices(self) -> ActivePlan:
        if not self.sizes or any(one >= other for one, other in pairwise((0, *self.sizes))):
            raise StudyError(f"Expected growing sizes from 1 on, got {list(self.sizes)}.")
        unknown = [name for name in self.strategies if name not in STRATEGIES]
        if unknown:
            raise StudyError(f"Expected strategies of {', '.join(STRATEGIES)}, got {unknown}.")
        return self

    @property
    def fingerprint(self) -> str:
        """Digest that is equal for plans of equal curves, whatever their strategies and seeds."""
        content = self.model_dump() | {"strategies": ["random"], "seeds": []}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def config(self, *, seed: int, folders: Mapping[str, str]) -> TrainConfig:
        """Return the training's configuration, with `{data}` and `{out}` replaced; raises
        TrainingError.
        """
        fixed = {"datasets": [self.dataset], "split": self.split, "seed": seed, "out": "{out}"}
        return TrainConfig.model_validate(insert_folders({**self.train, **fixed}, folders))
