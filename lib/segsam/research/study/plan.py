"""Study, read from YAML: runs that share a base, and the row of the report that each fills.

    split: docs/benchmarks/split.json
    train: {datasets: ["{data}/hippocampus"], steps: 800, …}     the base of every trained run
    unet:  {seconds: 600, …}                                     the base of every network
    evaluate: {part: test, prompts: [box, point], decoder: both}
    runs:
      - {name: as_it_comes, checkpoint: litemedsam, tables: {methods: LiteMedSAM as it comes}}
      - {name: tuned, train: {variant: baseline}, seeds: [0, 1], tables: {ladder: Baseline}}
      - {name: mean, average: ["{out}/tuned-s0", "{out}/tuned-s1"], tables: {methods: Their mean}}
      - {name: dynunet, unet: {network: dynunet}, tables: {semantic: DynUNet}}

`{data}`, `{embeddings}` and `{out}` stand for folders that the command line names, so that the file
and the stored results contain no folders of a machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, model_validator

from segsam.errors import StudyError
from segsam.system.records import ByName, Record, Several

Kind: TypeAlias = Literal["train", "unet", "average", "checkpoint"]
PromptName: TypeAlias = Literal["box", "point"]
TableName: TypeAlias = Literal["methods", "semantic", "ladder", "hosts", "grid", "shipped", "epoch"]
Values: TypeAlias = Annotated[ByName[Any], BeforeValidator(lambda value: value or {})]
"""Keys of another configuration, checked where that one is made; a key without a value is empty."""
Label: TypeAlias = Annotated[str, BeforeValidator(str)]
NO_EFFECT = ("threads", "tensorboard", "checkpoint_every")
"""Fields of a training that do not change its result."""
_SHARED_WITH_UNET = ("datasets", "slices_per_volume_of", "balance")
"""Keys that a network without prompts takes from the base of the trainings."""


class Evaluations(Record):
    """Measurements of a finished run."""

    refusal: ClassVar[type[StudyError]] = StudyError
    prefix: ClassVar[str] = "evaluate."

    part: str = Field(default="test", description="Part of the split; empty for all cases.")
    prompts: Several[PromptName] = Field(default=("box", "point"), description="Kinds of prompt.")
    decoder: str = Field(default="both", description="Decoder, as in `segsam evaluate`.")
    seed: int = Field(default=0, description="Seed of the prompts, the same for every run.")
    slices: int = Field(
        default=0, description="Most slices per volume; 0 for all, which volume scores need."
    )
    limit: int = Field(default=0, description="Most cases per data set; 0 for all.")
    propagated: bool = Field(
        default=False, description="Also propagate the objects of 3D cases from one slice."
    )
    calibrate: bool = Field(
        default=False,
        description="Also fit a temperature to the part `validation` and apply it to this one; by "
        "default for a run in the table `shipped`.",
    )
    checkpoint: str = Field(
        default="",
        description="Checkpoint that is measured in place of the run's own, as its packaged form; "
        "the only one of a run of the kind `checkpoint`.",
    )


class Run(Record):
    """One entry of `runs`: a training, a network, an average of runs, or a checkpoint."""

    refusal: ClassVar[type[StudyError]] = StudyError

    name: str = Field(description="Name of the run's folder and result.")
    train: Values = Field(default_factory=dict, description="Changes to the base of trainings.")
    unet: Values = Field(default_factory=dict, description="Changes to the base of networks.")
    average: Several[str] = Field(
        default=(), min_length=2, description="Folders of the runs whose weights are averaged."
    )
    checkpoint: Label = Field(default="", description="Name or path of weights.")
    seeds: Several[int] = Field(default=(0,), min_length=1, description="A training for each.")
    tables: Mapping[TableName, Label] = Field(
        default_factory=dict, description="Label of the run's row, by table."
    )
    evaluate: Values = Field(default_factory=dict, description="Changes to the measurements.")
    processes: int = Field(default=1, ge=1, description="Processes that share the training.")

    @model_validator(mode="after")
    def _check_kind(self) -> Run:
        kinds = [kind for kind in get_args(Kind) if kind in self.model_fields_set]
        if len(kinds) != 1:
            raise StudyError(f"Expected one of {', '.join(get_args(Kind))}, got {kinds or 'none'}.")
        if self.processes > 1 and self.kind != "train":
            raise StudyError(
                f"Expected one process for the kind {self.kind}, got {self.processes}."
            )
        return self

    @property
    def kind(self) -> Kind:
        """The key that names what is done."""
        kind: Kind = next(kind for kind in get_args(Kind) if kind in self.model_fields_set)
        return kind


class StudyFile(Record):
    """The keys of a study's YAML file."""

    refusal: ClassVar[type[StudyError]] = StudyError

    split: Label = Field(default="", description="Split file of all runs.")
    train: Values = Field(default_factory=dict, description="Base of every training.")
    unet: Values = Field(default_factory=dict, description="Base of every network.")
    evaluate: Values = Field(default_factory=dict, description="Measurements of every run.")
    runs: list[dict[str, Any]] = Field(description="The runs, in the order of their rows.")


@dataclass(frozen=True)
class Entry:
    """A run with one seed."""

    id: str
    """The run's name, with the seed if it has one; names its folder and its result."""
    run: str
    kind: Kind
    seed: int | None
    config: Mapping[str, Any]
    """Configuration of the training or network, with placeholders; of an average `of`, the folders
    of the averaged runs; empty for a checkpoint."""
    evaluations: Evaluations
    processes: int = 1
    """Processes that share a training; the result is the same."""

    @property
    def fingerprint(self) -> str:
        """Digest that is equal for entries of the same result."""
        config = {name: value for name, value in self.config.items() if name not in NO_EFFECT}
        content = json.dumps(
            [self.kind, self.seed, config, self.evaluations.model_dump()], sort_keys=True
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Row:
    """A run's row in a table of the report."""

    run: str
    table: TableName
    label: str


@dataclass(frozen=True)
class Study:
    """Entries in the order of the file, and the rows that they fill."""

    split: str
    datasets: tuple[str, ...]
    """Folders, with placeholders."""
    entries: tuple[Entry, ...]
    rows: tuple[Row, ...]

    def rows_of(self, table: TableName) -> tuple[Row, ...]:
        """Return the rows of one table, in the order of the file."""
        return tuple(row for row in self.rows if row.table == table)

    def ids_of(self, run: str) -> tuple[str, ...]:
        """Return the ids of a run's entries, one per seed."""
        return tuple(entry.id for entry in self.entries if entry.run == run)


def load_study(path: str | Path) -> Study:
    """Read a study from YAML.

    Raises:
        StudyError: no such file, no YAML, or an invalid key, value, table, kind or name.
    """
    file = StudyFile.load(path)
    runs, entries = [], list[Entry]()
    for values in file.runs:
        try:
            runs.append(Run.model_validate(values))
            entries += _entries(runs[-1], file)
        except StudyError as error:
            raise StudyError(f"In the run {values.get('name', '')}: {error}") from error
    names = [entry.id for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StudyError(f"Expected a different name for each run, got {', '.join(twice)} twice.")
    rows = [Row(run.name, table, label) for run in runs for table, label in run.tables.items()]
    datasets = map(str, file.train.get("datasets", []))
    return Study(file.split, tuple(datasets), tuple(entries), tuple(rows))


def _entries(run: Run, file: StudyFile) -> list[Entry]:
    """Return the entries of a run, one per seed if it is trained."""
    calibrate = {"calibrate": "shipped" in run.tables}
    evaluations = Evaluations.model_validate(calibrate | {**file.evaluate, **run.evaluate})
    if run.kind == "checkpoint":
        measured = evaluations.model_copy(update={"checkpoint": run.checkpoint})
        return [Entry(run.name, run.name, run.kind, None, {}, measured)]
    if run.kind == "average":
        return [Entry(run.name, run.name, run.kind, None, {"of": run.average}, evaluations)]
    config = _trained_config(run, file)
    return [
        Entry(f"{run.name}-s{seed}", run.name, run.kind, seed, config, evaluations, run.processes)
        for seed in run.seeds
    ]


def _trained_config(run: Run, file: StudyFile) -> dict[str, Any]:
    """Return the base with a run's changes; mappings are merged key by key."""
    if run.kind == "train":
        config, changes = dict(file.train), run.train
    else:
        shared = {key: file.train[key] for key in _SHARED_WITH_UNET if key in file.train}
        config, changes = shared | dict(file.unet), run.unet
    for key, value in changes.items():
        merged = isinstance(value, dict) and isinstance(config.get(key), dict)
        config[key] = {**config[key], **value} if merged else value
    return config
