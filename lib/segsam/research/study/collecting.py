"""A run's folder as the one small result that is stored of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from segsam.errors import StudyError
from segsam.evaluation.objects_file import ObjectTable, load_objects
from segsam.research.study.commands import CALIBRATION, COST, FACTS, UNET, Places
from segsam.research.study.plan import Entry
from segsam.research.study.results import Result, unfolded
from segsam.training.reports import REPORT

_PAIRS = 1000
"""Objects that the scatter plot is made of: enough to see, few enough to store."""


def collected(entry: Entry, places: Places) -> Result:
    """What there is of a run so far, as it is stored."""
    folder = places.of(entry)
    prompts = [*entry.evaluations.prompts, "none"]
    found = {prompt: _read(folder / f"{prompt}.json") for prompt in prompts}
    training = _read(folder / REPORT)
    cost = _read(folder / COST)
    if entry.kind == "unet":
        record = _read(folder / UNET)
        training, cost = record.get("training", {}), record.get("cost", {})
        found = {"none": record.get("evaluation", {})}
    return Result(
        id=entry.id,
        run=entry.run,
        kind=entry.kind,
        seed=entry.seed,
        fingerprint=entry.fingerprint,
        config=entry.config,
        facts=_read(folder / FACTS),
        training=unfolded(training, places.folders),
        cost=cost,
        evaluations={name: unfolded(one, places.folders) for name, one in found.items() if one},
        calibration=_calibration(folder),
    )


def _calibration(folder: Path) -> dict[str, Any]:
    """What `segsam calibrate` found, and some objects by agreement and Dice; empty without it."""
    record = _read(folder / CALIBRATION)
    objects = folder / "box.npz"
    if record and objects.is_file():
        record["pairs"] = agreement_pairs(load_objects(objects))
    return record


def agreement_pairs(objects: ObjectTable) -> list[list[float]]:
    """[agreement, Dice] of at most `_PAIRS` objects, evenly spread over them."""
    columns = np.stack([objects.columns["agreement"], objects.columns["dsc"]], axis=1)
    known = columns[np.isfinite(columns).all(axis=1)]
    places = np.unique(np.linspace(0, len(known) - 1, min(_PAIRS, len(known))).round().astype(int))
    pairs: list[list[float]] = known[places].round(3).tolist()
    return pairs


def is_complete(result: Result, entry: Entry) -> bool:
    """Whether a stored result is of this very entry and nothing of it is missing."""
    wanted = {"none"} if entry.kind == "unet" else set(entry.evaluations.prompts)
    if entry.evaluations.calibrate and not result.calibration:
        return False
    return result.fingerprint == entry.fingerprint and wanted <= set(result.evaluations)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"Cannot read {path.parent.name}/{path.name}: {error}.") from error
    return dict(record)
