"""Collects the files in a run's folder into the one small result that is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from segsam.datasets.labelled_slices import spread
from segsam.errors import StudyError
from segsam.evaluation.objects_file import ObjectTable, load_objects
from segsam.research.json_files import read_object
from segsam.research.study.plan import Entry
from segsam.research.study.results import Result
from segsam.research.study.steps import CALIBRATION, COST, FACTS, UNET, StudyFolders
from segsam.research.study.stored import remove_folders
from segsam.training.reports import REPORT

_PAIRS = 1000
"""Objects of the scatter plot: enough to see the relation, few enough to store."""


def collect_result(entry: Entry, folders: StudyFolders) -> Result:
    """Return the result of a run with all that was measured so far."""
    folder = folders.of(entry)
    if entry.kind == "unet":
        record = _read(folder / UNET)
        training, cost = record.get("training", {}), record.get("cost", {})
        found = {"none": record.get("evaluation", {})}
    else:
        training, cost = _read(folder / REPORT), _read(folder / COST)
        prompts = entry.evaluations.prompts
        found = {prompt: _read(folder / f"{prompt}.json") for prompt in prompts}
    names = folders.placeholders
    return Result(
        id=entry.id,
        run=entry.run,
        kind=entry.kind,
        seed=entry.seed,
        fingerprint=entry.fingerprint,
        config=entry.config,
        facts=_read(folder / FACTS),
        training=remove_folders(training, names),
        cost=cost,
        evaluations={name: remove_folders(one, names) for name, one in found.items() if one},
        calibration=_calibration(folder),
    )


def is_complete(result: Result, entry: Entry) -> bool:
    """Return True if a stored result belongs to this entry and nothing in it is missing."""
    required = {"none"} if entry.kind == "unet" else set(entry.evaluations.prompts)
    if entry.evaluations.calibrate and not result.calibration:
        return False
    return result.fingerprint == entry.fingerprint and required <= set(result.evaluations)


def _calibration(folder: Path) -> dict[str, Any]:
    """Return the output of `segsam calibrate` with some objects; empty without a calibration."""
    record = _read(folder / CALIBRATION)
    objects = folder / "box.npz"
    if record and objects.is_file():
        record["pairs"] = _agreement_pairs(load_objects(objects))
    return record


def _agreement_pairs(objects: ObjectTable) -> list[list[float]]:
    """Return [agreement, Dice] of at most `_PAIRS` objects, evenly spread over them."""
    columns = np.stack([objects.columns["agreement"], objects.columns["dsc"]], axis=1)
    known: list[list[float]] = columns[np.isfinite(columns).all(axis=1)].round(3).tolist()
    return list(spread(known, _PAIRS))


def _read(path: Path) -> dict[str, Any]:
    return read_object(path, StudyError) if path.is_file() else {}
