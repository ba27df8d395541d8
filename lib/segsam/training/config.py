"""What a training run is, read from YAML; every number that the paper does not give is a field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from segsam.categories import MODALITIES
from segsam.datasets.splits import DEFAULT_PATIENT
from segsam.errors import TrainingError
from segsam.model import find_variant
from segsam.training.loss_weights import LossWeights
from segsam.training.ranges import RANGES, WORDS
from segsam.training.typed import typed


@dataclass(frozen=True)
class TrainConfig:
    """One run. The paper says: Adam, 15 epochs, rate halved at epochs 5 and 10, 32 images on each
    of 4 GPUs, 5 random masks an image, points or one box for each (section 4.1).
    """

    out: str
    """The folder of the run."""
    datasets: tuple[str, ...] = ()
    """Folders with dataset.json, images/ and labels/."""

    shards: str = ""
    """Instead of `datasets`, shards of `segsam train --shards-to`, with the split, the limits and
    the copies that they were written with."""

    variant: str = "segsam"
    """A name of `segsam.model.VARIANTS`."""
    host: str = "litemedsam"
    """What `load_pretrained` takes; of a checkpoint of ours its host's weights are taken, and all
    of them if it is of the same variant and configuration."""
    adapt: bool = False
    """Start a host that adds to SAM from SAM's own weights."""
    categories: str = "data"
    """What the model is built for: the names in the `data`, or `all`; ours keep their own."""
    head: str = "dense"
    """How a semantic mask is read: dense or maskcls; the paper does not say."""
    grid: int = 0
    """Side of the grid that the decoders work on; 0 for the host's own."""
    model: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Other choices of `SemanticConfig`, by name."""

    epochs: float = 15.0
    """Passes over the training slices, used when `steps` is 0."""
    steps: int = 0
    """Optimiser steps; 0 counts epochs."""
    minutes: float = 0.0
    """Of learning, after which the run ends with its next step; 0 for any."""
    images_per_step: int = 8
    """The paper's 128 need its 4 GPUs."""
    prompts_per_image: int = 5
    """Objects drawn, with replacement, from each image."""
    balance: float = 1.0
    """Data sets are drawn in proportion to their slices to this power: 1 as they come, 0 alike."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Instead of `balance`, how often each data set is drawn, by name (0 if not named)."""
    learning_rate: float = 1e-4
    """Lost in the paper; this is SAM-Med2D's, whose other settings it shares."""
    host_learning_rate: float = 0.0
    """Of the host's pretrained prompt encoder and mask decoder; 0 for `learning_rate`."""
    halve_at: tuple[float, ...] = (1 / 3, 2 / 3)
    """Fractions of the run at which the rate is halved: epochs 5 and 10 of 15."""
    warmup_steps: int = 0
    """Steps in which the rate rises from 0, in a line."""
    weight_decay: float = 0.0
    """Decoupled, as AdamW's; 0 is Adam."""
    clip_norm: float = 0.0
    """Longest gradient, over all parameters; 0 for any."""
    weight_average: float = 0.0
    """Share that a moving average of the weights keeps in each step, such as 0.999; it is what is
    measured and saved. 0 for the weights themselves."""
    loss: Mapping[str, float] = field(default_factory=dict)
    """Changes to the `LossWeights` of the variant, by name."""

    point_share: float = 0.5
    """How many images are prompted with points, the others with boxes; the paper does not say."""
    points: int = 1
    """Points an object, of those prompted with points; the paper does not say."""
    jitter_px: float = 5.0
    """How far each side of a box may move, in pixels, at most half of the box; as SAM-Med2D's."""
    loose_share: float = 0.0
    """How many of the images prompted with boxes get loose ones, as sections of a 3D box are."""
    loose_by: float = 0.5
    """How far each side of a loose box may lie outside, as a share of the box."""
    neighbour_share: float = 0.0
    """Likewise, how many get boxes as propagation makes them of the neighbouring slice's mask."""
    neighbour_by: float = 0.1
    """How far a side of such a box moves, either way, in the mean, as a share of the box."""
    volumes_of: tuple[str, ...] = ()
    """The modalities, such as CT, whose images get loose and neighbours' boxes: those that come as
    volumes. Empty for all."""
    correction_rounds: int = 0
    """Rounds after the first answer, each with clicks into what is wrong and the mask before."""
    correction_share: float = 1.0
    """Of the steps that have them."""
    points_per_round: tuple[int, ...] = (1, 3, 5, 9)
    """How many clicks an object gets in such a round, drawn from these; SAM-Med2D's numbers."""
    mask_share: float = 0.5
    """How many of them come with the mask before: a server that keeps no state has clicks alone."""

    seed: int = 0
    """Of the split, the new parts' weights, the order of slices and the prompts."""
    split: str = ""
    """A split file that says who is held out; empty to make one."""
    validation_share: float = 0.1
    """Of the patients of each data set, of a split that is made; 0 for none."""
    test_share: float = 0.0
    """Likewise; what is in it is not touched by training."""
    patient: str = DEFAULT_PATIENT
    """A regular expression: what it finds in a case's name is the patient, else all of it."""
    slices_per_volume: int = 0
    """At most so many slices of a volume, evenly spread over those with an object; 0 for all."""
    slices_per_volume_of: Mapping[str, int] = field(default_factory=dict)
    """The same for single data sets, by name."""
    augmented_copies_of: Mapping[str, int] = field(default_factory=dict)
    """So many changed copies of every training slice, by name of the data set."""
    upright_copies_of: Mapping[str, int] = field(default_factory=dict)
    """Likewise, of CT pictures that lie spine up in flat contrast: turned, stretched, then changed
    (all but the first)."""
    embeddings: str = ""
    """A folder of kept embeddings that several runs may share; empty for one in `out`."""

    validate_every: int = 0
    """Steps between validations, of which the best is kept; 0 for one at the end."""
    validation_slices: int = 200
    """At most so many validation slices are measured, evenly over the data sets."""
    patience: int = 0
    """Validations without a better one that end the run; 0 for none."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    tensorboard: bool = True
    """Whether to log for TensorBoard beside the CSV files."""
    device: str = "auto"
    """Where to compute: auto is a GPU where there is one; else cpu, cuda, cuda:1."""
    precision: str = "fp32"
    """Of matrix products: fp32 or bf16; weights and the optimiser's state are always float32."""
    encoding: str = "exact"
    """How embeddings are computed that the decoders learn on: exact, or fast as a server with that
    precision does it, which then loses nothing by it."""
    threads: int = 0
    """Of the processor; 0 leaves them as they are."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            TrainingError: no data set, or a number out of its range; names the field.
            CheckpointError: an unknown variant, or a choice that its model does not have.
        """
        find_variant(self.variant)
        if bool(self.datasets) == bool(self.shards) or not self.out:
            raise TrainingError(
                "A training run needs at least one folder in datasets, or shards in its place, and "
                "out."
            )
        for name, words in WORDS.items():
            if getattr(self, name) not in words:
                wanted, got = " or ".join(words), getattr(self, name)
                raise TrainingError(f"Expected {name} to be {wanted}, got {got!r}.")
        for name, low, high in RANGES:
            if not low <= getattr(self, name) <= high:
                raise TrainingError(
                    f"Expected {name} between {low:g} and {high:g}, got {getattr(self, name)}."
                )
        if any(not 0 <= fraction <= 1 for fraction in self.halve_at):
            raise TrainingError(f"Expected fractions of the run in halve_at, got {self.halve_at}.")
        if not self.points_per_round or min(self.points_per_round) < 1:
            raise TrainingError(
                f"Expected counts of 1 or more in points_per_round, got {self.points_per_round}."
            )
        _check_boxes_of_volumes(self)
        for name in ("shares", "slices_per_volume_of", "augmented_copies_of", "upright_copies_of"):
            if any(not 0 <= each < math.inf for each in getattr(self, name).values()):
                raise TrainingError(f"Expected numbers of 0 or more in {name}.")
        self.loss_weights()
        find_variant(self.variant).configured(**self.model_choices())

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

    def model_choices(self) -> dict[str, Any]:
        """What `build_variant` is to be told of `SemanticConfig`."""
        grid = {"grid": self.grid} if self.grid else {}
        return {"head": self.head} | grid | dict(self.model)

    def to_json(self) -> str:
        """As it is kept with the run and in its checkpoints."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def _check_boxes_of_volumes(config: TrainConfig) -> None:
    if config.loose_share + config.neighbour_share > 1:
        raise TrainingError(
            "Expected loose_share and neighbour_share to be 1 together at most, got "
            f"{config.loose_share} and {config.neighbour_share}."
        )
    unknown = [name for name in config.volumes_of if name not in MODALITIES]
    if unknown:
        known = ", ".join(MODALITIES)
        raise TrainingError(f"Expected modalities in volumes_of, of {known}, got {unknown[0]!r}.")


def load_config(path: str | Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a run from YAML, `changes` of the form key=value (or loss.term=value, and so on for
    every field of values by name) applied last.

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
        TrainingError, CheckpointError: as `load_config` and `TrainConfig`.
    """
    types = _declared()
    _refuse_unknown(record, list(types))
    source = "shards" if "shards" in record else "datasets"
    missing = [name for name in (source, "out") if name not in record]
    if missing:
        raise TrainingError(f"The training file does not say {' and '.join(missing)}.")
    return TrainConfig(**{name: typed(name, value, types[name]) for name, value in record.items()})


def _declared() -> dict[str, str]:
    """What each field is declared with, as it is written."""
    return {entry.name: str(entry.type) for entry in fields(TrainConfig)}


def _apply(record: dict[str, Any], change: str) -> None:
    """Put one key=value into the record."""
    key, equals, text = change.partition("=")
    if not equals:
        raise TrainingError(f"Expected key=value, got {change!r}.")
    try:
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise TrainingError(f"Cannot read the value of {key}: {text!r}.") from error
    outer, dot, inner = key.partition(".")
    if dot and _declared().get(outer, "").startswith("Mapping"):
        record[outer] = {**(record.get(outer) or {}), inner: value}
    else:
        record[key] = value


def _refuse_unknown(record: Mapping[str, Any], known: Sequence[str], prefix: str = "") -> None:
    unknown = [f"{prefix}{name}" for name in record if name not in known]
    if unknown:
        names = ", ".join(prefix + name for name in known)
        raise TrainingError(f"Unknown key {', '.join(unknown)}; the known ones are {names}.")
