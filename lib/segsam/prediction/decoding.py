"""Decoding of single slices: prompts on a slice in, the mask of its object out.

    features of the slice + points and boxes in model pixels --decoders--> logits (y, x)

Several boxes on a slice mark parts of one object. Each box is decoded with the points that concern
it, and a pixel gets the largest of their logits. A pixel in a negative box gets a logit that counts
as probability 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from segsam.errors import PromptError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.model import Decoded, ImageFeatures, SegSam
from segsam.prediction.encoding import SliceEncoder
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.labels import FLOOR_LOGIT
from segsam.prediction.naming import present_categories, without_sides
from segsam.prediction.prompt_tensors import prompt_tensors
from segsam.prediction.result import SliceReport
from segsam.prediction.semantics import (
    agreement,
    category_logits,
    class_scores,
    descriptions,
    distances_to_examples,
    image_distances,
)
from segsam.prediction.sides import shows_sides
from segsam.prediction.taught.position import Position, position_in_body
from segsam.prompting.prompts import Box, SlicePrompts
from segsam.types import DecoderName


@dataclass(frozen=True)
class MaskChoice:
    """Choice of the decoder whose mask is the result.

    With the semantic decoder, `category` (an index into the checkpoint's categories) restricts the
    mask to one category.
    """

    decoder: DecoderName = "binary"
    category: int | None = None

    @classmethod
    def checked(cls, model: SegSam, decoder: DecoderName, category: str | None) -> MaskChoice:
        """Return the choice of a decoder and a category's name or synonym for a checkpoint.

        Raises:
            PromptError: an unknown decoder, or a trained semantic decoder is needed.
            CategoryError: an unknown category.
        """
        if decoder not in ("binary", "semantic"):
            raise PromptError(f"Expected the decoder binary or semantic, got {decoder!r}.")
        index = None if category is None else model.categories.index(category)
        if not model.card.semantic_is_trained and (decoder == "semantic" or category is not None):
            requested = "its mask" if decoder == "semantic" else f"the category {category}"
            raise PromptError(
                f"Expected a checkpoint with a trained semantic decoder for {requested}, got one "
                "without it; use the binary decoder and no category, or another checkpoint."
            )
        return cls(decoder, index)


@dataclass(frozen=True, eq=False)
class SliceMask:
    """Mask of one decoded slice.

    `logits` is float32 (y, x) in the orientation of the displayed slice. `low_res_logits` is
    float32 (1, 1, m, m), the model's own mask of the padded square, which can prompt a neighbouring
    slice. `brightness` and `spread` are mean and standard deviation of the displayed values (0 to
    255) in the mask. `class_scores` are probabilities (K + 1,), 0 = no category; `distances` (K,)
    are those to the nearest examples and `description` (D,) and `position` in the body are those of
    the object, None without a memory of examples. `is_blank` is True if every pixel of the slice
    is shown alike. `shows_sides` is False if it does not tell left from right.
    """

    logits: NDArray[np.float32]
    low_res_logits: Tensor
    report: SliceReport
    brightness: float = 0.0
    spread: float = 0.0
    class_scores: NDArray[np.float32] | None = None
    distances: NDArray[np.float32] | None = None
    description: NDArray[np.float32] | None = None
    position: Position | None = None
    is_blank: bool = False
    shows_sides: bool = True

    @property
    def index(self) -> int:
        """The index of the slice."""
        return self.report.index

    @property
    def area(self) -> int:
        """Number of pixels of the object."""
        return int(np.count_nonzero(self.logits > 0))

    @property
    def evidence(self) -> SliceEvidence:
        """The part that is needed to name the object."""
        return SliceEvidence(
            self.area,
            self.class_scores,
            self.distances,
            self.report.agreement,
            self.is_blank,
            self.description,
            self.position,
            self.shows_sides,
        )


class SliceDecoder:
    """Decoder of prompts on the slices of one `SliceEncoder`.

    `model` supplies the decoders' weights. They may differ from the encoder's model in everything
    that no image feature depends on. No mask has a pixel in one of the `negative_boxes`.
    """

    def __init__(
        self,
        model: SegSam,
        encoder: SliceEncoder,
        choice: MaskChoice | None = None,
        negative_boxes: tuple[Box, ...] = (),
    ) -> None:
        self.encoder = encoder
        self._model = model
        self._choice = choice or MaskChoice()
        self._negative_boxes = negative_boxes

    @property
    def view(self) -> SliceView:
        """The view that cuts the slices."""
        return self.encoder.view

    @property
    def takes_mask_prompts(self) -> bool:
        """True if the weights were trained with low-resolution masks as prompts."""
        return "mask" in self._model.card.prompts_trained

    def features(self, index: int, *, background: bool = False) -> ImageFeatures:
        """Return the image features of slice `index`; see `SliceEncoder.features`."""
        return self.encoder.features(index, background=background)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return slice `index` as the image encoder reads it, (h_px, w_px, 3)."""
        loaded = self.encoder.loaded
        return self.view.image(loaded.volume, loaded.intensity, index)

    @torch.inference_mode()
    def decode(
        self,
        index: int,
        prompts: SlicePrompts,
        *,
        mask_prompt: Tensor | None = None,
        propagated: bool = False,
    ) -> SliceMask:
        """Return the mask of the object that `prompts` mark on slice `index`.

        Args:
            index: the slice.
            prompts: points and boxes on it.
            mask_prompt: low-resolution logits (1, 1, m, m) of another slice's mask.
            propagated: True if the prompts were derived from a neighbouring slice.

        Raises:
            CancelledError: the job was cancelled.
        """
        features = self.features(index)
        with self.encoder.job.timed("decode"):
            decoded = self.decoded(features, prompts, mask_prompt)
            return self.slice_mask(index, features, decoded, prompts, propagated=propagated)

    def decoded(
        self, features: ImageFeatures, prompts: SlicePrompts, mask_prompt: Tensor | None = None
    ) -> Decoded:
        """Return the decoders' output for prompts on a slice; arguments as of `decode`."""
        tensors = prompt_tensors(self.view, prompts, self.encoder.device, mask_prompt)
        semantic = self._model.card.semantic_is_trained
        return self._model.decode(features, tensors, semantic=semantic)

    def slice_mask(
        self,
        index: int,
        features: ImageFeatures,
        decoded: Decoded,
        prompts: SlicePrompts,
        *,
        propagated: bool,
    ) -> SliceMask:
        """Return the mask of slice `index` from the decoders' output; arguments as of `decode`."""
        parts = self._object_logits(decoded)
        planes = [self.view.logits_to_plane(part[0]) for part in parts]
        logits = torch.stack(planes).amax(dim=0).cpu().numpy()
        if prompts.all_boxes:
            logits = suppress_stray_parts(logits, self.view, prompts)
        logits = self._without_negative_boxes(index, logits)
        low_res_logits = parts.amax(dim=0, keepdim=True)
        is_blank, picture = self._is_blank(index), self.picture(index)
        has_sides = shows_sides(self.view, self.encoder.loaded.volume, picture)
        present = {} if is_blank else self._present(features, decoded, has_sides=has_sides)
        report = SliceReport(
            index=index,
            axis=self.view.axis,
            predicted_iou=float(decoded.predicted_iou.mean()),
            propagated=propagated,
            agreement=agreement(decoded),
            present=present,
        )
        brightness, spread = self._displayed_values(index, logits > 0)
        scores = class_scores(decoded, self._model.card.temperature)
        described = descriptions(self._model, features, low_res_logits)
        distances = distances_to_examples(self._model, described)
        return SliceMask(
            logits,
            low_res_logits,
            report,
            brightness,
            spread,
            scores,
            None if distances is None else distances[0],
            None if described is None else described[0],
            None if described is None else position_in_body(picture, logits > 0),
            is_blank,
            has_sides,
        )

    def _without_negative_boxes(
        self, index: int, logits: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return logits (y, x) of slice `index` that are the lowest in its negative boxes."""
        crossing = [box for box in self._negative_boxes if box.spans(self.view.axis, index)]
        if not crossing:
            return logits
        logits = logits.copy()
        for box in crossing:
            left, top, right, bottom = self.view.rectangle(box.min_ijk, box.max_ijk)
            part = logits[top : bottom + 1, left : right + 1]
            np.minimum(part, FLOOR_LOGIT, out=part)
        return logits

    def _object_logits(self, decoded: Decoded) -> Tensor:
        """Return the logits (P, 1, m, m) of the selected mask.

        The semantic mask is taken with its labels stripped off (paper, section 3.3), or for one
        category only.
        """
        stripped = decoded.stripped_logits()
        if self._choice.decoder == "binary" or stripped is None:
            return decoded.binary_logits
        if self._choice.category is None:
            return stripped
        return category_logits(decoded, self._choice.category, self._model.card.temperature)

    def _present(
        self, features: ImageFeatures, decoded: Decoded, *, has_sides: bool
    ) -> dict[str, float]:
        modality = self.encoder.loaded.volume.modality
        distances = image_distances(self._model, features)
        found = present_categories(decoded, self._model, modality, distances)
        return found if has_sides else without_sides(found, self._model)

    def _is_blank(self, index: int) -> bool:
        loaded = self.encoder.loaded
        return _shows_one_value(self.view.cut(loaded.volume.voxels, index), loaded.intensity)

    def _displayed_values(self, index: int, mask: NDArray[np.bool_]) -> tuple[float, float]:
        """Return mean and standard deviation of the displayed values in a mask (y, x)."""
        if not mask.any():
            return 0.0, 0.0
        loaded = self.encoder.loaded
        values = loaded.intensity.apply(self.view.cut(loaded.volume.voxels, index)[mask])
        return float(values.mean()), float(values.std())


def _shows_one_value(plane: NDArray[np.generic], shown_as: Intensity) -> bool:
    """Return True if every pixel of a slice (y, x) or (y, x, 3) is shown alike."""
    pixels = plane.reshape(plane.shape[0] * plane.shape[1], -1)
    ends = shown_as.apply(np.stack([pixels.min(axis=0), pixels.max(axis=0)]))
    return bool((ends[0] == ends[1]).all())


def suppress_stray_parts(
    logits: NDArray[np.float32], view: SliceView, prompts: SlicePrompts
) -> NDArray[np.float32]:
    """Return logits (y, x) that are negative in mask parts without contact to a prompt.

    A part counts if it touches a box or holds a positive point. A box tells where the object is;
    a part that lies wholly outside is another structure that looks similar.
    """
    parts, count = ndimage.label(logits > 0, structure=np.ones((3, 3)))
    if count == 0:
        return logits
    prompted = np.zeros(count + 1, dtype=np.bool_)
    for box in prompts.all_boxes:
        left, top, right, bottom = view.rectangle(box.min_ijk, box.max_ijk)
        prompted[parts[top : bottom + 1, left : right + 1]] = True
    for point in prompts.points:
        x, y, _, _ = view.rectangle(point.ijk, point.ijk)
        prompted[parts[y, x]] |= point.positive
    prompted[0] = True
    return np.where(prompted[parts], logits, -np.abs(logits))
