"""What a training run is, read from YAML; every number that the paper does not give is a field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

import yaml

from segsam.datasets.splits import DEFAULT_PATIENT
from segsam.errors import TrainingError
from segsam.model import find_variant
from segsam.model.config import HeadName
from segsam.training.loss_weights import LossWeights


@dataclass(frozen=True)
class TrainConfig:
    """One run. The paper says: Adam, 15 epochs, rate halved at epochs 5 and 10, 32 images on each
    of 4 GPUs, 5 random masks an image, points or one box for each (section 4.1).
    """

    datasets: tuple[str, ...]
    """Folders with dataset.json, images/ and labels/."""
    out: str
    """The folder of the run."""
    variant: str = "segsam"
    """A name of `segsam.model.VARIANTS`."""
    host: str = "litemedsam"
    """What `load_pretrained` takes; of a checkpoint of ours, its host's weights are taken."""
    adapt: bool = False
    """Start a host that adds to SAM from SAM's own weights."""
    head: str = "dense"
    """How a semantic mask is read: dense or maskcls; the paper does not say."""
    epochs: float = 15.0
    """Passes over the training slices, used when `steps` is 0."""
    steps: int = 0
    """Optimiser steps; 0 counts epochs."""
    images_per_step: int = 8
    """The paper's 128 need its 4 GPUs."""
    prompts_per_image: int = 5
    """Objects drawn, with replacement, from each image."""
    learning_rate: float = 1e-4
    """Lost in the paper; this is SAM-Med2D's, whose other settings it shares."""
    halve_at: tuple[float, ...] = (1 / 3, 2 / 3)
    """Fractions of the run at which the rate is halved: epochs 5 and 10 of 15."""
    point_share: float = 0.5
    """How many images are prompted with points, the others with boxes; the paper does not say."""
    points: int = 1
    """Points an object, of those prompted with points; the paper does not say."""
    jitter_px: float = 5.0
    """How far each side of a box may move, in model pixels, at most half of the box; as
    SAM-Med2D's."""
    seed: int = 0
    """Of the split, the new parts' weights, the order of slices and the prompts."""
    validation_share: float = 0.1
    """Of the patients of each data set; 0 for none."""
    validation_slices: int = 200
    """At most so many validation slices are measured, evenly spread."""
    slices_per_volume: int = 0
    """At most so many slices of a volume, evenly spread over those with an object; 0 for all."""
    patient: str = DEFAULT_PATIENT
    """A regular expression: what it finds in a case's name is the patient, else the whole name."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    embeddings: str = ""
    """A folder of kept embeddings that several runs may share; empty for one in `out`."""
    loss: Mapping[str, float] = field(default_factory=dict)
    """Changes to the `LossWeights` of the variant, by name."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            TrainingError: no data set, or a number out of its range; names the field.
            CheckpointError: an unknown variant.
        """
        find_variant(self.variant)
        if not self.datasets or not self.out:
            raise TrainingError("A training run needs at least one folder in datasets, and out.")
        if self.head not in get_args(HeadName):
            raise TrainingError(f"Expected head to be dense or maskcls, got {self.head!r}.")
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise TrainingError(
                    f"Expected {name} between {low:g} and {high:g}, got {getattr(self, name)}."
                )
        if any(not 0 <= fraction <= 1 for fraction in self.halve_at):
            raise TrainingError(f"Expected fractions of the run in halve_at, got {self.halve_at}.")
        self.loss_weights()

    def loss_weights(self) -> LossWeights:
        """The variant's, with `loss` applied.

        Raises:
            TrainingError: an unknown term, or a negative weight.
        """
        known = [entry.name for entry in fields(LossWeights)]
        _refuse_unknown(self.loss, known, "loss.")
        try:
            return LossWeights.of(find_variant(self.variant), **self.loss)
        except ValueError as error:
            raise TrainingError(str(error)) from error

    def to_json(self) -> str:
        """As it is kept with the run and in its checkpoints."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)


_RANGES = (
    ("epochs", 0, math.inf),
    ("steps", 0, math.inf),
    ("images_per_step", 1, math.inf),
    ("prompts_per_image", 1, math.inf),
    ("learning_rate", 1e-12, 1),
    ("point_share", 0, 1),
    ("points", 1, math.inf),
    ("jitter_px", 0, math.inf),
    ("seed", 0, 2**31),
    ("validation_share", 0, 0.9),
    ("validation_slices", 1, math.inf),
    ("slices_per_volume", 0, math.inf),
    ("checkpoint_every", 1, math.inf),
)
_TUPLES: Mapping[str, type] = {"datasets": str, "halve_at": float}
_PLAIN: Mapping[str, type] = {"str": str, "float": float, "int": int, "bool": bool}


def load_config(path: str | Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a run from YAML, `changes` of the form key=value (or loss.term=value) applied last.

    Relative folders are taken as they are, so relative to where the command runs.

    Raises:
        TrainingError: no such file, no YAML, an unknown key (the known ones are named), a value of
            another type, or one out of range.
    """
    try:
        record = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"Cannot read the training file {Path(path).name}: {error}") from error
    if not isinstance(record, dict):
        raise TrainingError(f"Expected keys and values in the training file {Path(path).name}.")
    for change in changes:
        _apply(record, change)
    return config_from(record)


def config_from(record: Mapping[str, Any]) -> TrainConfig:
    """A run from plain values, each checked against its field's type.

    Raises:
        TrainingError: as `load_config`.
    """
    types = {entry.name: str(entry.type) for entry in fields(TrainConfig)}
    _refuse_unknown(record, list(types))
    missing = [name for name in ("datasets", "out") if name not in record]
    if missing:
        raise TrainingError(f"The training file does not say {' and '.join(missing)}.")
    return TrainConfig(**{name: _typed(name, value, types[name]) for name, value in record.items()})


def _apply(record: dict[str, Any], change: str) -> None:
    """Put one key=value into the record."""
    key, equals, text = change.partition("=")
    if not equals:
        raise TrainingError(f"Expected key=value, got {change!r}.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TrainingError(f"Cannot read the value of {key}: {text!r}.") from error
    if key.startswith("loss."):
        kept = record.get("loss") or {}
        record["loss"] = {**kept, key.removeprefix("loss."): value}
    else:
        record[key] = value


def _typed(name: str, value: Any, wanted: str) -> Any:
    """The value as its field's type; whole numbers pass for fractions, nothing else for another."""
    if name == "loss":
        if not isinstance(value, dict):
            raise TrainingError(f"Expected weights by name in loss, got {value!r}.")
        return {str(term): _one(f"loss.{term}", weight, float) for term, weight in value.items()}
    if name in _TUPLES:
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(_one(name, item, _TUPLES[name]) for item in values)
    return _one(name, value, _PLAIN[wanted])


def _one(name: str, value: Any, wanted: type) -> Any:
    if wanted is float and isinstance(value, str):
        value = _number(value)  # YAML reads 1e-4, without a point, as text
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not wanted:
        raise TrainingError(f"Expected {wanted.__name__} as {name}, got {value!r}.")
    return value


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _refuse_unknown(record: Mapping[str, Any], known: Sequence[str], prefix: str = "") -> None:
    unknown = [f"{prefix}{name}" for name in record if name not in known]
    if unknown:
        names = ", ".join(prefix + name for name in known)
        raise TrainingError(f"Unknown key {', '.join(unknown)}; the known ones are {names}.")
