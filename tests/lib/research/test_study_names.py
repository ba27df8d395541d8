"""`segsam study names`: which objects count where, and what the page shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsam.errors import StudyError
from segsam.evaluation.objects_file import ObjectTable
from segsam.evaluation.records import ObjectScore
from segsam.research.study.names import NamedObjects, names_table


def scored(
    dataset: str, category: int, found: int, *, named: int, confidence: float, name: str = "liver"
) -> ObjectScore:
    return ObjectScore(
        dataset=dataset, modality="CT", prompt="box", case="c", patient="c", slice=0, label=1,
        name=name, category=category, share=0.1, predicted_iou=0.9, found=found, named=named,
        confidence=confidence, class_logits=np.zeros(4, np.float32),
    )  # fmt: skip


@pytest.fixture
def objects() -> ObjectTable:
    rows = [
        *[scored("taught", 1, 1, named=1, confidence=0.9)] * 3,
        scored("taught", 1, 2, named=1, confidence=0.8),
        scored("taught", 1, 2, named=0, confidence=0.2),
        scored("new", 1, 1, named=1, confidence=0.7),
        scored("new", 0, 3, named=1, confidence=0.7, name="a new thing"),
        scored("new", 0, 3, named=0, confidence=0.1, name="a new thing"),
        scored("new", 0, 3, named=1, confidence=0.9, name="partly visible vertebra"),
    ]
    return ObjectTable.of(rows, ["liver", "spleen", "sarcoma"])


def test_rows_of_the_table(objects: ObjectTable) -> None:
    table = names_table(NamedObjects.of(objects, ["taught"]), checkpoint="made up")
    assert table.rows == (
        ("taught", "5", "80.0", "75.0", "0", "—"),
        ("all data sets it was trained on", "5", "80.0", "75.0", "0", "—"),
        ("new", "1", "100.0", "100.0", "2", "50.0"),
        ("all data sets it has never seen", "1", "100.0", "100.0", "2", "50.0"),
    )


def test_a_name_of_an_unknown_object_is_wrong_in_the_diagram(
    objects: ObjectTable, tmp_path: Path
) -> None:
    found = NamedObjects.of(objects, ["taught"])
    _, elsewhere = found.bins()
    at_70 = next(one for one in elsewhere if 0.6 < one.confidence < 0.8)
    assert (at_70.objects, at_70.accuracy) == (2, 0.5)
    assert sum(one.objects for one in elsewhere) == 3
    found.draw(tmp_path / "names.png")
    assert (tmp_path / "names.png").read_bytes().startswith(b"\x89PNG")


def test_objects_of_both_kinds_are_needed(objects: ObjectTable) -> None:
    with pytest.raises(StudyError, match="data sets it has never seen, got none"):
        NamedObjects.of(objects, ["taught", "new"])
