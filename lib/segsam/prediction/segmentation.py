"""One call of `Predictor.predict`, from checked prompts to the result.

    prompts --plan_axis--> which slices to prompt, and where to follow the object from there
            --SliceDecoder--> masks of the prompted slices
            --follow, MemoryFollower--> masks of the slices beside them, until the object ends
            --LabelBuilder--> Region --name_object--> Result

`segment` reads downwards: each method stands below its caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from segsam.errors import PromptError
from segsam.imaging.volume import Volume
from segsam.model import SegSam
from segsam.prediction.decoding import MaskChoice, SliceDecoder, SliceMask
from segsam.prediction.encoding import SliceEncoder
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.job import Job
from segsam.prediction.labels import LabelBuilder, Region, fuse_axes
from segsam.prediction.memory_propagation import MemoryFollower
from segsam.prediction.naming import name_object
from segsam.prediction.plan import SIXTH, THIRD, AxisPlan, boxes_of_mask, first_axis, plan_axis
from segsam.prediction.propagation import best_seed, follow
from segsam.prediction.result import (
    EMPTY_NOTE,
    LONE_POINT_NOTE,
    UNTRAINED_NOTE,
    Result,
    SliceDescription,
    SliceReport,
)
from segsam.prediction.taught.matching import Compare, no_matches
from segsam.prompting.prompts import Box, Prompts
from segsam.types import AxisChoice, PropagateChoice


class Segmentation:
    """Segmentation of one object; `segment` is called once.

    Args:
        model: supplies the decoders' weights. It may differ from the model of the slice encoders
            in everything that no image feature depends on.
        volume: the volume that the slice encoders cut.
        slice_encoder: returns the encoder of the slices across a voxel axis.
        job: counts slices and times.
        choice: the decoder whose mask is the result, and the category that it is restricted to.
        compare: returns the taught names that the object may have.
    """

    def __init__(
        self,
        model: SegSam,
        volume: Volume,
        slice_encoder: Callable[[int, Job], SliceEncoder],
        job: Job,
        choice: MaskChoice,
        *,
        compare: Compare = no_matches,
    ) -> None:
        self._model = model
        self._volume = volume
        self._slice_encoder = slice_encoder
        self._job = job
        self._choice = choice
        self._compare = compare
        self._by_memory = False
        self._negative_boxes: tuple[Box, ...] = ()
        self._reports: list[SliceReport] = []
        self._evidence: list[SliceEvidence] = []

    def segment(
        self,
        prompts: Prompts,
        *,
        axis: AxisChoice,
        propagate: PropagateChoice | None,
        notes: tuple[str, ...] = (),
    ) -> Result:
        """Segment the object that checked prompts mark; arguments as for `Predictor.predict`.

        `notes` come first in the result.

        Raises:
            PromptError: an axis that does not fit the prompts.
            CancelledError: the job was cancelled.
        """
        first = first_axis(self._volume, axis, prompts)
        self._by_memory = propagate == "memory"
        self._negative_boxes = prompts.negative_boxes
        follows = propagate if propagate is None else bool(propagate)
        if axis == "all":
            region = self._across_all(prompts, first, follows)
        else:
            region = self._across(self._plan(prompts, first, follows))
        naming = name_object(
            self._model,
            self._evidence,
            requested=self._choice.category,
            modality=self._volume.modality,
            matches=self._compare(self._evidence),
        )
        return Result(
            region=region,
            volume=self._volume,
            axes=("i", "j", "k") if axis == "all" else ("ijk"[first],),
            slices=tuple(self._reports),
            notes=notes + self._notes(prompts, first, empty=region.is_empty) + naming.notes,
            seconds=self._job.times,
            encoded=self._job.encoded,
            category=naming.name,
            confidence=naming.confidence,
            segment=naming.segment,
            suggestions=naming.suggestions,
            name_source=naming.source,
            taught=naming.taught,
            descriptions=tuple(self._descriptions()),
        )

    def _descriptions(self) -> Iterator[SliceDescription]:
        """Yield the description of each slice with a pixel of the object, if it has one."""
        for report, one in zip(self._reports, self._evidence, strict=True):
            if one.description is not None and one.position is not None:
                place = report.axis, report.index
                yield SliceDescription(*place, one.area, one.description, one.position)

    def _across_all(self, prompts: Prompts, first: int, propagate: bool | None) -> Region:
        """Return the mean of the three axes' probabilities.

        2D prompts are followed along their own axis first. The boxes of the mask found there are
        the prompts across the other two axes.
        """
        solid = bool(prompts.boxes) and prompts.flat_axis is None
        if not solid and not propagate:
            raise PromptError(
                "Expected a 3D box, or propagation of a 2D box or point, for axis all; got 2D "
                "prompts without propagation."
            )
        regions = [self._across(self._plan(prompts, first, propagate))]
        for axis in (axis for axis in range(3) if axis != first):
            plan = (
                self._plan(prompts, axis, propagate) if solid else boxes_of_mask(regions[0], axis)
            )
            regions.append(self._across(plan))
        return fuse_axes(regions)

    def _plan(self, prompts: Prompts, axis: int, propagate: bool | None) -> AxisPlan:
        margin = SIXTH if self._model.card.semantic_is_trained else THIRD
        return plan_axis(prompts, axis, propagate=propagate, margin=margin)

    def _across(self, plan: AxisPlan) -> Region:
        """Return the object's probabilities from the slices across one axis."""
        encoder = self._slice_encoder(plan.axis, self._job)
        decoder = SliceDecoder(self._model, encoder, self._choice, self._negative_boxes)
        labels = LabelBuilder(decoder.view)
        seeds: dict[int, SliceMask] = {}
        self._job.planned += plan.steps
        with closing(encoder):
            for mask in self._prompted(decoder, plan):
                self._collect(mask, labels, "segmented")
                if plan.propagate:
                    seeds[mask.index] = mask
            for mask in self._followed(decoder, plan, seeds):
                self._collect(mask, labels, "propagated to")
        return labels.region()

    def _prompted(self, decoder: SliceDecoder, plan: AxisPlan) -> Iterator[SliceMask]:
        """Decode the prompted slices and the candidates; of each group yield the best seed."""
        candidates = [index for group in plan.candidates for index in group]
        decoder.encoder.prefetch([*plan.prompted, *candidates])
        for index, prompts in plan.prompted.items():
            yield decoder.decode(index, prompts)
        for group in plan.candidates:
            tried = []
            for index, prompts in group.items():
                tried.append(decoder.decode(index, prompts))
                self._job.report("decoded", plan.axis, index)
            yield best_seed(decoder.view, tried, group)

    def _followed(
        self, decoder: SliceDecoder, plan: AxisPlan, seeds: Mapping[int, SliceMask]
    ) -> Iterator[SliceMask]:
        """Decode the slices beside the seeds, until the object or its 3D box ends."""
        parts = tuple(plan.slices_to_follow(seeds, decoder.view.depth))
        if plan.limit is not None:  # without a limit, the number of slices is unknown
            self._job.planned += sum(len(part.indices) for part in parts)
        memory = MemoryFollower(self._model, decoder, seeds) if self._by_memory else None
        for part in parts:
            decoder.encoder.prefetch(part.indices)
            if memory is not None:
                yield from memory.follow(part, limit=plan.limit, points=plan.points)
                continue
            yield from follow(
                decoder, seeds[part.seed], part.indices, limit=plan.limit, points=plan.points
            )

    def _collect(self, mask: SliceMask, labels: LabelBuilder, what: str) -> None:
        """Add a slice to the result."""
        labels.add(mask.index, mask.logits)
        self._reports.append(mask.report)
        self._evidence.append(mask.evidence)
        self._job.report(what, mask.report.axis, mask.index)

    def _notes(self, prompts: Prompts, axis: int, *, empty: bool) -> tuple[str, ...]:
        lone_point = any(
            prompts.on_slice(axis, index).is_lone_point for index in prompts.slices_along(axis)
        )
        conditions = (
            (LONE_POINT_NOTE, lone_point and "point" not in self._model.card.prompts_trained),
            (EMPTY_NOTE, empty),
            (UNTRAINED_NOTE, not self._model.card.semantic_is_trained),
        )
        return tuple(note for note, holds in conditions if holds)
