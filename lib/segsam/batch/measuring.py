"""One case of labelled data sets measured; and, of all cases, what they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segsam.batch.archive import Item
from segsam.batch.ledger import DONE, Record
from segsam.datasets.folder import Dataset, case_files, open_dataset
from segsam.errors import CancelledError, TrainingError
from segsam.evaluation.cases import Selection
from segsam.evaluation.records import Evaluation, ObjectScore, VolumeScore
from segsam.evaluation.run import CaseScorer, CaseScores, Options, joined
from segsam.model import SegSam, load_pretrained
from segsam.types import Cancel


@dataclass(frozen=True)
class MeasureOrder:
    """What is asked of every case: the options of `segsam evaluate`."""

    options: Options
    checkpoint: str | None = None
    embeddings: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the ledger."""
        return {"work": "evaluate", "checkpoint": self.checkpoint, **asdict(self.options)}

    def open(self, out: Path) -> Measurer:
        """Load the weights. Raises CheckpointError, EvaluationError."""
        return Measurer(self)


class Measurer:
    """Measures case after case; writes nothing but what goes into their records."""

    def __init__(self, order: MeasureOrder) -> None:
        folder = Path(order.embeddings) if order.embeddings else None
        self._scorer = CaseScorer(load_pretrained(order.checkpoint), order.options, folder)

    def __call__(self, item: Item, cancel: Cancel) -> tuple[dict[str, Any], dict[str, int]]:
        """(the scores as plain values, no file). Raises SegSamError."""
        if cancel():
            raise CancelledError("Cancelled before the case; nothing was kept.")
        dataset = open_dataset(Path(item.path).parents[1])
        scores = self._scorer.score(dataset, item.case.partition("/")[2])
        return _written(scores), {}


def items_of(selections: Sequence[Selection]) -> tuple[Item, ...]:
    """The cases of data sets, in their order."""
    return tuple(
        _item(selection.dataset, case) for selection in selections for case in selection.cases
    )


def _item(dataset: Dataset, case: str) -> Item:
    try:
        image, labels = case_files(dataset, case)
    except TrainingError:  # the case will say so itself
        image, labels = dataset.folder / "images" / case, dataset.folder / "labels" / case
    return Item(f"{dataset.name}/{case}", str(image.absolute()), str(labels.absolute()))


def measured(
    model: SegSam,
    selections: Sequence[Selection],
    options: Options,
    records: Mapping[str, Record],
) -> Evaluation:
    """What the cases that could be measured come to, as one run of `evaluate` on them."""
    kept, scores = [], []
    for selection in selections:
        name = selection.dataset.name
        cases = tuple(c for c in selection.cases if records[f"{name}/{c}"].status == DONE)
        kept.append(Selection(selection.dataset, cases))
        scores += [_read(records[f"{name}/{case}"].result) for case in cases]
    return joined(model, kept, options, scores)


def _written(scores: CaseScores) -> dict[str, Any]:
    return {
        "slices": scores.slices,
        "objects": [asdict(one) for one in scores.objects],
        "volumes": [asdict(one) for one in scores.volumes],
    }


def _read(result: Mapping[str, Any]) -> CaseScores:
    """Floats come back from JSON as they were, bit for bit."""
    return CaseScores(
        result["slices"],
        tuple(_object(one) for one in result["objects"]),
        tuple(VolumeScore(**one) for one in result["volumes"]),
    )


def _object(row: Mapping[str, Any]) -> ObjectScore:
    logits = row["class_logits"]
    array = None if logits is None else np.array(logits, dtype=np.float32)
    return ObjectScore(**{**row, "class_logits": array})
