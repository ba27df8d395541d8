"""Names in known domains, elsewhere, and of what a checkpoint does not know: counts by data set,
and two reliability diagrams.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.errors import StudyError
from segsam.evaluation.naming import confidence_bins, counts
from segsam.evaluation.objects_file import ObjectTable
from segsam.evaluation.records import ReliabilityBin
from segsam.research.study.plots import draw_calibration
from segsam.research.study.stored_tables import StoredTable

NAME, PICTURE = "names", "names.png"
_KNOWN, _ELSEWHERE = "data sets it was trained on", "data sets it has never seen"


@dataclass(frozen=True, eq=False)
class NamedObjects:
    """Measured objects, in data sets that a checkpoint was trained on and in others."""

    known: ObjectTable
    elsewhere: ObjectTable

    @classmethod
    def of(cls, objects: ObjectTable, trained_on: Collection[str]) -> NamedObjects:
        """Separate objects by their data sets; raises StudyError without objects of either."""
        is_known: NDArray[np.bool_] = np.isin(objects.columns["dataset"], list(trained_on))
        for rows, what in ((is_known, _KNOWN), (~is_known, _ELSEWHERE)):
            if not rows.any():
                raise StudyError(f"Expected objects of {what}, got none.")
        return cls(objects.select(is_known), objects.select(~is_known))

    def bins(self) -> tuple[tuple[ReliabilityBin, ...], tuple[ReliabilityBin, ...]]:
        """Return the bins of the two diagrams."""
        return confidence_bins(self.known), confidence_bins(self.elsewhere)

    def draw(self, path: Path) -> None:
        """Draw both reliability diagrams side by side; raises OutputError."""
        known, elsewhere = self.bins()
        draw_calibration(path, ((_KNOWN, known), (_ELSEWHERE, elsewhere)))


def names_table(objects: NamedObjects, *, checkpoint: str) -> StoredTable:
    """Return the table of the page: a row for each data set, and for all of a kind."""
    rows = [
        row
        for title, table in ((_KNOWN, objects.known), (_ELSEWHERE, objects.elsewhere))
        for row in _rows(title, table)
    ]
    known, elsewhere = objects.bins()
    return StoredTable(
        section="Names: known, unknown, elsewhere",
        title="Objects that get a name, as a user sees it",
        notes=(
            f"`segsam study names` with the checkpoint {checkpoint}, boxes and points. Known: the "
            "checkpoint can give that name; unknown: it cannot, and every name is wrong. Objects "
            "of data sets that it was trained on are of patients that were held out. The diagrams "
            "compare the confidence of the best guess with how often it is right, whether the name "
            "is shown or not.",
        ),
        headings=("", "known objects", "named, %", "of these right, %", "unknown", "named, %"),
        rows=tuple(rows),
        picture=PICTURE,
        alt="Confidence and accuracy of names, in known data sets and elsewhere",
        record={
            "bins": {
                "known": [vars(one) for one in known],
                "elsewhere": [vars(one) for one in elsewhere],
            }
        },
    )


def _rows(title: str, table: ObjectTable) -> Iterator[tuple[str, ...]]:
    datasets = table.columns["dataset"]
    for name in sorted(set(datasets.tolist())):
        yield _row(name, table.select(datasets == name))
    yield _row(f"all {title}", table)


def _row(label: str, table: ObjectTable) -> tuple[str, ...]:
    found = counts(table)
    known, unknown = found["known"], found["unknown"]
    return (
        label,
        str(known["objects"]),
        _percent(known["named"], known["objects"]),
        _percent(known["right"], known["named"]),
        str(unknown["objects"]),
        _percent(unknown["named"], unknown["objects"]),
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "—"
