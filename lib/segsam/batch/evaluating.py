"""Evaluation of labelled data sets case by case, and the summary over all cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segsam.batch.archive import Item
from segsam.batch.case_worker import CaseOutput
from segsam.batch.records import DONE, Record
from segsam.datasets.folder import Dataset, case_files, open_dataset
from segsam.errors import CancelledError, TrainingError
from segsam.evaluation.cases import Selection
from segsam.evaluation.records import Evaluation, ObjectScore, VolumeScore
from segsam.evaluation.run import CaseScorer, CaseScores, Options, joined
from segsam.imaging.name_text import part_of_file_name
from segsam.model import SegSam, load_pretrained
from segsam.types import Cancel


@dataclass(frozen=True)
class EvaluateTask:
    """Settings for every case: the options of `segsam evaluate`."""

    options: Options
    checkpoint: str | None = None
    embeddings: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the settings that are stored with the batch."""
        return {"work": "evaluate", "checkpoint": self.checkpoint, **asdict(self.options)}

    def outputs(self, item: Item) -> tuple[str, ...]:
        """Return nothing: the scores go into the records."""
        return ()

    def prepare(self, out: Path) -> CaseEvaluator:
        """Load the weights. Raises CheckpointError, EvaluationError."""
        return CaseEvaluator(self)


class CaseEvaluator:
    """Evaluates case after case; the scores go into the records, no other file is written."""

    def __init__(self, task: EvaluateTask) -> None:
        folder = Path(task.embeddings) if task.embeddings else None
        self._scorer = CaseScorer(load_pretrained(task.checkpoint), task.options, folder)

    def __call__(self, item: Item, cancel: Cancel) -> CaseOutput:
        """Return the scores of one case as plain values. Raises SegSamError."""
        if cancel():
            raise CancelledError("Cancelled before the case; no result was stored.")
        dataset = open_dataset(Path(item.path).parents[1])
        return CaseOutput(_to_json(self._scorer.score(dataset, item.case.partition("/")[2])))


def evaluation_items(selections: Sequence[Selection]) -> tuple[Item, ...]:
    """List the cases of data sets, in their order."""
    return tuple(
        _item(selection.dataset, case) for selection in selections for case in selection.cases
    )


def _item(dataset: Dataset, case: str) -> Item:
    try:
        image, labels = case_files(dataset, case)
    except TrainingError:  # processing the case reports the missing file
        image, labels = dataset.folder / "images" / case, dataset.folder / "labels" / case
    return Item(_case_of(dataset, case), str(image.absolute()), str(labels.absolute()))


def _case_of(dataset: Dataset, case: str) -> str:
    """Return the name of a case in the batch, of which its record is named."""
    return f"{part_of_file_name(dataset.name)}/{case}"


def combine(
    model: SegSam,
    selections: Sequence[Selection],
    options: Options,
    records: Mapping[str, Record],
) -> Evaluation:
    """Return the evaluation of all finished cases, equal to one run of `evaluate` on them."""
    finished, scores = [], []
    for selection in selections:
        of_case = {case: records[_case_of(selection.dataset, case)] for case in selection.cases}
        cases = tuple(case for case, record in of_case.items() if record.status == DONE)
        finished.append(Selection(selection.dataset, cases))
        scores += [_from_json(of_case[case].result) for case in cases]
    return joined(model, finished, options, scores)


def _to_json(scores: CaseScores) -> dict[str, Any]:
    return {
        "slices": scores.slices,
        "objects": [asdict(one) for one in scores.objects],
        "volumes": [asdict(one) for one in scores.volumes],
    }


def _from_json(result: Mapping[str, Any]) -> CaseScores:
    """Restore the scores; JSON keeps floats exactly."""
    return CaseScores(
        result["slices"],
        tuple(_object(one) for one in result["objects"]),
        tuple(VolumeScore(**one) for one in result["volumes"]),
    )


def _object(row: Mapping[str, Any]) -> ObjectScore:
    logits = row["class_logits"]
    array = None if logits is None else np.array(logits, dtype=np.float32)
    return ObjectScore(**{**row, "class_logits": array})
