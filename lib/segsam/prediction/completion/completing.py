"""Completion of one object from confirmed slices: one call of `Predictor.complete`.

    confirmed slices --lessons--> Teacher --weights, or the start's own--> ObjectDecoder
    its name --what was learnt under it in other cases--> Teacher
                     --planes, and the likeness to them--> Drawing --masks--> Completion

Planes are taken in anatomical order, so the storage order of a volume changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from segsam.errors import PromptError
from segsam.imaging.geometry import nearest_axes
from segsam.imaging.slices import SliceView, choose_axis
from segsam.imaging.volume import Volume
from segsam.model import SegSam
from segsam.prediction.completion.adaptation import Lesson
from segsam.prediction.completion.carried import CarriedState, FindCarried
from segsam.prediction.completion.completion import Completion, boxes_of
from segsam.prediction.completion.confirmed import ConfirmedSlices
from segsam.prediction.completion.drawing import (
    KnownVoxels,
    ObjectDecoder,
    box_around,
    to_picture,
)
from segsam.prediction.completion.filling import ConfirmedPlane, Drawing, DrawnSlice
from segsam.prediction.completion.likeness import Likeness
from segsam.prediction.completion.request import CompletionRequest
from segsam.prediction.completion.self_check import Test
from segsam.prediction.completion.shapes import between
from segsam.prediction.completion.teaching import (
    AdaptedState,
    Examples,
    PlaneKey,
    Teacher,
    digest_of,
)
from segsam.prediction.decoding import SliceDecoder
from segsam.prediction.encoding import SliceEncoder
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.job import Job
from segsam.prediction.labels import LabelBuilder
from segsam.prediction.naming import Naming, name_object
from segsam.prediction.result import EMPTY_NOTE, UNTRAINED_NOTE, SliceReport
from segsam.prediction.taught.matching import Compare, no_matches
from segsam.prompting.prompts import SlicePrompts

UNADAPTED_NOTE = (
    "Drawn without adapting: on slices left out of learning, what was learnt was not better "
    "({adapted:.0%} against {unadapted:.0%})."
)
ONE_SLICE_NOTE = (
    "Drawn without adapting: what was learnt from one slice was not clearly better; confirm one "
    "more."
)
CARRIED_NOTE = "Starts from {source}."
NOT_CARRIED_NOTE = (
    "Does not start from {source}: it was worse on confirmed slices that it had not learnt from."
)
_NEAR = 2
"""Distance in slices over which an object is taken to be alike."""


class Completing:
    """Completion of one object; `complete` is called once.

    Args:
        model: the parent, which is only read.
        parent: its identifier.
        volume: the volume that the slice encoders cut.
        slice_encoder: returns the encoder of the slices across a voxel axis.
        job: counts steps and times.
        compare: returns the taught names that the object may have.
        carried: returns what was learnt about a name in other cases.
    """

    def __init__(
        self,
        model: SegSam,
        parent: str,
        volume: Volume,
        slice_encoder: Callable[[int, Job], SliceEncoder],
        job: Job,
        *,
        compare: Compare = no_matches,
        carried: FindCarried = lambda _: None,
    ) -> None:
        self._model = model
        self._parent = parent
        self._volume = volume
        self._slice_encoder = slice_encoder
        self._job = job
        self._compare = compare
        self._carried = carried
        self._reports: list[SliceReport] = []
        self._certainties: dict[int, float] = {}

    def complete(
        self, request: CompletionRequest, previous: AdaptedState | None = None
    ) -> Completion:
        """Complete the object; `previous` is the state of an earlier result for it.

        Raises:
            PromptError: a state of another model, or what was carried from one.
            CancelledError: the job was cancelled.
        """
        if previous is not None and previous.parent != self._parent:
            raise PromptError(
                "Expected a state that was learnt with this checkpoint, got one of another; "
                "complete without a previous state."
            )
        confirmed = request.confirmed
        axis = self._main_axis(confirmed)
        planes = {number: self._planes(confirmed, number) for number in range(3)}
        encoders = {n: self._slice_encoder(n, self._job) for n in range(3) if planes[n]}
        main = encoders[axis]
        with closing(main):
            lessons = self._lessons(planes, encoders)
            tests = {
                (axis, index): Test(lessons[axis, index], shape)
                for index, shape in _left_out(planes[axis]).items()
            }
            beside = _beside(planes[axis], main) if len(tests) == 1 else []
            examples = Examples(lessons, tests, beside)
            naming = self._named(main, planes[axis])
            carried = self._carried_to(request.name, naming)
            state = self._taught(confirmed, examples, previous, carried)
            known = KnownVoxels.of(confirmed, request.others)
            decoder = ObjectDecoder(state.adapted(self._model), main, known)
            labels = LabelBuilder(main.view)
            side = self._model.host.facts.input_size
            likeness = Likeness.learnt([lessons[axis, plane.index] for plane in planes[axis]], side)
            drawing = Drawing(decoder, planes[axis], likeness, state.shape_weight, request.points)
            self._job.planned += drawing.planned
            for drawn in drawing.slices():
                self._collect(drawn, labels)
            for index in known.slices_with_object(axis) - self._certainties.keys():
                labels.add(index, known.alone(main.view, index))
        return self._result(main.view, planes[axis], labels, naming, state)

    def _main_axis(self, confirmed: ConfirmedSlices) -> int:
        """Return the axis of the most confirmed slices with the object; of equals, that across
        which the volume is sliced, then the one nearest to superior-inferior.
        """
        right, front, head = nearest_axes(self._volume.affine_ras)[0]
        preferred = [choose_axis(self._volume, "auto"), head, front, right]
        filled = [axis for (axis, _), plane in confirmed.planes.items() if plane.any()]
        return max(preferred, key=filled.count)

    def _planes(self, confirmed: ConfirmedSlices, axis: int) -> list[ConfirmedPlane]:
        """Return the planes across an axis in anatomical order, whatever the storage order."""
        view = SliceView.of(self._volume, axis, self._model.host.facts.input_size)
        found = []
        for index, plane in confirmed.along(axis).items():
            shown = view.turned(plane)
            found.append(ConfirmedPlane(index, shown, to_picture(view, shown)))
        return found if _ascends(self._volume, axis) else found[::-1]

    def _lessons(
        self, planes: Mapping[int, list[ConfirmedPlane]], encoders: Mapping[int, SliceEncoder]
    ) -> dict[PlaneKey, Lesson]:
        """Return what the planes teach, across the axes in anatomical order."""
        lessons: dict[PlaneKey, Lesson] = {}
        for axis in nearest_axes(self._volume.affine_ras)[0]:
            filled = [plane for plane in planes[axis] if not plane.is_empty]
            for plane in planes[axis] if filled else ():
                nearest = min(filled, key=lambda one: abs(one.index - plane.index))
                features = encoders[axis].features(plane.index)
                lessons[axis, plane.index] = Lesson(features, plane.picture, nearest.picture)
        return lessons

    def _taught(
        self,
        confirmed: ConfirmedSlices,
        examples: Examples,
        previous: AdaptedState | None,
        carried: CarriedState | None,
    ) -> AdaptedState:
        """Return what is learnt from the planes."""
        digests = {key: digest_of(plane) for key, plane in confirmed.planes.items()}
        teacher = Teacher(self._model, self._parent, self._job)
        with self._job.timed("adapt"):
            return teacher.teach(examples, digests, previous, carried)

    def _carried_to(self, name: str | None, naming: Naming) -> CarriedState | None:
        """Return what was learnt in other cases under the name that the caller gave, or that the
        object is given.
        """
        names = (one for one in (name, naming.name) if one is not None)
        found = next((one for one in map(self._carried, names) if one is not None), None)
        if found is not None:
            found.check_parent(self._parent)
        return found

    def _collect(self, drawn: DrawnSlice, labels: LabelBuilder) -> None:
        mask = drawn.mask
        labels.add(mask.index, mask.logits)
        self._reports.append(mask.report)
        self._certainties[mask.index] = drawn.certainty
        self._job.report("completed", mask.report.axis, mask.index)

    def _named(self, encoder: SliceEncoder, planes: list[ConfirmedPlane]) -> Naming:
        """Return the name of the object, by what the parent sees on the confirmed slices."""
        decoder = SliceDecoder(self._model, encoder)
        boxes = {p.index: box_around(encoder.view, p.shown, p.index) for p in planes}
        evidence: list[SliceEvidence] = [
            decoder.decode(index, SlicePrompts(boxes=(box,))).evidence
            for index, box in boxes.items()
            if box is not None
        ]
        return name_object(
            self._model,
            evidence,
            requested=None,
            modality=self._volume.modality,
            matches=self._compare(evidence),
        )

    def _result(
        self,
        view: SliceView,
        planes: list[ConfirmedPlane],
        labels: LabelBuilder,
        naming: Naming,
        state: AdaptedState,
    ) -> Completion:
        region = labels.region()
        several = sum(not plane.is_empty for plane in planes) > 1
        notes = [EMPTY_NOTE] * region.is_empty + _notes(state, is_of_one=not several)
        if not self._model.card.semantic_is_trained:
            notes.append(UNTRAINED_NOTE)
        return Completion(
            region=region,
            volume=self._volume,
            axes=("ijk"[view.axis],),
            slices=tuple(sorted(self._reports, key=lambda report: report.index)),
            notes=(*notes, *naming.notes),
            seconds=self._job.times,
            encoded=self._job.encoded,
            category=naming.name,
            confidence=naming.confidence,
            segment=naming.segment,
            suggestions=naming.suggestions,
            name_source=naming.source,
            taught=naming.taught,
            confirmed=tuple(sorted(plane.index for plane in planes)),
            confirmed_boxes=boxes_of({p.index: box_around(view, p.shown, p.index) for p in planes}),
            certainties=dict(sorted(self._certainties.items())),
            state=state,
        )


def _notes(state: AdaptedState, *, is_of_one: bool) -> list[str]:
    """Return what was learnt, or why nothing was, in words."""
    notes, check, offer = [], state.check, state.offer
    if offer is not None:
        note = CARRIED_NOTE if offer.is_used else NOT_CARRIED_NOTE
        notes.append(note.format(source=offer.state.in_words))
    if not state.is_adapted and check.adapted is not None and check.unadapted is not None:
        note = ONE_SLICE_NOTE if is_of_one else UNADAPTED_NOTE
        notes.append(note.format(adapted=check.adapted, unadapted=check.unadapted))
    return notes


def _beside(planes: list[ConfirmedPlane], encoder: SliceEncoder) -> list[Test]:
    """Return the slices near the only one with the object as if they were confirmed like it."""
    plane = next(one for one in planes if not one.is_empty)
    empty = {one.index for one in planes if one.is_empty}
    near = {plane.index - _NEAR, plane.index + _NEAR} & set(range(encoder.view.depth))
    return [
        Test(Lesson(encoder.features(index), plane.picture, plane.picture), None)
        for index in sorted(near - empty)
    ]


def _left_out(planes: list[ConfirmedPlane]) -> dict[int, NDArray[np.float32] | None]:
    """Return the slices with the object, and what their neighbours would have there as a shape."""
    found: dict[int, NDArray[np.float32] | None] = {}
    for at, plane in enumerate(planes):
        if plane.is_empty:
            continue
        beside = planes[at - 1 : at] + planes[at + 1 : at + 2] if at else []
        if len(beside) == 2 and not any(one.is_empty for one in beside):
            share = abs(plane.index - beside[0].index) / abs(beside[1].index - beside[0].index)
            found[plane.index] = between(beside[0].picture, beside[1].picture, share)
        else:
            found[plane.index] = None
    return found


def _ascends(volume: Volume, axis: int) -> bool:
    """Return True if the indices of a voxel axis run to the patient's right, front or head."""
    axes, signs = nearest_axes(volume.affine_ras)
    return signs[list(axes).index(axis)] > 0
