"""Predictor: call `set_volume` once (cheap), `predict` for each prompt, and `reset` at the end.

Model and embeddings may be shared by many predictors and threads: the model is only read, and the
cache has its own lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.errors import PromptError, VolumeError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import choose_axis
from segsam.imaging.volume import Volume
from segsam.model import SegSam, load_pretrained
from segsam.model.runtimes import EncoderRunner, choose_runtime
from segsam.prediction.completion.adaptation import Weights, with_weights
from segsam.prediction.completion.carried import FindCarried
from segsam.prediction.completion.completing import Completing
from segsam.prediction.completion.completion import Completion
from segsam.prediction.completion.confirmed import ConfirmedSlices, Planes
from segsam.prediction.completion.request import CompletionRequest
from segsam.prediction.completion.teaching import AdaptedState
from segsam.prediction.decoding import MaskChoice, SliceDecoder
from segsam.prediction.embeddings import DEFAULT_BYTES, EmbeddingCache
from segsam.prediction.encoding import LoadedVolume, SliceEncoder
from segsam.prediction.job import Job
from segsam.prediction.memory_propagation import check_memory
from segsam.prediction.result import Result
from segsam.prediction.segmentation import Segmentation
from segsam.prediction.taught.examples import TaughtNames
from segsam.prediction.taught.matching import Compare, matches, no_matches
from segsam.prompting.prompts import Point, Prompts
from segsam.types import (
    AxisChoice,
    Cancel,
    DecoderName,
    PrecisionChoice,
    Progress,
    PropagateChoice,
    RuntimeName,
)


class Predictor:
    """Segments objects of one volume at a time; see `predict`."""

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
        self._loaded: LoadedVolume | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        *,
        device: str | torch.device = "cpu",
        cache_bytes: int = DEFAULT_BYTES,
        runtime: RuntimeName | None = None,
        precision: PrecisionChoice | None = None,
    ) -> Predictor:
        """Return a predictor with the default checkpoint, or with another one.

        Args:
            name_or_path: name or path of a checkpoint, as for `load_pretrained`.
            device: device of the weights.
            cache_bytes: memory limit of the slice embeddings.
            runtime: what computes the image encoder: auto, torch or openvino; see
                `choose_runtime`.
            precision: exact, fast, or auto: fast where it was measured to be worthwhile.

        Raises:
            CheckpointError: weights that cannot be used.
            RuntimeChoiceError: a runtime or precision that is not available on this machine.
        """
        model = load_pretrained(name_or_path, device=device)
        encoder = choose_runtime(model, runtime, precision)
        return cls(model, encoder=encoder, embeddings=EmbeddingCache(cache_bytes))

    @property
    def volume(self) -> Volume | None:
        """The current volume; None if none is set."""
        return self._loaded.volume if self._loaded else None

    def set_volume(
        self,
        volume: Volume,
        *,
        window: str | tuple[float, float] | None = None,
        private: bool = False,
    ) -> None:
        """Set the current volume. This is cheap: slices are encoded when a prompt needs them.

        `window` is a CT preset's name or the (low, high) displayed values. By default, CT is
        displayed in the soft-tissue window, colour unchanged, and everything else between its
        percentiles. The embeddings of a `private` volume are never written to disk.
        """
        self._loaded = LoadedVolume(volume, Intensity.for_volume(volume, window), private)

    def drawing_with(self, weights: Weights) -> Predictor:
        """Return a predictor of the current volume whose mask decoder has other weights; both share
        everything else, the embeddings included.
        """
        other = Predictor(
            with_weights(self.model, weights), encoder=self.encoder, embeddings=self.embeddings
        )
        other._loaded = self._loaded
        return other

    def reset(self) -> None:
        """Forget the current volume. Its embeddings stay cached and serve the same image again."""
        self._loaded = None

    def warm(
        self, *, axis: AxisChoice = "auto", index: int | None = None, background: bool = False
    ) -> None:
        """Encode slice `index`, or the middle one, so that its first prompt is answered faster.

        With `background`, predictions in other threads do not wait for it.

        Raises:
            PromptError: no such slice.
            VolumeError: no volume was set.
        """
        voxel_axis = choose_axis(self._require_volume().volume, "auto" if axis == "all" else axis)
        slices = self.slices(voxel_axis)
        depth = slices.view.depth
        if index is not None and not 0 <= index < depth:
            raise PromptError(
                f"Expected slice 0 to {depth - 1} along {'ijk'[voxel_axis]}, got {index}."
            )
        slices.features(depth // 2 if index is None else index, background=background)

    def slices(self, axis: int, job: Job | None = None) -> SliceDecoder:
        """Return a decoder of the slices across one voxel axis of the current volume.

        Raises:
            VolumeError: no volume was set.
        """
        return SliceDecoder(
            self.model, self._slice_encoder(self._require_volume(), axis, job or Job())
        )

    def predict(
        self,
        prompts: Prompts,
        *,
        axis: AxisChoice = "auto",
        propagate: PropagateChoice | None = None,
        decoder: DecoderName = "binary",
        category: str | None = None,
        taught: TaughtNames | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Result:
        """Segment the one object that the prompts mark.

        Args:
            prompts: points and boxes in voxel indices. A box one voxel thick is a 2D box on that
                slice; a thicker one applies to every slice it spans.
            axis: the voxel axis to slice across. "auto" is the axis of a 2D box, else that across
                the planes of acquisition (`choose_axis`); "all" averages the probabilities of the
                three directions.
            propagate: True follows the object from the prompted slices outwards, in a 3D box from
                the best slice near its middle and never out of it. False decodes each prompted
                slice by itself, a 3D box by its sections. None follows in 3D boxes only. "memory"
                follows as True, by the host's own memory of slices in place of boxes around masks;
                only the hosts of SAM 2 have one, and no weights of them come with this package.
            decoder: the decoder whose mask is the result, binary or semantic.
            category: name or synonym of a category of the checkpoint. With the semantic decoder the
                mask is restricted to it. The result gets this name.
            taught: names that users taught; those whose examples are of the same image encoder may
                become the result's name. The checkpoint needs a memory of examples for them.
            progress: called after each slice as (done, planned so far, message).
            cancel: called before each slice; True cancels.

        Raises:
            PromptError: prompts that are not valid in this volume, or that need a trained semantic
                decoder; another word for `propagate`, or "memory" without one.
            CategoryError: an unknown category.
            CancelledError: `cancel` returned True.
            VolumeError: no volume was set.
        """
        job = Job(progress, cancel)
        loaded = self._require_volume()
        checked, notes = prompts.checked(loaded.volume.shape_ijk)
        choice = MaskChoice.checked(self.model, decoder, category)
        if propagate not in (None, True, False, "memory"):
            raise PromptError(
                f"Expected propagate to be true, false, memory or none, got {propagate!r}."
            )
        if propagate == "memory":
            check_memory(self.model, decoder)
        slice_encoder = partial(self._slice_encoder, loaded)
        compare = self._comparison(taught)
        segmentation = Segmentation(
            self.model, loaded.volume, slice_encoder, job, choice, compare=compare
        )
        return segmentation.segment(checked, axis=axis, propagate=propagate, notes=notes)

    def complete(
        self,
        confirmed: Planes | ConfirmedSlices,
        *,
        points: Sequence[Point] = (),
        others: NDArray[np.bool_] | None = None,
        previous: AdaptedState | None = None,
        taught: TaughtNames | None = None,
        name: str | None = None,
        carried: FindCarried = lambda _: None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Completion:
        """Segment the rest of an object of which some slices are confirmed.

        A copy of the mask decoder is adapted to the confirmed slices, if that is better on slices
        that it has not learnt from; the model itself never changes. The same slices and state give
        the same answer.

        Args:
            confirmed: {(axis, index): mask of the other two voxel axes in ascending order}, or
                `ConfirmedSlices.of_labels` of a sparse label volume. A slice without a pixel of the
                object ends it.
            points: clicks on other slices, inside or outside the object.
            others: True (i, j, k) where other objects are, which this one never is.
            previous: the `state` of an earlier result for the same object, to continue from it.
            taught: names that users taught, as for `predict`.
            name: of the object, under which something may have been learnt in other cases; without
                it, the name that the object is given.
            carried: returns what was learnt about a name (`learn_on`). It is the start if it draws
                the confirmed slices better than the model; a note says so.
            progress: called after each step or slice as (done, planned so far, message).
            cancel: called before each step or slice; True cancels.

        Raises:
            PromptError: a picture, planes that do not fit the volume or contradict each other, or a
                state of another checkpoint.
            CancelledError: `cancel` returned True.
            VolumeError: no volume was set.
        """
        loaded = self._require_volume()
        job = Job(progress, cancel, seconds=dict.fromkeys(("encode", "adapt", "decode"), 0.0))
        completing = Completing(
            self.model,
            self.encoder.weights_id,
            loaded.volume,
            partial(self._slice_encoder, loaded),
            job,
            compare=self._comparison(taught),
            carried=carried,
        )
        shape_ijk = loaded.volume.shape_ijk
        request = CompletionRequest.checked(confirmed, points, others, shape_ijk, name)
        return completing.complete(request, previous)

    def _comparison(self, taught: TaughtNames | None) -> Compare:
        """Return what finds the taught names that an object may have."""
        if not taught or self.model.memory is None:
            return no_matches
        return partial(matches, self.model, taught, self.encoder.embedding_id)

    def _slice_encoder(self, loaded: LoadedVolume, axis: int, job: Job) -> SliceEncoder:
        return SliceEncoder(self.encoder, self.embeddings, loaded, axis, job)

    def _require_volume(self) -> LoadedVolume:
        if self._loaded is None:
            raise VolumeError("No volume is set: call set_volume before warm or predict.")
        return self._loaded
