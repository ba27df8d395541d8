"""A study read from YAML: which runs there are, over a common base, and which row each belongs to.

    split: docs/benchmarks/split.json
    train: {datasets: ["{data}/hippocampus"], steps: 800, …}     the base of every trained run
    unet:  {seconds: 600, …}                                     the base of every network
    evaluate: {part: test, prompts: [box, point], decoder: both}
    runs:
      - {name: as_it_comes, checkpoint: litemedsam, tables: {methods: LiteMedSAM as it comes}}
      - {name: tuned, train: {variant: baseline}, seeds: [0, 1], tables: {ladder: Baseline}}
      - {name: mean, average: ["{out}/tuned-s0", "{out}/tuned-s1"], tables: {methods: Their mean}}
      - {name: dynunet, unet: {network: dynunet}, tables: {semantic: DynUNet}}

`{data}`, `{embeddings}` and `{out}` stand for the folders that the command line names, so that the
file, and what is stored of a run, name no machine's folders.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import yaml

from segsam.errors import StudyError

Kind: TypeAlias = Literal["train", "unet", "average", "checkpoint"]
PromptName: TypeAlias = Literal["box", "point"]
TableName: TypeAlias = Literal["methods", "semantic", "ladder", "hosts", "grid", "shipped", "epoch"]
_KEYS = ("split", "train", "unet", "evaluate", "runs")
_RUN_KEYS = ("name", "seeds", "tables", "evaluate", "processes", *get_args(Kind))
NO_EFFECT = ("threads", "tensorboard", "checkpoint_every")
"""Fields of a run that change nothing about what comes of it."""
_SHARED_WITH_UNET = ("datasets", "slices_per_volume_of", "balance")
"""What a network without prompts takes from the base of the trained runs."""


@dataclass(frozen=True)
class Evaluations:
    """What is measured of a finished run."""

    part: str = "test"
    """Of the split; empty for all cases."""
    prompts: tuple[PromptName, ...] = ("box", "point")
    decoder: str = "both"
    seed: int = 0
    """Of the prompts; the same for every run."""
    slices: int = 0
    """At most so many slices of a volume; 0 for all, which volume scores need."""
    limit: int = 0
    """At most so many cases of a data set; 0 for all."""
    propagated: bool = False
    """Also follow the objects of 3D cases from one prompted slice."""
    calibrate: bool = False
    """Also fit a temperature to the part `validation` and see what it does to this one; true by
    itself for a run in the table `shipped`."""
    checkpoint: str = ""
    """Measured in place of what the run trained, as its packaged form; of a run of the kind
    `checkpoint` all that there is."""


@dataclass(frozen=True)
class Entry:
    """A run with one seed."""

    id: str
    """The run's name, with the seed where it has one: also the names of its folder and result."""
    run: str
    kind: Kind
    seed: int | None
    config: Mapping[str, Any]
    """Of the training, with placeholders; of an average, `of`, the folders of the runs whose
    weights it is the mean of; empty for a checkpoint."""
    evaluations: Evaluations
    processes: int = 1
    """That a training is shared out to, of `threads` each; what comes of it is the same."""

    @property
    def fingerprint(self) -> str:
        """Equal for entries that mean the same run."""
        config = {name: value for name, value in self.config.items() if name not in NO_EFFECT}
        content = json.dumps(
            [self.kind, self.seed, config, asdict(self.evaluations)], sort_keys=True
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Row:
    """Where a run stands in the report."""

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
        """The rows of one table, in the order of the file."""
        return tuple(row for row in self.rows if row.table == table)

    def ids_of(self, run: str) -> tuple[str, ...]:
        """The entries of a run, one a seed."""
        return tuple(entry.id for entry in self.entries if entry.run == run)


def load_study(path: str | Path) -> Study:
    """Read a study.

    Raises:
        StudyError: no such file, no YAML, or a key, table, kind or name that cannot be meant.
    """
    path = Path(path)
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError(f"Cannot read the study {path.name}: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("runs"), list):
        raise StudyError(f"Expected a study with a list of runs in {path.name}.")
    _refuse_unknown(record, _KEYS, path.name)
    entries = [entry for run in record["runs"] for entry in _entries(run, record)]
    names = [entry.id for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StudyError(f"Two runs of {path.name} are called {', '.join(twice)}.")
    datasets = _base(record, "train").get("datasets", [])
    return Study(
        str(record.get("split", "")),
        tuple(map(str, datasets)),
        tuple(entries),
        tuple(row for run in record["runs"] for row in _rows(run)),
    )


def expanded(value: Any, folders: Mapping[str, str]) -> Any:
    """Plain values with `{name}` replaced by the folder of that name in every text."""
    if isinstance(value, str):
        for name, folder in folders.items():
            value = value.replace(f"{{{name}}}", folder)
        return value
    if isinstance(value, Mapping):
        return {key: expanded(item, folders) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [expanded(item, folders) for item in value]
    return value


def _entries(run: Any, study: Mapping[str, Any]) -> list[Entry]:
    if not isinstance(run, dict) or not isinstance(run.get("name"), str):
        raise StudyError(f"Expected every run to have a name, got {run!r}.")
    name = run["name"]
    _refuse_unknown(run, _RUN_KEYS, f"the run {name}")
    kinds = [kind for kind in get_args(Kind) if kind in run]
    if len(kinds) != 1:
        wanted = ", ".join(get_args(Kind))
        raise StudyError(f"Expected one of {wanted} in the run {name}, got {kinds or 'none'}.")
    kind: Kind = kinds[0]
    changes = {**_base(study, "evaluate"), **run.get("evaluate", {})}
    changes.setdefault("calibrate", any(row.table == "shipped" for row in _rows(run)))
    evaluations = _evaluations(changes, name)
    if kind == "checkpoint":
        measured = {**asdict(evaluations), "checkpoint": str(run["checkpoint"])}
        return [Entry(name, name, kind, None, {}, Evaluations(**measured))]
    if kind == "average":
        return [Entry(name, name, kind, None, {"of": _folders(run[kind], name)}, evaluations)]
    seeds = run.get("seeds", [0])
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds) or not seeds:
        raise StudyError(f"Expected a list of whole numbers as seeds of {name}, got {seeds!r}.")
    config, processes = _config(kind, run[kind], study, name), _processes(run, kind)
    return [
        Entry(f"{name}-s{seed}", name, kind, seed, config, evaluations, processes) for seed in seeds
    ]


def _processes(run: Mapping[str, Any], kind: Kind) -> int:
    processes = run.get("processes", 1)
    if type(processes) is not int or processes < 1 or (processes > 1 and kind != "train"):
        raise StudyError(
            f"Expected 1 or more processes to train {run['name']} in, got {processes!r} of the "
            f"kind {kind}."
        )
    return processes


def _folders(value: Any, name: str) -> tuple[str, ...]:
    """Of the runs whose weights are averaged, with placeholders."""
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(v, str) for v in value):
        raise StudyError(
            f"Expected at least two runs' folders to average in {name}, got {value!r}."
        )
    return tuple(value)


def _config(kind: Kind, changes: Any, study: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The base with a run's changes; mappings are joined key by key."""
    if not isinstance(changes, dict):
        raise StudyError(f"Expected what differs from the base in {kind} of {name}.")
    base = _base(study, kind)
    if kind == "unet":
        common = _base(study, "train")
        base = {key: common[key] for key in _SHARED_WITH_UNET if key in common} | base
    for key, value in changes.items():
        joined = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = {**base[key], **value} if joined else value
    return base


def _evaluations(record: Mapping[str, Any], name: str) -> Evaluations:
    known = [entry.name for entry in fields(Evaluations)]
    _refuse_unknown(record, known, f"evaluate of {name}")
    prompts = tuple(record.get("prompts", get_args(PromptName)))
    if any(prompt not in get_args(PromptName) for prompt in prompts):
        raise StudyError(f"Expected the prompts box or point for {name}, got {list(prompts)}.")
    return Evaluations(**{**record, "prompts": prompts})


def _rows(run: Mapping[str, Any]) -> list[Row]:
    tables = run.get("tables", {})
    wanted = get_args(TableName)
    if not isinstance(tables, dict) or any(table not in wanted for table in tables):
        raise StudyError(
            f"Expected labels by table ({', '.join(wanted)}) for {run['name']}, got {tables!r}."
        )
    return [Row(run["name"], table, str(label)) for table, label in tables.items()]


def _base(study: Mapping[str, Any], key: str) -> dict[str, Any]:
    base = study.get(key) or {}
    if not isinstance(base, dict):
        raise StudyError(f"Expected keys and values in {key} of the study, got {base!r}.")
    return dict(base)


def _refuse_unknown(record: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [str(key) for key in record if key not in known]
    if unknown:
        raise StudyError(
            f"Unknown in {where}: {', '.join(unknown)}; the known keys are {', '.join(known)}."
        )
