"""What is simulated, read from YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from segsam.errors import StudyError, TrainingError
from segsam.proposals.selection import STRATEGIES
from segsam.research.study.plan import expanded
from segsam.training.config import TrainConfig, config_from
from segsam.training.typed import typed


@dataclass(frozen=True)
class ActivePlan:
    """The same for every strategy: what there is to choose from, and how much is learnt when."""

    dataset: str
    """A folder with dataset.json, images/ and labels/."""
    split: str
    """Who is chosen from (`train`) and who is held out (`test`)."""
    sizes: tuple[int, ...] = (2, 4, 8, 16)
    """So many cases are labelled when the model is measured; the first are drawn at random."""
    pool: int = 30
    """So many cases there are to choose from, evenly spread over the part `train`; 0 for all."""
    first_steps: int = 40
    """Steps of training on the first cases."""
    steps: int = 25
    """Steps after each further choice, on all that is labelled by then."""
    held_out: int = 40
    """So many slices of the part `test` are measured, evenly spread; 0 for all."""
    looked_at: int = 2
    """Slices of a case that are looked at to judge it."""
    grid: int = 3
    """Points a side on each of them."""
    strategies: tuple[str, ...] = ("random", "agreement", "diversity", "mix")
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the first cases, of what is drawn at random, and of the training."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the defaults of `segsam train`."""

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated.

        Raises:
            StudyError: sizes that do not grow, or an unknown strategy.
        """
        if not self.sizes or any(one >= other for one, other in pairwise((0, *self.sizes))):
            raise StudyError(f"Expected growing sizes from 1 on, got {list(self.sizes)}.")
        wrong = [name for name in self.strategies if name not in STRATEGIES]
        if wrong or not self.strategies:
            raise StudyError(f"Expected strategies of {', '.join(STRATEGIES)}, got {wrong}.")

    @property
    def fingerprint(self) -> str:
        """Equal for plans that mean the same curves; which strategies and seeds does not matter."""
        content = asdict(replace(self, strategies=("random",), seeds=()))
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def config(self, *, seed: int, folders: Mapping[str, str]) -> TrainConfig:
        """The training's, with `{data}` and `{out}` put in; raises TrainingError."""
        given = {"datasets": [self.dataset], "split": self.split, "seed": seed, "out": "{out}"}
        return config_from(expanded({**self.train, **given}, folders))


def load_active_plan(path: str | Path) -> ActivePlan:
    """Read a plan.

    Raises:
        StudyError: no such file, no YAML, or a key or value that cannot be meant.
    """
    path = Path(path)
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError(f"Cannot read the plan {path.name}: {error}") from error
    types = {entry.name: str(entry.type) for entry in fields(ActivePlan)}
    if not isinstance(record, dict) or not {"dataset", "split"} <= set(record) <= set(types):
        raise StudyError(
            f"Expected dataset and split in {path.name}, and of {', '.join(types)} nothing else."
        )
    train = record.pop("train", {})
    if not isinstance(train, dict):
        raise StudyError(f"Expected what differs from the defaults in train of {path.name}.")
    try:
        values = {name: typed(name, value, types[name]) for name, value in record.items()}
    except TrainingError as error:
        raise StudyError(f"{path.name}: {error}") from error
    return ActivePlan(**values, train=train)
