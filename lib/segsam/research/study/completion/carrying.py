"""Worth of a set's earlier cases: Dice in its first, second and fifth case, started from the model
and from what was learnt about the same name in the cases before.

    cases before --labels--> learn_on --CarriedState--> Predictor.complete in the next case

In each case a simulated annotator confirms the slice that the tool proposes, with and without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from segsam.errors import StudyError
from segsam.evaluation.cases import Selection, open_case
from segsam.imaging.name_text import part_of_file_name
from segsam.model.digests import weights_id
from segsam.prediction.completion.carried import CarriedState
from segsam.prediction.completion.learning_on import LabelledObject, learn_on
from segsam.prediction.completion.teaching import AdaptedState
from segsam.prediction.predictor import Predictor
from segsam.research.study.completion.annotator import Annotator
from segsam.research.study.completion.measuring import Report, objects_of
from segsam.research.study.stored import StoredRecord
from segsam.research.study.stored_tables import StoredTable
from segsam.system.records import Several

NAME = "carried"
STARTS: Mapping[str, str] = MappingProxyType({"model": "from the model", "carried": "carried"})
MEASURED = (1, 2, 5)
"""Which cases of a set are measured, counted from 1."""
_GOOD = 90.0
"""Dice in percent up to which confirmed slices are counted."""


class CarriedObject(StoredRecord):
    """One object of one case. `dice` has, by start, Dice in percent of the slices that nobody
    confirmed, after each confirmed slice, and `within` that of those from its first to its last
    slice; `is_used` tells after which it started from what was carried. `gain` is that of learning
    on, before and after.
    """

    dataset: str
    case: str
    number: int
    name: str
    weights_id: str
    learnt_from: Several[str]
    gain: Several[float]
    dice: Mapping[str, Several[float]]
    within: Mapping[str, Several[float]]
    is_used: Several[bool]
    seconds: Mapping[str, Several[float]]


@dataclass(frozen=True)
class _Answer:
    """Dice in percent, whether it started from what was carried, and how long it took."""

    dice: float
    within: float
    is_used: bool
    seconds: float


def measure_carried(
    predictor: Predictor,
    selections: Sequence[Selection],
    folder: Path,
    *,
    names: Sequence[str],
    confirmations: int,
    report: Report,
) -> list[CarriedObject]:
    """Measure each name (all, if there are none) in the first, second and fifth case of each set.
    What is stored in `folder` is not measured again.

    Raises:
        StudyError: no such object.
        SegSamError: a case that cannot be read.
    """
    found: list[CarriedObject] = []
    for selection in selections:
        for name in _names_of(selection, names):
            for one in _of_name(predictor, selection, folder, name, confirmations=confirmations):
                report(_line(one))
                found.append(one)
    if not found:
        raise StudyError(f"Expected objects named {', '.join(names) or 'at all'}, got none.")
    return found


def _names_of(selection: Selection, names: Sequence[str]) -> list[str]:
    """Return those of the names that a set has; all, if there are none."""
    return [name for name in selection.dataset.names.values() if not names or name in names]


def _of_name(
    predictor: Predictor,
    selection: Selection,
    folder: Path,
    name: str,
    *,
    confirmations: int,
) -> Iterator[CarriedObject]:
    """Yield the measured cases of one name of a set."""
    side, categories = predictor.model.host.facts.input_size, predictor.model.categories
    before: list[LabelledObject] = []
    for case in selection.cases:
        if len(before) >= max(MEASURED):
            return
        opened = open_case(selection.dataset, case, input_size=side, categories=categories)
        shown = dict(objects_of(opened, [name]))
        if name not in shown:
            continue
        annotator, number = shown[name], len(before) + 1
        predictor.set_volume(opened.volume)
        stem = f"{selection.dataset.name}-{name.replace(' ', '_')}-{number}"
        path = folder / f"{part_of_file_name(stem)}.json"
        if number in MEASURED:
            if not _is_stored(path, predictor):
                _measured(predictor, annotator, name, before, confirmations).model_copy(
                    update={"dataset": selection.dataset.name, "case": case}
                ).write(path)
            yield CarriedObject.read(path)
        slices = predictor.slices(annotator.axis)
        before.append(LabelledObject.of(slices, annotator.truth.astype(np.uint8), 1, case=case))


def _is_stored(path: Path, predictor: Predictor) -> bool:
    return path.is_file() and CarriedObject.read(path).weights_id == weights_id(predictor.model)


def _measured(
    predictor: Predictor,
    annotator: Annotator,
    name: str,
    before: Sequence[LabelledObject],
    confirmations: int,
) -> CarriedObject:
    parent = predictor.encoder.weights_id
    carried, gain = learn_on(predictor.model, parent, name, before)
    starts: dict[str, CarriedState | None] = {"model": None}
    if before:
        starts["carried"] = carried
    answers = {
        key: list(_answers(predictor, annotator, name, start, confirmations))
        for key, start in starts.items()
    }
    return CarriedObject(
        dataset="",
        case="",
        number=len(before) + 1,
        name=name,
        weights_id=weights_id(predictor.model),
        learnt_from=() if carried is None else carried.cases,
        gain=(gain.before, gain.after),
        dice={key: tuple(one.dice for one in each) for key, each in answers.items()},
        within={key: tuple(one.within for one in each) for key, each in answers.items()},
        is_used=tuple(one.is_used for one in answers.get("carried", ())),
        seconds={key: tuple(one.seconds for one in each) for key, each in answers.items()},
    )


def _answers(
    predictor: Predictor,
    annotator: Annotator,
    name: str,
    start: CarriedState | None,
    confirmations: int,
) -> Iterator[_Answer]:
    """Yield the answer after each confirmed slice."""
    beyond = np.setdiff1d(np.arange(annotator.truth.shape[annotator.axis]), _extent(annotator))
    indices: list[int] = []
    proposed: int | None = annotator.first
    state: AdaptedState | None = None
    while proposed is not None and len(indices) < confirmations:
        indices = [*indices, proposed]
        result = predictor.complete(
            annotator.confirmed(indices), previous=state, name=name, carried=lambda _: start
        )
        mask = result.labels != 0
        yield _Answer(
            100 * annotator.dice_of_others(mask, sorted(indices)),
            100 * annotator.dice_of_others(mask, sorted({*indices, *beyond.tolist()})),
            result.state.start is not None,
            result.seconds["total"],
        )
        state, proposed = result.state, result.least_certain


def _extent(annotator: Annotator) -> NDArray[np.int64]:
    """Return the slices from the first to the last one that shows the object."""
    return np.arange(annotator.shown[0], annotator.shown[-1] + 1)


def slices_until_good(dice: Sequence[float], good: float = _GOOD) -> str:
    """Return after how many confirmed slices Dice reaches `good`, as text; "> n" if it does not."""
    return next((str(n) for n, each in enumerate(dice, 1) if each >= good), f"> {len(dice)}")


def carried_table(measured: Sequence[CarriedObject], *, checkpoint: str) -> StoredTable:
    """Return the table of the page: a row for each name and case, and the mean of each case."""
    rows = [_row(f"{one.dataset}: {one.name}, case {one.number}", [one]) for one in measured]
    for number in MEASURED:
        own = [one for one in measured if one.number == number]
        if len(own) > 1:
            rows.append(_row(f"mean of case {number}", own))
    return StoredTable(
        section="Carried to the next case",
        title="Dice of the slices that were not confirmed",
        notes=(
            f"`segsam study carried` with the checkpoint {checkpoint}: a simulated annotator "
            "confirms the slices that the tool proposes in the first, second and fifth case of a "
            "set. Each cell has Dice started from the model, and started from what was learnt "
            "about the name in the one or four cases before (`—` in the first case), in brackets "
            "that of the slices from the object's first to its last. The last column counts "
            f"confirmed slices until the latter reaches {_GOOD:.0f} %.",
        ),
        headings=("", "1 confirmed", "2 confirmed", "3 confirmed", f"slices to {_GOOD:.0f} %"),
        rows=tuple(rows),
        record={"objects": [one.model_dump() for one in measured]},
    )


def _row(label: str, measured: Sequence[CarriedObject]) -> tuple[str, ...]:
    cells = [
        f"{_pair([one.dice for one in measured], number)} "
        f"({_pair([one.within for one in measured], number)})"
        for number in range(3)
    ]
    until = ["—", "—"]
    if len(measured) == 1:
        dice = measured[0].within
        until = [slices_until_good(dice[key]) if key in dice else "—" for key in STARTS]
    return (label, *cells, " / ".join(until))


def _pair(measured: Sequence[Mapping[str, Several[float]]], number: int) -> str:
    """Return mean Dice from both starts after `number` + 1 confirmed slices."""
    cells = []
    for key in STARTS:
        each = [one.get(key, ()) for one in measured]
        is_whole = all(len(dice) > number for dice in each)
        cells.append(f"{np.mean([dice[number] for dice in each]):.1f}" if is_whole else "—")
    return " / ".join(cells)


def _line(one: CarriedObject) -> str:
    scores = "; ".join(
        f"{STARTS[key]} {', '.join(f'{each:.0f}' for each in dice)}"
        for key, dice in one.within.items()
    )
    return f"{one.dataset}/{one.case}, {one.name}, case {one.number}: {scores}"
