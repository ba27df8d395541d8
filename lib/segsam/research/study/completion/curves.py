"""Table and curves of the study of completion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from segsam.research.study.completion.measuring import METHODS, CompletedObject, mean_dice
from segsam.research.study.plots import Line
from segsam.research.study.stored_tables import StoredTable

NAME, PICTURE = "completion", "completion.png"
_SHOWN = (1, 2, 3, 5, 7)
"""Numbers of confirmed slices that the table shows."""


def lines_of(measured: Sequence[CompletedObject]) -> list[tuple[str, list[Line]]]:
    """Return a panel for each modality, with a curve for each method."""
    return [
        (f"{modality}: {len(own)} objects", [_line(own, name) for name in METHODS])
        for modality, own in _by_modality(measured)
    ]


def completion_table(measured: Sequence[CompletedObject], *, checkpoint: str) -> StoredTable:
    """Return the table of the page: a row for each object, and for all of a modality."""
    shown = [number for number in _SHOWN if any(len(one.answers) >= number for one in measured)]
    rows = []
    for modality, own in _by_modality(measured):
        rows += [_row(f"{one.dataset}/{one.case}: {one.name}", [one], shown) for one in own]
        rows.append(_row(f"all of {modality}", own, shown))
    seconds = [answer.seconds for one in measured for answer in one.answers]
    harmed = _made_worse(measured)
    return StoredTable(
        section="Completing an object from confirmed slices",
        title="Dice of the slices that were not confirmed",
        notes=(
            f"`segsam study completion` with the checkpoint {checkpoint}: a simulated annotator "
            "confirms the middle slice of an object, and then each slice that the tool proposes. "
            f"Each cell has {', '.join(METHODS.values())}. *Fill between slices* is ITK's "
            "contour interpolation of the same slices and of the first and last slice of the "
            "object, which are given to it; all are measured on the same slices, without these "
            "two.",
            f"An answer took {np.median(seconds):.1f} s (median, {np.max(seconds):.1f} s at most, "
            f"beside other work). With one confirmed slice, {harmed} of {len(measured)} objects "
            "are more than 2 points worse than without adapting.",
        ),
        headings=("", "slices", *(f"{n} confirmed" for n in shown)),
        rows=tuple(rows),
        picture=PICTURE,
        alt="Dice against the number of confirmed slices, three methods",
        record={"objects": [one.model_dump() for one in measured]},
    )


def _by_modality(
    measured: Sequence[CompletedObject],
) -> Iterator[tuple[str, list[CompletedObject]]]:
    for modality in dict.fromkeys(one.modality for one in measured):
        yield modality, [one for one in measured if one.modality == modality]


def _line(measured: Sequence[CompletedObject], method: str) -> Line:
    means = [mean_dice(measured, method, n) for n in range(1, _fewest_answers(measured) + 1)]
    values = tuple(mean for mean in means if mean is not None)
    return Line(METHODS[method], tuple(range(1, len(values) + 1)), values, (0.0,) * len(values))


def _fewest_answers(measured: Sequence[CompletedObject]) -> int:
    return min(len(one.answers) for one in measured)


def _row(label: str, measured: Sequence[CompletedObject], shown: Sequence[int]) -> tuple[str, ...]:
    cells = [_cell(measured, number) for number in shown]
    return (label, str(sum(one.slices for one in measured)), *cells)


def _cell(measured: Sequence[CompletedObject], confirmed: int) -> str:
    means = [mean_dice(measured, method, confirmed) for method in METHODS]
    return " / ".join("—" if mean is None else f"{mean:.1f}" for mean in means)


def _made_worse(measured: Sequence[CompletedObject], by: float = 2.0) -> int:
    first = [one.answers[0].dice for one in measured]
    return sum(dice["ours"] < dice["unadapted"] - by for dice in first)
