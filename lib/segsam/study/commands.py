"""The commands that a run is made of, each with the file that says that it was done."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsam.atomic import write_bytes
from segsam.errors import OutputError, StudyError
from segsam.study.plan import Entry, Study, expanded

SEGSAM = (sys.executable, "-c", "from segsam.cli import main; main()")
MODEL = "model.safetensors"
LAST = "last.pt"
TRAINED = "train.json"
COST = "cost.json"
UNET = "unet.json"


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
    makes: Path
    """There when it is done, and only then."""

    @property
    def command(self) -> tuple[str, ...]:
        """As a process is started with it."""
        return (*SEGSAM, *self.arguments)


def steps_of(entry: Entry, study: Study, places: Places) -> list[Step]:
    """What a run consists of, in order."""
    folder = places.of(entry)
    if entry.kind == "unet":
        arguments = ("study", "unet", str(_config_file(entry, places)))
        done = folder / UNET
        return [Step("train and measure", (*arguments, "--json", str(done)), done)]
    measured = _checkpoint(entry, places)
    cost = ("study", "cost", measured, "--json", str(folder / COST))
    steps = [Step("count and time", cost, folder / COST)]
    steps += [
        _evaluation(entry, study, places, prompt=prompt) for prompt in entry.evaluations.prompts
    ]
    if entry.kind == "train":
        steps.insert(0, _training(entry, places))
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
    path, text = _config_file(entry, places), json.dumps(_config(entry, study, places), indent=1)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise StudyError(
            f"The run {entry.id} was begun with another configuration; give it another name, or "
            "remove its folder to begin again."
        )
    write_bytes(path, text.encode())


def _config(entry: Entry, study: Study, places: Places) -> dict[str, Any]:
    config = dict(entry.config)
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
    # JSON is YAML; the trainer keeps a config.json of its own in the folder.
    return places.of(entry) / "run.yaml"


def _training(entry: Entry, places: Places) -> Step:
    folder = places.of(entry)
    resume = ("--resume",) if (folder / LAST).is_file() else ()
    done = folder / TRAINED
    arguments = ("train", str(_config_file(entry, places)), *resume, "--json", str(done))
    return Step("resume training" if resume else "train", arguments, done)


def _checkpoint(entry: Entry, places: Places) -> str:
    if entry.evaluations.checkpoint:
        return str(expanded(entry.evaluations.checkpoint, places.folders))
    return str(places.of(entry) / MODEL)


def _evaluation(entry: Entry, study: Study, places: Places, *, prompt: str) -> Step:
    options = entry.evaluations
    done = places.of(entry) / f"{prompt}.json"
    arguments = ["evaluate", *expanded(study.datasets, places.folders)]
    arguments += ["--prompt", prompt, "--decoder", options.decoder, "--seed", str(options.seed)]
    arguments += ["--checkpoint", _checkpoint(entry, places)]
    if study.split and options.part:
        arguments += ["--split", f"{study.split}:{options.part}"]
    for name in ("slices", "limit"):
        if getattr(options, name):
            arguments += [f"--{name}", str(getattr(options, name))]
    arguments += ["--embeddings", places.folders["embeddings"], "--json", str(done)]
    return Step(f"measure with {prompt} prompts", tuple(arguments), done)
