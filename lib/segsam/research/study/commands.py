"""The commands that a run is made of, each with the file that says that it was done."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsam.datasets.splits import VALIDATION
from segsam.errors import OutputError, StudyError
from segsam.research.study.plan import NO_EFFECT, Entry, Study, expanded
from segsam.research.study.unet.config import UNetConfig
from segsam.system.atomic import write_bytes
from segsam.training.config import TrainConfig
from segsam.training.reports import MODEL, REPORT

SEGSAM = (sys.executable, "-c", "from segsam.cli.app import main; main()")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
LAST = "last.pt"
COST = "cost.json"
UNET = "unet.json"
CALIBRATION = "calibration.json"
FACTS = "facts.json"
_RUN = "run.yaml"
_PATHS = ("datasets", "embeddings", "out", "split")
"""Fields that may differ between a run and what it is compared with: the same from elsewhere."""


@dataclass(frozen=True)
class Places:
    """The folders of a study on this machine."""

    data: Path
    out: Path
    """A folder for each run."""
    results: Path
    embeddings: Path | None = None
    """Kept embeddings that all runs share; None for a folder in `out`."""

    @property
    def folders(self) -> Mapping[str, str]:
        """What the placeholders stand for."""
        kept = self.embeddings or self.out / "embeddings"
        return {"data": str(self.data), "out": str(self.out), "embeddings": str(kept)}

    def of(self, entry: Entry) -> Path:
        """The folder of a run."""
        return self.out / entry.id


@dataclass(frozen=True)
class Step:
    """One command."""

    what: str
    """For people."""
    arguments: tuple[str, ...]
    """Of `segsam`."""
    makes: tuple[Path, ...]
    """There when it is done, and only then."""
    processes: int = 1
    """More than one are started by `torchrun`."""

    @property
    def is_done(self) -> bool:
        """Whether all that it makes is there."""
        return all(path.is_file() for path in self.makes)

    @property
    def command(self) -> tuple[str, ...]:
        """As a process is started with it."""
        if self.processes == 1:
            return (*SEGSAM, *self.arguments)
        return (*TORCHRUN, str(self.processes), "--no-python", *SEGSAM, *self.arguments)


def steps_of(entry: Entry, study: Study, places: Places) -> list[Step]:
    """What a run consists of, in order."""
    folder = places.of(entry)
    if entry.kind == "unet":
        arguments = ("study", "unet", str(_config_file(entry, places)))
        done = folder / UNET
        return [Step("train and measure", (*arguments, "--json", str(done)), (done,))]
    measured = _checkpoint(entry, places)
    cost = ("study", "cost", measured, "--json", str(folder / COST))
    steps = [Step("count and time", cost, (folder / COST,))]
    prompts = entry.evaluations.prompts
    steps += [_evaluation(entry, study, places, prompt=prompt) for prompt in prompts]
    if entry.evaluations.calibrate:
        steps += [_for_temperature(entry, study, places, prompt=prompt) for prompt in prompts]
        steps.append(_calibration(entry, places))
    if entry.kind == "train":
        steps.insert(0, _training(entry, places))
    if entry.kind == "average":
        steps.insert(0, _average(entry, places))
    return steps


def write_config(entry: Entry, study: Study, places: Places) -> None:
    """Put the run's configuration where its command reads it.

    Raises:
        StudyError: when the run was begun with another one.
        OutputError: a folder that cannot be written to.
    """
    folder = places.of(entry)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error
    if entry.kind == "checkpoint":
        return
    config = _config(entry, study, places)
    differing = _differing(config, folder, entry.kind)
    if differing:
        raise StudyError(
            f"The run {entry.id} was begun with another configuration ({', '.join(differing)}); "
            "give it another name, or remove its folder to begin again."
        )
    write_bytes(_config_file(entry, places), json.dumps(config, indent=1).encode())


def _differing(config: Mapping[str, Any], folder: Path, kind: str) -> list[str]:
    """Fields in which the run in a folder, if there is one, was begun otherwise."""
    # What trains keeps its configuration itself, with every default; of an average there is ours.
    path = folder / (_RUN if kind == "average" else "config.json")
    if not path.is_file():
        return []
    begun = json.loads(path.read_text(encoding="utf-8"))
    if kind == "average":
        return sorted(name for name in config if begun.get(name) != config[name])
    record = TrainConfig if kind == "train" else UNetConfig
    wanted = json.loads(record.model_validate(config).to_json())
    compared = set(wanted) & set(begun) - {*_PATHS, *NO_EFFECT}  # a field may be younger than a run
    return sorted(name for name in compared if begun[name] != wanted[name])


def _config(entry: Entry, study: Study, places: Places) -> dict[str, Any]:
    config = dict(entry.config)
    if entry.kind == "average":
        return {"of": list(config["of"])}
    if study.split:
        config.setdefault("split", study.split)
    if entry.kind == "train":
        config.setdefault("embeddings", "{embeddings}")
    else:
        config.setdefault("part", entry.evaluations.part)
        config.setdefault("slices", entry.evaluations.slices)
        config.setdefault("limit", entry.evaluations.limit)
    config |= {"seed": entry.seed, "out": str(places.of(entry))}
    return dict(expanded(config, places.folders))


def _config_file(entry: Entry, places: Places) -> Path:
    # JSON is YAML; what trains keeps a config.json of its own in the folder.
    return places.of(entry) / _RUN


def _training(entry: Entry, places: Places) -> Step:
    folder = places.of(entry)
    resume = ("--resume",) if (folder / LAST).is_file() else ()
    arguments = ("train", str(_config_file(entry, places)), *resume)
    what = "resume training" if resume else "train"
    return Step(what, arguments, (folder / REPORT,), entry.processes)


def _average(entry: Entry, places: Places) -> Step:
    made = places.of(entry) / MODEL
    of = [f"{folder}/{MODEL}" for folder in expanded(entry.config["of"], places.folders)]
    return Step("average", ("models", "average", *of, "--output", str(made)), (made,))


def _checkpoint(entry: Entry, places: Places) -> str:
    if entry.evaluations.checkpoint:
        return str(expanded(entry.evaluations.checkpoint, places.folders))
    return str(places.of(entry) / MODEL)


def _evaluation(entry: Entry, study: Study, places: Places, *, prompt: str) -> Step:
    options = entry.evaluations
    done = places.of(entry) / f"{prompt}.json"
    arguments = _measuring(entry, study, places, prompt=prompt, part=options.part)
    if options.propagated:
        arguments.append("--propagated")
    makes = [done]
    if options.calibrate:
        makes.append(done.with_suffix(".npz"))
        arguments += ["--objects", str(makes[-1])]
    arguments += ["--json", str(done)]
    return Step(f"measure with {prompt} prompts", tuple(arguments), tuple(makes))


def _for_temperature(entry: Entry, study: Study, places: Places, *, prompt: str) -> Step:
    """The objects that a temperature is fitted to."""
    objects = places.of(entry) / f"{VALIDATION}_{prompt}.npz"
    arguments = _measuring(entry, study, places, prompt=prompt, part=VALIDATION)
    arguments += ["--objects", str(objects)]
    return Step(f"measure with {prompt} prompts on {VALIDATION}", tuple(arguments), (objects,))


def _calibration(entry: Entry, places: Places) -> Step:
    folder, done = places.of(entry), places.of(entry) / CALIBRATION
    prompts = entry.evaluations.prompts
    arguments = ["calibrate", *(str(folder / f"{VALIDATION}_{one}.npz") for one in prompts)]
    for prompt in prompts:
        arguments += ["--on", str(folder / f"{prompt}.npz")]
    return Step("calibrate", (*arguments, "--json", str(done)), (done,))


def _measuring(entry: Entry, study: Study, places: Places, *, prompt: str, part: str) -> list[str]:
    """The part of an evaluation's command that is always there."""
    options = entry.evaluations
    arguments = ["evaluate", *expanded(study.datasets, places.folders)]
    arguments += ["--prompt", prompt, "--decoder", options.decoder, "--seed", str(options.seed)]
    arguments += ["--checkpoint", _checkpoint(entry, places)]
    if study.split and part:
        arguments += ["--split", f"{study.split}:{part}"]
    for name in ("slices", "limit"):
        if getattr(options, name):
            arguments += [f"--{name}", str(getattr(options, name))]
    return [*arguments, "--embeddings", places.folders["embeddings"]]
