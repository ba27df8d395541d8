"""Names as a user sees them: memory and rule from measured objects, how often objects with and
without a known name are named, and what a confidence is worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from segsam.errors import EvaluationError
from segsam.evaluation.calibration import binned
from segsam.evaluation.objects_file import ObjectTable
from segsam.evaluation.records import ReliabilityBin
from segsam.evaluation.scores import count_names
from segsam.model import SegSam, load_pretrained, save_checkpoint
from segsam.prediction.naming import AGREEING_FROM, NONE_FROM
from segsam.training.described_objects import DescribedObjects
from segsam.training.example_memory import NamingFit, fit_naming
from segsam.training.targets import NO_CATEGORY

_MOST_TAKEN_FOR = 2
"""Names of others that a name's figures list."""


def fit_to_tables(examples: ObjectTable, validation: ObjectTable, model: SegSam) -> NamingFit:
    """Choose examples among measured objects and fit the naming rule to others.

    Objects of validation whose names the checkpoint does not know count as unknown ones.

    Raises:
        EvaluationError: objects without descriptions, or of another checkpoint.
        TrainingError: too few objects.
    """
    names = model.categories.names
    for table in (examples, validation):
        if table.categories != names:
            raise EvaluationError(
                f"Expected objects measured with this checkpoint ({len(names)} categories), got "
                f"objects of another ({len(table.categories)} categories)."
            )
    return fit_naming(
        _described(examples),
        _described(validation),
        model.categories,
        temperature=model.card.temperature,
    )


def store_memory(
    checkpoint: Path, fit: NamingFit, measured: Mapping[str, Any] | None = None
) -> None:
    """Write a memory and its rule into a checkpoint, whose weights stay as they are. `measured` are
    the figures of each name for the model card, from `by_name`.

    Raises:
        CheckpointError: no checkpoint of ours.
        OutputError: a file that cannot be written.
    """
    model = load_pretrained(checkpoint)
    names = {} if measured is None else {"names": dict(measured)}
    card = replace(model.card, naming=fit.to_card() | names)
    save_checkpoint(model.with_memory(fit.memory, card), checkpoint, card)


def with_names(table: ObjectTable, model: SegSam, fit: NamingFit) -> ObjectTable:
    """Return objects with the names and confidences that a model has with another memory."""
    distances = fit.memory.distances(torch.from_numpy(table.descriptions)).numpy()
    logits = table.class_logits.astype(np.float64) / model.card.temperature
    scores = np.exp(log_softmax(logits, axis=1))
    best, confidence = fit.rule.best(scores, distances.astype(np.float64))
    limits = np.array([fit.rule.limit_of(item) for item in model.categories.items])
    agrees = ~(table.columns["agreement"] < AGREEING_FROM)  # a missing one speaks against nothing
    is_shown = (confidence >= limits[best]) & agrees & (scores[:, 0] < NONE_FROM)
    columns = dict(table.columns) | {
        "found": best + 1,
        "named": is_shown.astype(np.int64),
        "confidence": confidence,
    }
    return replace(table, columns=columns)


def counts(table: ObjectTable) -> dict[str, dict[str, int]]:
    """Count objects of known and unknown names; see `count_names`."""
    column = table.columns
    return count_names(table.has_name, column["category"], column["found"], column["named"])


def by_name(table: ObjectTable) -> dict[str, dict[str, Any]]:
    """Return the figures of each known name, as the model card shows them: data sets, objects, mean
    DSC in percent by prompt, how many were named and how many of these right, and what the wrong
    ones were taken for, the most frequent first.
    """
    known = table.select(table.has_name & (table.columns["category"] > 0))
    of = known.columns["category"]
    return {
        table.categories[number - 1]: _figures(known.select(of == number), number)
        for number in np.unique(of).tolist()
    }


def _figures(objects: ObjectTable, number: int) -> dict[str, Any]:
    column, categories = objects.columns, objects.categories
    named, right = column["named"] > 0, column["found"] == number
    taken_for = Counter(categories[found - 1] for found in column["found"][named & ~right])
    prompts = sorted(set(column["prompt"].tolist()))
    return {
        "data": sorted(set(column["dataset"].tolist())),
        "objects": len(objects),
        "dsc": {
            prompt: round(100 * float(column["dsc"][column["prompt"] == prompt].mean()), 1)
            for prompt in prompts
        },
        "named": int(named.sum()),
        "right": int((named & right).sum()),
        "taken_for": dict(taken_for.most_common(_MOST_TAKEN_FOR)),
    }


def confidence_bins(table: ObjectTable) -> tuple[ReliabilityBin, ...]:
    """Compare confidence with the share of right names over bins, for all objects with a name; of
    an object that the checkpoint does not know every name is wrong.
    """
    rows: NDArray[np.bool_] = table.has_name & np.isfinite(table.columns["confidence"])
    right = table.columns["found"] == table.columns["category"]
    return binned(table.columns["confidence"][rows], right[rows])


def _described(table: ObjectTable) -> DescribedObjects:
    if not table.descriptions.shape[1]:
        raise EvaluationError(
            "Expected objects with descriptions, as segsam evaluate --objects FILE.npz writes them "
            "for a checkpoint with a semantic decoder, got objects without."
        )
    rows = table.has_name & np.isfinite(table.class_logits).all(axis=1)
    some = table.select(rows)
    text = some.columns
    classes = np.where(text["category"] > 0, text["category"], NO_CATEGORY)
    patients = np.array([f"{a}/{b}" for a, b in zip(text["dataset"], text["patient"], strict=True)])
    images = np.array(
        [
            f"{a}/{b}/{c}"
            for a, b, c in zip(text["dataset"], text["case"], text["slice"], strict=True)
        ]
    )
    return DescribedObjects(
        some.descriptions,
        some.image_descriptions,
        some.class_logits,
        classes.astype(np.int64),
        text["dataset"],
        patients,
        images,
    )
