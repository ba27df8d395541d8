"""Steps of a run: `segsam` commands, each with the files that exist when it is done."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsam.datasets.splits import VALIDATION
from segsam.errors import StudyError
from segsam.research.json_files import read_object
from segsam.research.study.plan import NO_EFFECT, Entry, Study
from segsam.research.study.stored import insert_folders
from segsam.research.study.unet.config import UNetConfig
from segsam.system.atomic import write_json
from segsam.system.folders import make_folder
from segsam.training.config import TrainConfig
from segsam.training.reports import MODEL, REPORT

SEGSAM = (sys.executable, "-c", "from segsam.cli.app import main; main()")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
COST = "cost.json"
UNET = "unet.json"
CALIBRATION = "calibration.json"
FACTS = "facts.json"
_LAST = "last.pt"
_RUN = "run.yaml"
_PATHS = ("datasets", "embeddings", "out", "split")
"""Fields that may differ when a run is continued: the same data from another folder."""


@dataclass(frozen=True)
class StudyFolders:
    """Folders of a study on this machine."""

    data: Path
    out: Path
    """Folder with a folder for each run."""
    results: Path
    embeddings: Path | None = None
    """Stored embeddings that all runs share; None for a folder in `out`."""

    @property
    def placeholders(self) -> Mapping[str, str]:
        """Folder of each placeholder."""
        embeddings = self.embeddings or self.out / "embeddings"
        return {"data": str(self.data), "out": str(self.out), "embeddings": str(embeddings)}

    def of(self, entry: Entry) -> Path:
        """Return the folder of a run."""
        return self.out / entry.id


@dataclass(frozen=True)
class Step:
    """One command of a run."""

    title: str
    arguments: tuple[str, ...]
    """Arguments of `segsam`."""
    makes: tuple[Path, ...]
    """Files that exist when the step is done, and not before."""
    processes: int = 1
    """Number of processes; `torchrun` starts two and more."""

    @property
    def is_done(self) -> bool:
        """True if all files of the step exist."""
        return all(path.is_file() for path in self.makes)

    @property
    def command(self) -> tuple[str, ...]:
        """Command line of the process."""
        if self.processes == 1:
            return (*SEGSAM, *self.arguments)
        return (*TORCHRUN, str(self.processes), "--no-python", *SEGSAM, *self.arguments)


def steps_of(entry: Entry, study: Study, folders: StudyFolders) -> list[Step]:
    """Return the steps of a run, in order."""
    folder = folders.of(entry)
    config = str(folder / _RUN)
    if entry.kind == "unet":
        made = folder / UNET
        return [Step("train and measure", ("study", "unet", config, "--json", str(made)), (made,))]
    steps = []
    if entry.kind == "train":
        resume = ("--resume",) if (folder / _LAST).is_file() else ()
        title = "resume training" if resume else "train"
        arguments = ("train", config, *resume)
        steps.append(Step(title, arguments, (folder / REPORT,), entry.processes))
    if entry.kind == "average":
        made = folder / MODEL
        runs = insert_folders(entry.config["of"], folders.placeholders)
        sources = [f"{run}/{MODEL}" for run in runs]
        arguments = ("models", "average", *sources, "--output", str(made))
        steps.append(Step("average", arguments, (made,)))
    cost = ("study", "cost", _checkpoint(entry, folders), "--json", str(folder / COST))
    steps.append(Step("count and time", cost, (folder / COST,)))
    prompts = entry.evaluations.prompts
    steps += [_evaluation(entry, study, folders, prompt=prompt) for prompt in prompts]
    if entry.evaluations.calibrate:
        steps += [_validation(entry, study, folders, prompt=prompt) for prompt in prompts]
        steps.append(_calibration(entry, folders))
    return steps


def write_config(entry: Entry, study: Study, folders: StudyFolders) -> None:
    """Write the run's configuration to the file that its command reads.

    Raises:
        StudyError: if the run was started with another configuration.
        OutputError: a folder that cannot be written to.
    """
    folder = folders.of(entry)
    make_folder(folder)
    if entry.kind == "checkpoint":
        return
    config = _config(entry, study, folders)
    differing = _differing(config, folder, entry.kind)
    if differing:
        raise StudyError(
            f"The run {entry.id} was started with another configuration ({', '.join(differing)}); "
            "give it another name, or remove its folder to start again."
        )
    write_json(folder / _RUN, config)  # JSON is YAML


def _differing(config: Mapping[str, Any], folder: Path, kind: str) -> list[str]:
    """Return the fields in which the run in a folder, if there is one, has other values."""
    # A training stores its configuration with every default; an average has only `run.yaml`.
    path = folder / (_RUN if kind == "average" else "config.json")
    if not path.is_file():
        return []
    stored = read_object(path, StudyError)
    if kind == "average":
        return sorted(name for name in config if stored.get(name) != config[name])
    record = TrainConfig if kind == "train" else UNetConfig
    current = json.loads(record.model_validate(config).to_json())
    # A field may be younger than the run, so only those that both have are compared.
    compared = set(current) & set(stored) - {*_PATHS, *NO_EFFECT}
    return sorted(name for name in compared if stored[name] != current[name])


def _config(entry: Entry, study: Study, folders: StudyFolders) -> dict[str, Any]:
    config = dict(entry.config)
    if entry.kind == "average":
        return {"of": list(config["of"])}
    if study.split:
        config.setdefault("split", study.split)
    if entry.kind == "train":
        config.setdefault("embeddings", "{embeddings}")
    else:
        for name in ("part", "slices", "limit"):
            config.setdefault(name, getattr(entry.evaluations, name))
    config |= {"seed": entry.seed, "out": str(folders.of(entry))}
    return dict(insert_folders(config, folders.placeholders))


def _checkpoint(entry: Entry, folders: StudyFolders) -> str:
    if entry.evaluations.checkpoint:
        return str(insert_folders(entry.evaluations.checkpoint, folders.placeholders))
    return str(folders.of(entry) / MODEL)


def _evaluation(entry: Entry, study: Study, folders: StudyFolders, *, prompt: str) -> Step:
    options = entry.evaluations
    made = [folders.of(entry) / f"{prompt}.json"]
    arguments = _evaluate(entry, study, folders, prompt=prompt, part=options.part)
    if options.propagated:
        arguments.append("--propagated")
    if options.calibrate:
        made.append(made[0].with_suffix(".npz"))
        arguments += ["--objects", str(made[-1])]
    arguments += ["--json", str(made[0])]
    return Step(f"measure with {prompt} prompts", tuple(arguments), tuple(made))


def _validation(entry: Entry, study: Study, folders: StudyFolders, *, prompt: str) -> Step:
    """Return the step that writes the objects to which the temperature is fitted."""
    objects = folders.of(entry) / f"{VALIDATION}_{prompt}.npz"
    arguments = _evaluate(entry, study, folders, prompt=prompt, part=VALIDATION)
    arguments += ["--objects", str(objects)]
    return Step(f"measure with {prompt} prompts on {VALIDATION}", tuple(arguments), (objects,))


def _calibration(entry: Entry, folders: StudyFolders) -> Step:
    folder, made = folders.of(entry), folders.of(entry) / CALIBRATION
    prompts = entry.evaluations.prompts
    arguments = ["calibrate", *(str(folder / f"{VALIDATION}_{one}.npz") for one in prompts)]
    for prompt in prompts:
        arguments += ["--on", str(folder / f"{prompt}.npz")]
    return Step("calibrate", (*arguments, "--json", str(made)), (made,))


def _evaluate(
    entry: Entry, study: Study, folders: StudyFolders, *, prompt: str, part: str
) -> list[str]:
    """Return the arguments that all evaluations share."""
    options = entry.evaluations
    arguments = ["evaluate", *insert_folders(study.datasets, folders.placeholders)]
    arguments += ["--prompt", prompt, "--decoder", options.decoder, "--seed", str(options.seed)]
    arguments += ["--checkpoint", _checkpoint(entry, folders)]
    if study.split and part:
        arguments += ["--split", f"{study.split}:{part}"]
    for name in ("slices", "limit"):
        if getattr(options, name):
            arguments += [f"--{name}", str(getattr(options, name))]
    return [*arguments, "--embeddings", folders.placeholders["embeddings"]]
