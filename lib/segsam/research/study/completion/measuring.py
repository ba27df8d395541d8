"""Dice of the slices that nobody confirmed, after each confirmed slice, by three methods.

ours       `Predictor.complete`; the next slice to confirm is the one that it proposes
unadapted  the same slices, drawn with the model's own weights
filled     ITK's contour interpolation of the same slices and both ends of the object, which are
           given to it
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from segsam.errors import StudyError
from segsam.evaluation.cases import OpenCase, Selection, open_case
from segsam.imaging.name_text import part_of_file_name
from segsam.model.digests import weights_id
from segsam.prediction.completion.completion import Completion
from segsam.prediction.completion.confirmed import ConfirmedSlices
from segsam.prediction.completion.self_check import USUAL_SHAPE_WEIGHT
from segsam.prediction.completion.teaching import AdaptedState, SelfCheck, digest_of
from segsam.prediction.predictor import Predictor
from segsam.research.study.completion.annotator import Annotator
from segsam.research.study.completion.contours import filled_between
from segsam.research.study.stored import StoredRecord
from segsam.system.records import Record, Several

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "ours": "ours",
        "unadapted": "ours without adapting",
        "filled": "Fill between slices, both ends given",
    }
)
_FEWEST_SLICES = 10
"""Slices an object shows itself on at least: of fewer, there is little to complete."""
Report = Callable[[str], None]


class Answer(Record):
    """An answer after some slices were confirmed: Dice by method, in percent."""

    refusal: ClassVar[type[StudyError]] = StudyError

    confirmed: Several[int]
    dice: Mapping[str, float]
    is_adapted: bool
    seconds: float


class CompletedObject(StoredRecord):
    """One object of one volume, with an answer for each number of confirmed slices."""

    dataset: str
    case: str
    name: str
    modality: str
    weights_id: str
    slices: int
    answers: Several[Answer]


def measure(
    predictor: Predictor,
    selections: Sequence[Selection],
    folder: Path,
    *,
    names: Sequence[str],
    confirmations: int,
    report: Report,
) -> list[CompletedObject]:
    """Measure each object with one of the `names` (all, if there are none) until it has
    `confirmations` confirmed slices. What is stored in `folder` is not measured again.

    Raises:
        StudyError: no such object, or no contour interpolation installed.
        SegSamError: a case that cannot be read.
    """
    side, categories = predictor.model.host.facts.input_size, predictor.model.categories
    weights = weights_id(predictor.model)
    found: list[CompletedObject] = []
    for selection in selections:
        for case in selection.cases:
            opened = open_case(selection.dataset, case, input_size=side, categories=categories)
            predictor.set_volume(opened.volume)
            for name, annotator in objects_of(opened, names):
                stem = f"{selection.dataset.name}-{case}-{name.replace(' ', '_')}"
                path = folder / f"{part_of_file_name(stem)}.json"
                if not _is_stored(path, weights, confirmations):
                    CompletedObject(
                        dataset=selection.dataset.name,
                        case=case,
                        name=name,
                        modality=selection.dataset.modality,
                        weights_id=weights,
                        slices=len(annotator.shown),
                        answers=tuple(_answers(predictor, annotator, confirmations)),
                    ).write(path)
                found.append(CompletedObject.read(path))
                report(_line(found[-1]))
    if not found:
        raise StudyError(
            f"Expected objects on {_FEWEST_SLICES} slices or more"
            f"{' named ' + ', '.join(names) if names else ''}, got none."
        )
    return found


def _is_stored(path: Path, weights: str, confirmations: int) -> bool:
    """Return True if a file has the answers of these weights to as many confirmed slices."""
    if not path.is_file():
        return False
    stored = CompletedObject.read(path)
    return stored.weights_id == weights and len(stored.answers) >= confirmations


def objects_of(opened: OpenCase, names: Sequence[str]) -> Iterator[tuple[str, Annotator]]:
    """Yield the objects with these names (all, if there are none) that show themselves on enough
    slices to be completed, each with its annotator.
    """
    for value, name in opened.dataset.names.items():
        annotator = Annotator(opened.labels == value, opened.view.axis)
        if (not names or name in names) and len(annotator.shown) >= _FEWEST_SLICES:
            yield name, annotator


def _answers(predictor: Predictor, annotator: Annotator, confirmations: int) -> Iterator[Answer]:
    """Yield an answer for each number of confirmed slices, each continued from the one before."""
    indices: list[int] = []
    proposed: int | None = annotator.first
    state: AdaptedState | None = None
    while proposed is not None and len(indices) < confirmations:
        indices = [*indices, proposed]
        confirmed = annotator.confirmed(indices)
        ours = predictor.complete(confirmed, previous=state)
        plain = predictor.complete(confirmed, previous=_nothing_learnt(predictor, confirmed))
        yield _answer(annotator, indices, ours, plain)
        state, proposed = ours.state, ours.least_certain


def _answer(
    annotator: Annotator, indices: list[int], ours: Completion, plain: Completion
) -> Answer:
    ends = [int(annotator.shown[0]), int(annotator.shown[-1])]
    filled = filled_between(annotator.only(sorted({*indices, *ends})), annotator.axis)
    # The ends are given to the interpolation, so they are left out for all.
    out = sorted({*indices, *ends})
    masks = {"ours": ours.labels != 0, "unadapted": plain.labels != 0, "filled": filled}
    return Answer(
        confirmed=tuple(indices),
        dice={name: 100 * annotator.dice_of_others(mask, out) for name, mask in masks.items()},
        is_adapted=ours.state.is_adapted,
        seconds=ours.seconds["total"],
    )


def _nothing_learnt(predictor: Predictor, confirmed: ConfirmedSlices) -> AdaptedState:
    """Return the state of somebody who was taught these slices and learnt nothing."""
    return AdaptedState(
        predictor.encoder.weights_id,
        None,
        0.0,
        USUAL_SHAPE_WEIGHT,
        {key: digest_of(plane) for key, plane in confirmed.planes.items()},
        SelfCheck(),
    )


def _line(measured: CompletedObject) -> str:
    scores = ", ".join(f"{answer.dice['ours']:.0f}" for answer in measured.answers)
    return f"{measured.dataset}/{measured.case}, {measured.name}: {scores}"


def mean_dice(measured: Sequence[CompletedObject], method: str, confirmed: int) -> float | None:
    """Return the mean Dice of objects after so many confirmed slices; None if one has fewer."""
    answers = [one.answers[confirmed - 1] for one in measured if len(one.answers) >= confirmed]
    if not measured or len(answers) < len(measured):
        return None
    return float(np.mean([answer.dice[method] for answer in answers]))
