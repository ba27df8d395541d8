"""State of a run on disk: its last checkpoint, from which it resumes exactly, and its best weights.

last.pt      configuration, weights, their average, optimiser, random state, progress
best.pt      weights of the best validation so far
split.json   held-out cases
data.json    fingerprint of the slices, so that no run goes on with other ones
config.json  configuration
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import optim

from segsam.datasets.splits import Split
from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.system.atomic import write_bytes, write_json
from segsam.system.reasons import reason_of
from segsam.training.config import TrainConfig
from segsam.training.optimiser import WeightAverage
from segsam.training.samples import Sample
from segsam.training.sharded_samples import ShardedSamples

CONFIG, SPLIT = "config.json", "split.json"
LAST = "last.pt"
BEST = "best.pt"
DATA = "data.json"
_REPLACED = (CONFIG, SPLIT, DATA, LAST, BEST, "report.json", "model.safetensors", "model.json")
"""Files that a new run writes, and that may be somebody's."""
READ_ERRORS = (UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, OSError)
"""Errors that reading a damaged file, or one of another model, may raise."""
_MAY_DIFFER = ("checkpoint_every", "device", "embeddings", "tensorboard", "threads")
"""Fields that may change when a run resumes: they do not affect its result, but for the last digits
on another device."""


@dataclass(frozen=True)
class RunProgress:
    """Steps, time and best validation of a run so far."""

    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """Time of steps and validations, over all processes that worked on the run."""
    best_step: int = 0
    best_score: float = -math.inf
    best_metrics: Mapping[str, float] = field(default_factory=dict)
    misses: int = 0
    """Validations since the best one."""
    is_validation_due: bool = False
    """True if the run was stopped within the validation after its last step."""


@dataclass(frozen=True)
class TrainingState:
    """The objects that change during training."""

    model: SegSam
    optimiser: optim.Optimizer
    average: WeightAverage


def start_folder(folder: Path, config: TrainConfig, split: Split) -> None:
    """Write the configuration and the split of a new run; raises OutputError."""
    write_bytes(folder / CONFIG, config.to_json().encode())
    split.save(folder / SPLIT)


def refuse_other_data(
    folder: Path, samples: Mapping[str, Sequence[Sample]], *, may_write: bool
) -> None:
    """Write down which slices a run learns from, or refuse others than those that it began with.

    Args:
        folder: of the run.
        samples: by part.
        may_write: True for the process that writes.

    Raises:
        TrainingError: other pictures, labels or cases.
        OutputError: the file cannot be written.
    """
    path = folder / DATA
    counts = {part: len(some) for part, some in samples.items()}
    now = {"slices": counts, "fingerprint": _fingerprint(samples)}
    try:
        before = json.loads(path.read_bytes())
    except FileNotFoundError:
        if may_write:
            write_json(path, now)
        return
    except (OSError, ValueError) as error:
        raise TrainingError(f"Cannot read {DATA} in {folder.name}: {reason_of(error)}.") from error
    if before != now:
        raise TrainingError(
            f"The slices of the run in {folder.name} are not those that it began with (other "
            f"pictures, labels or cases; {counts} now): put the data back, or name another folder."
        )


def _fingerprint(samples: Mapping[str, Sequence[Sample]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part, some in samples.items():
        digest.update(part.encode())
        if isinstance(some, ShardedSamples):
            digest.update(some.fingerprint().encode())
            continue
        for one in some:
            digest.update(f"{one.name} {one.key} {one.prompted}".encode())
            taught = () if one.taught is None else (one.taught.packed,)
            bits = (bits for _, bits in (*one.instances, *one.ended))
            for each in (one.labels, *bits, *taught):
                digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()


def refuse_other_run(file: Path) -> None:
    """Raise TrainingError if a file shows that there is a run in its folder, or if a new run would
    replace files there that are not of a run.
    """
    folder = file.parent
    if file.exists():
        raise TrainingError(
            f"There is a run in {folder.name} already: resume it, or name another folder."
        )
    found = [name for name in _REPLACED if (folder / name).exists()]
    if found and not _is_begun(folder):
        raise TrainingError(
            f"Expected a folder of this run alone, got {folder.name} with {found[0]}, which the "
            "run would replace: name another folder."
        )


def _is_begun(folder: Path) -> bool:
    """Return True if a run was stopped here before its first step."""
    try:
        TrainConfig.model_validate_json((folder / CONFIG).read_bytes())
    except (OSError, ValueError, TrainingError):
        return False
    return True


def save_state(folder: Path, state: TrainingState, done: RunProgress, config: TrainConfig) -> None:
    """Write `last.pt`, whole or not at all; raises OutputError."""
    record = {
        "config": config.to_json(),
        "model": state.model.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "average": state.average.state(),
        "random": torch.get_rng_state(),
        "standing": asdict(done),  # the name in files that exist
    }
    write_record(folder / LAST, record)


def restore_state(folder: Path, state: TrainingState, config: TrainConfig) -> RunProgress:
    """Load the last checkpoint into the model, the optimiser, the average and the random state.

    Raises:
        TrainingError: as `last_record`.
    """
    with last_record(folder, config) as record:
        done = RunProgress(**record["standing"])
        state.model.load_state_dict(record["model"])
        state.optimiser.load_state_dict(record["optimiser"])
        state.average.restore(record["average"])
        torch.set_rng_state(record["random"])
    return done


@contextlib.contextmanager
def last_record(folder: Path, config: TrainConfig) -> Iterator[dict[str, Any]]:
    """Read `last.pt` for a block that loads it.

    Raises:
        TrainingError: no such file, one of another configuration, or one that cannot be read or
            loaded.
    """
    path = folder / LAST
    if not path.is_file():
        raise TrainingError(f"There is no {LAST} in {folder.name} to resume from.")
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
        _check_config(record["config"], config, folder)
        yield record
    except READ_ERRORS as error:
        raise TrainingError(
            f"Cannot resume from {LAST} in {folder.name}: it is damaged or not of this model "
            f"({type(error).__name__})."
        ) from error


def save_best(folder: Path, model: SegSam) -> None:
    """Write the current weights to `best.pt`; raises OutputError."""
    write_record(folder / BEST, model.state_dict())


def load_best(folder: Path, model: SegSam) -> None:
    """Load the weights of the best validation; raises TrainingError when they cannot be read."""
    try:
        model.load_state_dict(torch.load(folder / BEST, map_location="cpu", weights_only=True))
    except READ_ERRORS as error:
        raise TrainingError(f"Cannot read {BEST} in {folder.name}: {reason_of(error)}.") from error


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all; raises OutputError."""
    content = io.BytesIO()
    torch.save(record, content)
    write_bytes(path, content.getvalue())


def _check_config(saved: str, config: TrainConfig, folder: Path) -> None:
    """Refuse another configuration; a field that is younger than the saved one had its default."""
    now = json.loads(config.to_json())
    defaults = json.loads(TrainConfig(out="x", datasets=("x",)).to_json())
    before = {**defaults, **json.loads(saved)}
    changed = sorted(
        name for name in now if name not in _MAY_DIFFER and before.get(name) != now[name]
    )
    if changed:
        raise TrainingError(
            f"The run in {folder.name} was started with another configuration (other "
            f"{', '.join(changed)}); give the same file and changes, or another folder."
        )
