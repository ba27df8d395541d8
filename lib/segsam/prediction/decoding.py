"""One slice at a time: prompts on a slice in, the mask of its object out.

    volume --SliceView--> picture --image encoder (once, kept)--> features
    points and boxes of the slice --to pixels--> prompt tensors  --decoders--> logits (y, x)

Several boxes on a slice mark parts of one object: each is decoded with the points that concern it,
and the largest logit of a pixel counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import Decoded, ImageFeatures, SegSam
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.embeddings import EmbeddingCache, slice_key
from segsam.prediction.prefetch import Prefetcher
from segsam.prediction.prompt_tensors import prompt_tensors
from segsam.prediction.result import SliceReport
from segsam.prediction.semantics import agreement, category_logits, class_scores, present
from segsam.prompting.prompts import SlicePrompts
from segsam.types import DecoderName


@dataclass
class Stopwatch:
    """Wall-clock seconds by what was done, and how many slices were really encoded."""

    seconds: dict[str, float] = field(default_factory=lambda: {"encode": 0.0, "decode": 0.0})
    encoded: int = 0


@dataclass(frozen=True)
class SliceTask:
    """What is asked of every slice of one prediction.

    `category` is an index into the checkpoint's categories, or None to let the model choose; of a
    `private` volume nothing is ever written to disk.
    """

    volume: Volume
    intensity: Intensity
    decoder: DecoderName = "binary"
    category: int | None = None
    private: bool = False


@dataclass(frozen=True, eq=False)
class SliceMask:
    """A decoded slice.

    `logits` is float32 (y, x) as the slice is shown; `low_res` is float32 (1, 1, m, m), the model's
    own mask of the padded square, fit to prompt a neighbouring slice; `class_scores` are
    probabilities (K + 1,), 0 = no category. `brightness` and `spread`
    are mean and standard deviation of the displayed values (0 to 255) in the mask.
    """

    logits: NDArray[np.float32]
    low_res: Tensor
    report: SliceReport
    brightness: float = 0.0
    spread: float = 0.0
    class_scores: NDArray[np.float32] | None = None

    @property
    def area(self) -> int:
        """Pixels of the object."""
        return int(np.count_nonzero(self.logits > 0))


class SliceDecoder:
    """Decodes slices across one axis of one volume; features come from the shared cache."""

    def __init__(
        self,
        model: SegSam,
        embeddings: EmbeddingCache,
        task: SliceTask,
        view: SliceView,
        stopwatch: Stopwatch | None = None,
        *,
        encoder: EncoderRunner,
    ) -> None:
        self.view = view
        self._model = model
        self._encoder = encoder
        self._embeddings = embeddings
        self._task = task
        self._stopwatch = stopwatch or Stopwatch()
        self._ahead: Prefetcher[tuple[ImageFeatures, bool]] | None = None

    def expect(self, indices: Sequence[int]) -> None:
        """Slices that will be decoded next, in this order: they are encoded while others are
        decoded, where that pays; a single one is there sooner if it has all threads. Ends with
        `close`.
        """
        if self._ahead is None and self._encoder.threads > 1:
            self._ahead = Prefetcher(self._features_alongside, self._encoder.threads)
        if self._ahead is not None:
            self._ahead.expect(indices if len(indices) > 1 else ())

    def close(self) -> None:
        """Nothing more will be decoded."""
        if self._ahead is not None:
            self._ahead.close()

    def features(self, index: int, *, background: bool = False) -> ImageFeatures:
        """The features of slice `index`, encoded unless they are in the cache; in the `background`
        nobody waits for them yet.
        """
        start = time.perf_counter()
        found = None if self._ahead is None else self._ahead.take(index)
        features, encoded_now = found or self._features(index, background=background)
        self._stopwatch.encoded += encoded_now
        self._stopwatch.seconds["encode"] += time.perf_counter() - start
        return features

    def _features_alongside(self, index: int) -> tuple[ImageFeatures, bool]:
        return self._features(index, background=True)

    @torch.inference_mode()
    def _features(self, index: int, *, background: bool) -> tuple[ImageFeatures, bool]:
        """(features, whether they were encoded now)."""
        picture = self.view.image(self._task.volume, self._task.intensity, index)
        model = self._model
        key = slice_key(picture, self._encoder.encoder_id)
        encoded, encoded_now = self._embeddings.get_or_encode(
            key,
            lambda: self._encode(picture, alongside=background),
            background=background,
            private=self._task.private,
        )
        features = self._embeddings.get_or_derive(
            key,
            self._encoder.weights_id,
            encoded.to(self._device),
            lambda found: model.features(found.embedding, found.detail),
        )
        return features, encoded_now

    @torch.inference_mode()
    def decode(
        self,
        index: int,
        prompts: SlicePrompts,
        *,
        mask_prompt: Tensor | None = None,
        propagated: bool = False,
    ) -> SliceMask:
        """The object that `prompts` mark on slice `index`; `mask_prompt` is (1, 1, m, m) logits of
        an earlier mask.
        """
        features = self.features(index)
        start = time.perf_counter()
        tensors = prompt_tensors(self.view, prompts, self._device, mask_prompt)
        decoded = self._model.decode(
            features, tensors, semantic=self._model.card.semantic_is_trained
        )
        parts = self._object_logits(decoded)
        planes = [self.view.logits_to_plane(part[0]) for part in parts]
        logits = torch.stack(planes).amax(dim=0).cpu().numpy()
        if prompts.all_boxes:
            logits = without_strays(logits, self.view, prompts)
        low_res = parts.amax(dim=0, keepdim=True)
        report = self._report(index, decoded, propagated=propagated)
        self._stopwatch.seconds["decode"] += time.perf_counter() - start
        brightness, spread = self._shown_values(index, logits > 0)
        scores = class_scores(decoded, self._model.card.temperature)
        return SliceMask(logits, low_res, report, brightness, spread, class_scores=scores)

    @property
    def takes_masks(self) -> bool:
        """Whether the weights were trained with low-resolution masks as prompts."""
        return "mask" in self._model.card.prompts_trained

    def _encode(self, picture: NDArray[np.uint8], *, alongside: bool) -> ImageFeatures:
        image = self._model.host.prepare(picture)[None].to(self._device)
        embedding, detail = self._encoder.encode(image, alongside=alongside)
        return ImageFeatures(embedding, detail=detail)

    @property
    def _device(self) -> torch.device:
        return next(self._model.parameters()).device

    def _shown_values(self, index: int, mask: NDArray[np.bool_]) -> tuple[float, float]:
        """Mean and standard deviation of what is displayed in a mask (y, x); zeros without one."""
        if not mask.any():
            return 0.0, 0.0
        values = self._task.intensity.apply(self.view.cut(self._task.volume.voxels, index)[mask])
        return float(values.mean()), float(values.std())

    def _object_logits(self, decoded: Decoded) -> Tensor:
        """(P, 1, m, m): of the binary decoder, or of the semantic one with its labels stripped
        (paper, section 3.3), or with all but the wanted category's.
        """
        stripped = decoded.stripped_logits()
        if self._task.decoder == "binary" or stripped is None:
            return decoded.binary_logits
        if self._task.category is None:
            return stripped
        return category_logits(decoded, self._task.category, self._model.card.temperature)

    def _report(self, index: int, decoded: Decoded, *, propagated: bool) -> SliceReport:
        return SliceReport(
            index=index,
            axis=self.view.axis,
            predicted_iou=float(decoded.predicted_iou.mean()),
            propagated=propagated,
            agreement=agreement(decoded),
            present=present(decoded, self._model, self._task.volume.modality),
        )


def without_strays(
    logits: NDArray[np.float32], view: SliceView, prompts: SlicePrompts
) -> NDArray[np.float32]:
    """Logits (y, x) without the parts of the mask that touch no box and no positive point.

    A box says where the object is; what lies wholly outside is something that looks alike.
    """
    parts, count = ndimage.label(logits > 0, structure=np.ones((3, 3)))
    if count == 0:
        return logits
    meant = np.zeros(count + 1, dtype=np.bool_)
    for box in prompts.all_boxes:
        left, top, right, bottom = view.rectangle(box.min_ijk, box.max_ijk)
        meant[parts[top : bottom + 1, left : right + 1]] = True
    for point in prompts.points:
        x, y, _, _ = view.rectangle(point.ijk, point.ijk)
        meant[parts[y, x]] |= point.positive
    meant[0] = True
    return np.where(meant[parts], logits, -np.abs(logits))
