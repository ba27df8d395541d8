"""Completion of one object from confirmed slices: one call of `Predictor.complete`.

confirmed slices --lessons--> Teacher --weights, or the parent's own--> ObjectDecoder
  between two of them: the interpolated shape is box and prior
  outside: the object is followed until it ends, or to a slice that is confirmed as empty
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.errors import PromptError
from segsam.imaging.geometry import nearest_axes
from segsam.imaging.slices import SliceView, choose_axis
from segsam.imaging.volume import Volume
from segsam.model import SegSam
from segsam.prediction.completion.adaptation import Lesson
from segsam.prediction.completion.completion import Completion, boxes_of
from segsam.prediction.completion.confirmed import ConfirmedSlices, Mask
from segsam.prediction.completion.drawing import (
    CERTAIN_LOGIT,
    KnownVoxels,
    ObjectDecoder,
    box_around,
    to_picture,
)
from segsam.prediction.completion.request import CompletionRequest
from segsam.prediction.completion.self_check import Test
from segsam.prediction.completion.shapes import between
from segsam.prediction.completion.teaching import (
    AdaptedState,
    PlaneKey,
    Teacher,
    digest_of,
)
from segsam.prediction.decoding import SliceDecoder, SliceMask
from segsam.prediction.encoding import SliceEncoder
from segsam.prediction.job import Job
from segsam.prediction.labels import LabelBuilder
from segsam.prediction.naming import SliceEvidence, name_object
from segsam.prediction.propagation import MARGIN_PX, StopRule, follow
from segsam.prediction.result import EMPTY_NOTE, UNTRAINED_NOTE, SliceReport
from segsam.prompting.prompts import Point, SlicePrompts

UNADAPTED_NOTE = (
    "Drawn without adapting: on slices left out of learning, what was learnt was not better "
    "({adapted:.0%} against {unadapted:.0%})."
)
ONE_SLICE_NOTE = (
    "Drawn without adapting: what was learnt from one slice was not clearly better; confirm one "
    "more."
)
_NEAR = 2
"""Distance in slices over which an object is taken to be alike."""


@dataclass(frozen=True)
class EndRule(StopRule):
    """Rule by which an object ends outside of the confirmed slices; it `goes_on` on some slices."""

    goes_on: range = range(0)

    def ends(self, seed: SliceMask, previous: SliceMask, current: SliceMask) -> bool:
        """Return True if the object has ended before the slice of `current`."""
        return current.index not in self.goes_on and super().ends(seed, previous, current)


@dataclass(frozen=True, eq=False)
class _Plane:
    """Confirmed plane as the model sees it: as displayed (y, x), and in model pixels."""

    index: int
    shown: Mask
    picture: Mask

    @property
    def is_empty(self) -> bool:
        return not self.shown.any()


class Completing:
    """Completion of one object; `complete` is called once.

    Args:
        model: the parent, which is only read.
        parent: its identifier.
        volume: the volume that the slice encoders cut.
        slice_encoder: returns the encoder of the slices across a voxel axis.
        job: counts steps and times.
    """

    def __init__(
        self,
        model: SegSam,
        parent: str,
        volume: Volume,
        slice_encoder: Callable[[int, Job], SliceEncoder],
        job: Job,
    ) -> None:
        self._model = model
        self._parent = parent
        self._volume = volume
        self._slice_encoder = slice_encoder
        self._job = job
        self._reports: list[SliceReport] = []
        self._certainties: dict[int, float] = {}

    def complete(
        self, request: CompletionRequest, previous: AdaptedState | None = None
    ) -> Completion:
        """Complete the object; `previous` is the state of an earlier result for it.

        Raises:
            PromptError: a state of another model.
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
            state = self._taught(confirmed, axis, planes, encoders, previous)
            known = KnownVoxels.of(confirmed, request.others)
            decoder = ObjectDecoder(state.adapted(self._model), main, known)
            labels = LabelBuilder(main.view)
            drawing = _Drawing(decoder, planes[axis], state.shape_weight, request.points)
            self._job.planned += drawing.planned
            for mask in drawing.masks():
                self._collect(mask, labels)
            for index in known.slices_with_object(axis) - self._certainties.keys():
                labels.add(index, known.alone(main.view, index))
            evidence = self._evidence(main, planes[axis])
        return self._result(main.view, planes[axis], labels, evidence, state)

    def _main_axis(self, confirmed: ConfirmedSlices) -> int:
        """Return the axis of the most confirmed slices; of equals, that across which the volume is
        sliced, then the one nearest to superior-inferior.
        """
        right, front, head = nearest_axes(self._volume.affine_ras)[0]
        preferred = [choose_axis(self._volume, "auto"), head, front, right]
        return max(preferred, key=lambda axis: len(confirmed.along(axis)))

    def _planes(self, confirmed: ConfirmedSlices, axis: int) -> list[_Plane]:
        """Return the planes across an axis in anatomical order, whatever the storage order."""
        view = SliceView.of(self._volume, axis, self._model.host.facts.input_size)
        found = []
        for index, plane in confirmed.along(axis).items():
            shown = view.turned(plane)
            found.append(_Plane(index, shown, to_picture(view, shown)))
        return found if _ascends(self._volume, axis) else found[::-1]

    def _lessons(
        self, planes: Mapping[int, list[_Plane]], encoders: Mapping[int, SliceEncoder]
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
        axis: int,
        planes: Mapping[int, list[_Plane]],
        encoders: Mapping[int, SliceEncoder],
        previous: AdaptedState | None,
    ) -> AdaptedState:
        """Return what is learnt from the planes; `axis` is the one across which it is drawn."""
        lessons = self._lessons(planes, encoders)
        tests = {
            (axis, index): Test(lessons[axis, index], shape)
            for index, shape in _left_out(planes[axis]).items()
        }
        digests = {key: digest_of(plane) for key, plane in confirmed.planes.items()}
        beside = _beside(planes[axis], encoders[axis]) if len(tests) == 1 else []
        teacher = Teacher(self._model, self._parent, self._job)
        with self._job.timed("adapt"):
            return teacher.teach(lessons, tests, digests, beside, previous)

    def _collect(self, mask: SliceMask, labels: LabelBuilder) -> None:
        labels.add(mask.index, mask.logits)
        self._reports.append(mask.report)
        self._certainties[mask.index] = _certainty(mask.logits)
        self._job.report("completed", mask.report.axis, mask.index)

    def _evidence(self, encoder: SliceEncoder, planes: list[_Plane]) -> list[SliceEvidence]:
        """Return what the parent sees on the confirmed slices, from which the object is named."""
        decoder = SliceDecoder(self._model, encoder)
        boxes = {p.index: box_around(encoder.view, p.shown, p.index) for p in planes}
        return [
            decoder.decode(index, SlicePrompts(boxes=(box,))).evidence
            for index, box in boxes.items()
            if box is not None
        ]

    def _result(
        self,
        view: SliceView,
        planes: list[_Plane],
        labels: LabelBuilder,
        evidence: list[SliceEvidence],
        state: AdaptedState,
    ) -> Completion:
        region = labels.region()
        naming = name_object(self._model, evidence, requested=None, modality=self._volume.modality)
        check = state.check
        notes = [EMPTY_NOTE] * region.is_empty
        if not state.is_adapted and check.adapted is not None and check.unadapted is not None:
            several = sum(not plane.is_empty for plane in planes) > 1
            note = UNADAPTED_NOTE if several else ONE_SLICE_NOTE
            notes.append(note.format(adapted=check.adapted, unadapted=check.unadapted))
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
            confirmed=tuple(sorted(plane.index for plane in planes)),
            confirmed_boxes=boxes_of({p.index: box_around(view, p.shown, p.index) for p in planes}),
            certainties=dict(sorted(self._certainties.items())),
            state=state,
        )


class _Drawing:
    """Masks of all slices across the main axis, between and outside of the confirmed planes."""

    def __init__(
        self,
        decoder: ObjectDecoder,
        planes: list[_Plane],
        shape_weight: float,
        points: tuple[Point, ...],
    ) -> None:
        self._decoder = decoder
        self._planes = planes
        self._shape_weight = shape_weight
        self._points = points

    @property
    def planned(self) -> int:
        """Number of slices that are drawn in any case; where the object ends is not known yet."""
        between = [
            abs(second.index - first.index) - 1
            for first, second in pairwise(self._planes)
            if not first.is_empty and not second.is_empty
        ]
        return len(self._planes) + sum(between)

    def masks(self) -> Iterator[SliceMask]:
        """Yield the confirmed planes' masks, then those of the slices around them."""
        view = self._decoder.view
        seeds = {plane.index: self._seed(plane) for plane in self._planes}
        yield from seeds.values()
        ends = [-1, *sorted(seeds), view.depth]
        sides: list[tuple[SliceMask, range]] = []
        for first, second in pairwise(self._planes):
            if not first.is_empty and not second.is_empty:
                yield from self._between(first, second)
        for plane in self._planes:
            if plane.is_empty:
                continue
            at = ends.index(plane.index)
            lower, upper = ends[at - 1], ends[at + 1]
            if lower == -1 or not seeds[lower].area:
                sides.append((seeds[plane.index], range(plane.index - 1, lower, -1)))
            if upper == view.depth or not seeds[upper].area:
                sides.append((seeds[plane.index], range(plane.index + 1, upper)))
        for seed, indices in sides:
            self._decoder.encoder.prefetch(indices)
            yield from follow(
                self._decoder,
                seed,
                indices,
                points=self._points,
                rule=self._end_rule(seed.index, indices),
                margin_px=MARGIN_PX,
            )

    def _end_rule(self, seed: int, indices: range) -> StopRule:
        """Return the rule by which the object ends: not before the last slice of `indices` on which
        a plane across another axis shows it.
        """
        shown = self._decoder.known.slices_with_object(self._decoder.view.axis) & set(indices)
        farthest = max(shown, key=lambda index: abs(index - seed), default=seed)
        low, high = sorted((seed, farthest))
        return EndRule(goes_on=range(low, high + 1))

    def _seed(self, plane: _Plane) -> SliceMask:
        """Return a confirmed plane as a mask that can be followed."""
        box = box_around(self._decoder.view, plane.shown, plane.index)
        if box is not None:
            return self._decoder.confirmed(plane.index, box)
        logits = np.full(plane.shown.shape, -CERTAIN_LOGIT, np.float32)
        report = SliceReport(plane.index, self._decoder.view.axis, 1.0)
        return SliceMask(logits, torch.zeros(1, 1, 1, 1), report)

    def _between(self, first: _Plane, second: _Plane) -> Iterator[SliceMask]:
        low, high = sorted((first.index, second.index))
        indices = range(low + 1, high)
        self._decoder.encoder.prefetch(indices)
        for index in indices:
            share = abs(index - first.index) / (high - low)
            shape = between(first.picture, second.picture, share)
            mask = self._decoder.shaped(index, shape, self._shape_weight, self._points)
            if mask is not None:
                yield mask


def _beside(planes: list[_Plane], encoder: SliceEncoder) -> list[Test]:
    """Return the slices near the only one with the object as if they were confirmed like it."""
    plane = next(one for one in planes if not one.is_empty)
    empty = {one.index for one in planes if one.is_empty}
    near = {plane.index - _NEAR, plane.index + _NEAR} & set(range(encoder.view.depth))
    return [
        Test(Lesson(encoder.features(index), plane.picture, plane.picture), None)
        for index in sorted(near - empty)
    ]


def _left_out(planes: list[_Plane]) -> dict[int, NDArray[np.float32] | None]:
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


def _certainty(logits: NDArray[np.float32]) -> float:
    """Return the Dice that a mask (y, x) would have if its probabilities were right."""
    probability = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    inside = logits > 0
    total = float(probability.sum()) + float(inside.sum())
    return 2 * float(probability[inside].sum()) / total if total else 1.0
