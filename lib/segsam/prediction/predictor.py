"""The one door: `set_volume` once (cheap), `predict` as often as the user clicks, `reset`.

    prompts --checked--> slices of one axis (or of all three) --SliceDecoder--> LabelBuilder -->
    Result `-- propagate: from the prompted slices outwards

Model and embeddings may be shared by many predictors and threads: both are only read, and the cache
has its own lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from segsam.errors import PromptError, VolumeError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView, choose_axis
from segsam.imaging.volume import Volume
from segsam.model import SegSam, load_pretrained
from segsam.model.runtimes import EncoderRunner, choose_runtime
from segsam.prediction.decoding import SliceDecoder, SliceMask, SliceTask, Stopwatch
from segsam.prediction.embeddings import DEFAULT_BYTES, EmbeddingCache
from segsam.prediction.job import Job
from segsam.prediction.labels import LabelBuilder, Region, fuse_axes
from segsam.prediction.plan import SIXTH, THIRD, AxisPlan, boxes_of_mask, first_axis, plan_axis
from segsam.prediction.propagation import most_trusted, walk
from segsam.prediction.result import (
    EMPTY_NOTE,
    LONE_POINT_NOTE,
    UNTRAINED_NOTE,
    Result,
    segment_named,
)
from segsam.prediction.semantics import named
from segsam.prompting.prompts import Prompts
from segsam.types import AxisChoice, Cancel, DecoderName, PrecisionName, Progress, RuntimeName


@dataclass(frozen=True, eq=False)
class _Loaded:
    volume: Volume
    intensity: Intensity
    private: bool


class Predictor:
    """Segments one volume at a time; see `predict`."""

    def __init__(
        self,
        model: SegSam,
        *,
        encoder: EncoderRunner | None = None,
        embeddings: EmbeddingCache | None = None,
    ) -> None:
        self.model = model.eval()
        self.encoder = encoder or EncoderRunner(model)
        self.embeddings = embeddings if embeddings is not None else EmbeddingCache()
        self._loaded: _Loaded | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        *,
        device: str | torch.device = "cpu",
        cache_bytes: int = DEFAULT_BYTES,
        runtime: RuntimeName | None = None,
        precision: PrecisionName | None = None,
    ) -> Predictor:
        """With the default checkpoint, or one by name or path.

        Args:
            name_or_path: as of `load_pretrained`.
            device: where the weights go.
            cache_bytes: of slice embeddings in memory.
            runtime: what computes the image encoder: auto, torch or openvino; see `choose_runtime`.
            precision: exact, or fast.

        Raises:
            CheckpointError: weights that cannot be used.
            RuntimeChoiceError: a runtime or precision that cannot be had here.
        """
        model = load_pretrained(name_or_path, device=device)
        encoder = choose_runtime(model, runtime, precision)
        return cls(model, encoder=encoder, embeddings=EmbeddingCache(cache_bytes))

    @property
    def volume(self) -> Volume | None:
        """The volume in work."""
        return self._loaded.volume if self._loaded else None

    def set_volume(
        self,
        volume: Volume,
        *,
        window: str | tuple[float, float] | None = None,
        private: bool = False,
    ) -> None:
        """Take a volume into work: cheap, slices are encoded when a prompt needs them.

        `window` names a CT preset or gives (low, high) of the displayed values; by default CT is
        shown in the soft-tissue window, colour as it is, and everything else between its
        percentiles. Of a `private` volume no embedding is written to disk.
        """
        self._loaded = _Loaded(volume, Intensity.for_volume(volume, window), private)

    def reset(self) -> None:
        """Let the volume go; the embeddings stay, and the same image finds them again."""
        self._loaded = None

    def warm(
        self, *, axis: AxisChoice = "auto", index: int | None = None, background: bool = False
    ) -> None:
        """Encode one slice ahead of its first prompt: slice `index`, or the middle one. In the
        `background`, predictions in other threads do not wait for it.
        """
        loaded = self._in_work()
        number = choose_axis(loaded.volume, "auto" if axis == "all" else axis)
        decoder = self.slices(number)
        depth = decoder.view.depth
        if index is not None and not 0 <= index < depth:
            raise PromptError(f"Slices along {'ijk'[number]} are 0 to {depth - 1}; got {index}.")
        decoder.features(depth // 2 if index is None else index, background=background)

    def slices(self, axis: int, stopwatch: Stopwatch | None = None) -> SliceDecoder:
        """The slices across one voxel axis of the volume in work; raises VolumeError."""
        loaded = self._in_work()
        task = SliceTask(loaded.volume, loaded.intensity, private=loaded.private)
        return self._decoder(task, axis, stopwatch or Stopwatch())

    def predict(
        self,
        prompts: Prompts,
        *,
        axis: AxisChoice = "auto",
        propagate: bool | None = None,
        decoder: DecoderName = "binary",
        category: str | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Result:
        """Segment the one object that the prompts mark.

        Args:
            prompts: points and boxes in voxel indices; a box one voxel thick is a 2D box on that
                slice, a thicker one is for every slice it spans.
            axis: across which voxel axis to slice; "auto" is the axis of a 2D box, else that of the
                largest spacing; "all" averages the probabilities of the three directions.
            propagate: True follows the object from the prompted slices outwards, in a 3D box from
                its middle slice and never out of it; False decodes each prompted slice by itself, a
                3D box by its sections; None follows in 3D boxes only.
            decoder: whose mask is the result, the binary or the semantic decoder's.
            category: look for this one only (semantic decoder), and name the result so; a name or
                synonym of the checkpoint's categories.
            progress: called after each slice as (done, planned so far, what).
            cancel: asked before each slice.

        Raises:
            PromptError: prompts that cannot be meant in this volume, or a trained semantic decoder
                is needed.
            CategoryError: an unknown category.
            CancelledError: `cancel` said so.
            VolumeError: no volume was set.
        """
        started = time.perf_counter()
        loaded = self._in_work()
        checked, notes = prompts.checked(loaded.volume.shape_ijk)
        wanted = self._category_index(decoder, category)
        task = SliceTask(loaded.volume, loaded.intensity, decoder, wanted, private=loaded.private)
        job = Job(progress, cancel)
        first = first_axis(loaded.volume, axis, checked)
        if axis == "all":
            region = self._along_all(task, checked, first, propagate=propagate, job=job)
        else:
            region = self._along(task, self._plan(checked, first, propagate), job)
        scored = [(kept.class_scores, kept.area) for kept in job.slices]
        name, confidence, doubts = named(
            self.model, scored, wanted=task.category, modality=task.volume.modality
        )
        seconds = {**job.stopwatch.seconds, "total": time.perf_counter() - started}
        return Result(
            region=region,
            volume=loaded.volume,
            axes=("i", "j", "k") if axis == "all" else ("ijk"[first],),
            slices=tuple(kept.report for kept in job.slices),
            notes=notes + self._notes(checked, first, empty=region.is_empty) + doubts,
            seconds=seconds,
            encoded=job.stopwatch.encoded,
            category=name,
            confidence=confidence,
            segment=segment_named(name, self.model.categories),
        )

    def _plan(self, prompts: Prompts, axis: int, propagate: bool | None) -> AxisPlan:
        margin = SIXTH if self.model.card.semantic_is_trained else THIRD
        return plan_axis(prompts, axis, propagate=propagate, margin=margin)

    def _along(self, task: SliceTask, plan: AxisPlan, job: Job) -> Region:
        """The object's probabilities from the slices across one axis."""
        with closing(self._decoder(task, plan.axis, job.stopwatch)) as decoder:
            return self._decoded(decoder, plan, job)

    def _decoded(self, decoder: SliceDecoder, plan: AxisPlan, job: Job) -> Region:
        builder = LabelBuilder(decoder.view)
        job.planned += (
            len(plan.prompted) + len(plan.choices) + sum(len(choice) for choice in plan.choices)
        )
        seeds: dict[int, SliceMask] = {}
        for mask in self._prompted(decoder, plan, job):
            if plan.propagate:
                seeds[mask.report.index] = mask
            builder.add(mask.report.index, mask.logits)
            job.kept(mask)
        for mask in self._propagated(decoder, plan, seeds, job):
            builder.add(mask.report.index, mask.logits)
            job.kept(mask)
        return builder.region()

    @staticmethod
    def _prompted(decoder: SliceDecoder, plan: AxisPlan, job: Job) -> Iterator[SliceMask]:
        choices = [index for choice in plan.choices for index in choice]
        decoder.expect([*plan.prompted, *choices])
        for index, prompts in plan.prompted.items():
            job.before_slice()
            yield decoder.decode(index, prompts)
        for choice in plan.choices:
            tried = []
            for index, prompts in choice.items():
                job.before_slice()
                tried.append(decoder.decode(index, prompts))
                job.decoded(tried[-1], "looked at")
            yield most_trusted(decoder.view, tried, choice)

    @staticmethod
    def _propagated(
        decoder: SliceDecoder, plan: AxisPlan, seeds: dict[int, SliceMask], job: Job
    ) -> Iterator[SliceMask]:
        steps = tuple(plan.walks(seeds, decoder.view.depth))
        if plan.limit is not None:
            job.planned += sum(len(step.indices) for step in steps)
        for step in steps:
            decoder.expect(step.indices)
            masks = walk(
                decoder, seeds[step.seed], step.indices, limit=step.limit, points=plan.points
            )
            job.before_slice()
            for mask in masks:
                yield mask
                job.before_slice()

    def _along_all(
        self, task: SliceTask, prompts: Prompts, first: int, *, propagate: bool | None, job: Job
    ) -> Region:
        """Three directions, averaged; 2D prompts are followed along their own axis first."""
        solid = bool(prompts.boxes) and prompts.flat_axis is None
        if not solid and not propagate:
            raise PromptError(
                "axis all needs a 3D box, or a 2D box or point with propagation; "
                "got 2D prompts without propagation."
            )
        regions = [self._along(task, self._plan(prompts, first, propagate), job)]
        for axis in (a for a in range(3) if a != first):
            plan = (
                self._plan(prompts, axis, propagate) if solid else boxes_of_mask(regions[0], axis)
            )
            regions.append(self._along(task, plan, job))
        return fuse_axes(regions)

    def _decoder(self, task: SliceTask, axis: int, stopwatch: Stopwatch) -> SliceDecoder:
        view = SliceView.of(task.volume, axis, self.model.host.facts.input_size)
        return SliceDecoder(
            self.model, self.embeddings, task, view, stopwatch, encoder=self.encoder
        )

    def _in_work(self) -> _Loaded:
        if self._loaded is None:
            raise VolumeError("No volume is set: call set_volume before warm or predict.")
        return self._loaded

    def _category_index(self, decoder: DecoderName, category: str | None) -> int | None:
        if decoder not in ("binary", "semantic"):
            raise PromptError(f"A decoder is binary or semantic; got {decoder!r}.")
        index = None if category is None else self.model.categories.index(category)
        if not self.model.card.semantic_is_trained and (
            decoder == "semantic" or category is not None
        ):
            wanted = "the semantic decoder" if decoder == "semantic" else f"category {category}"
            raise PromptError(
                f"{wanted} was asked for, but this checkpoint has no trained semantic decoder; "
                "use the binary decoder without a category, or another checkpoint."
            )
        return index

    def _notes(self, prompts: Prompts, axis: int, *, empty: bool) -> tuple[str, ...]:
        lone = any(
            prompts.on_slice(axis, index).is_lone_point for index in prompts.slices_along(axis)
        )
        said = (
            (LONE_POINT_NOTE, lone and "point" not in self.model.card.prompts_trained),
            (EMPTY_NOTE, empty),
            (UNTRAINED_NOTE, not self.model.card.semantic_is_trained),
        )
        return tuple(note for note, holds in said if holds)
