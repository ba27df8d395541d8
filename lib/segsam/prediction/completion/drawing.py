"""Drawing of one object's slices: the mask decoder's logits, a shape, and what is known.

    box (and points) --mask decoder--> logits + weight * shape --what is known--> logits (y, x)

A shape is a signed distance in model pixels: what lies far outside of it is not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from segsam.imaging.slices import SliceView
from segsam.imaging.voxels import zeros
from segsam.model import Decoded, ImageFeatures, SegSam
from segsam.prediction.completion.confirmed import ConfirmedSlices
from segsam.prediction.completion.shapes import Mask, Shape, signed_distance
from segsam.prediction.decoding import SliceDecoder, SliceMask
from segsam.prediction.encoding import SliceEncoder
from segsam.prediction.prompt_tensors import prompt_tensors
from segsam.prediction.propagation import MARGIN_PX
from segsam.prompting.prompts import Box, Point, SlicePrompts

CERTAIN_LOGIT = 12.0
"""Logit of what a person confirmed."""
_LEAST_PART = 0.02
"""Share of the object below which a part of a shape does not widen its box."""


@dataclass(frozen=True, eq=False)
class KnownVoxels:
    """Voxels (i, j, k) on confirmed planes, which of them are the object, and voxels of others."""

    known: NDArray[np.bool_]
    confirmed: NDArray[np.bool_]
    others: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, slices: ConfirmedSlices, others: NDArray[np.bool_] | None) -> KnownVoxels:
        """Return what confirmed slices tell, and that other objects are not this one."""
        nothing: Mask = zeros(slices.shape_ijk, np.bool_)
        return cls(slices.known(), slices.put_into(nothing), others)

    def slices_with_object(self, axis: int) -> set[int]:
        """Return the indices of the slices across an axis that hold confirmed voxels of it."""
        across = tuple(other for other in range(3) if other != axis)
        return set(np.flatnonzero(self.confirmed.any(axis=across)).tolist())

    def alone(self, view: SliceView, index: int) -> NDArray[np.float32]:
        """Return logits (y, x) of a slice of which nothing else is drawn."""
        nothing = np.full((view.height, view.width), -CERTAIN_LOGIT, np.float32)
        return self.forced(view, index, nothing)

    def forced(
        self, view: SliceView, index: int, logits: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return logits (y, x) of a slice that agree with all that is known."""
        if self.others is not None:
            logits = np.where(view.cut(self.others, index), -np.abs(logits) - 1e-3, logits)
        confirmed = np.where(view.cut(self.confirmed, index), CERTAIN_LOGIT, -CERTAIN_LOGIT)
        forced = np.where(view.cut(self.known, index), confirmed, logits)
        return np.asarray(forced, dtype=np.float32)


class ObjectDecoder(SliceDecoder):
    """Decoder of one object's slices by the mask decoder alone, which agrees with what is known."""

    def __init__(self, model: SegSam, encoder: SliceEncoder, known: KnownVoxels) -> None:
        super().__init__(model.with_memory(None, model.card), encoder)
        self.known = known

    def decoded(
        self, features: ImageFeatures, prompts: SlicePrompts, mask_prompt: Tensor | None = None
    ) -> Decoded:
        """Return the mask decoder's output; see `SliceDecoder.decoded`."""
        tensors = prompt_tensors(self.view, prompts, self.encoder.device, mask_prompt)
        return self._model.decode_masks_alone(features, tensors)

    def decode(
        self,
        index: int,
        prompts: SlicePrompts,
        *,
        mask_prompt: Tensor | None = None,
        propagated: bool = False,
    ) -> SliceMask:
        """Return the mask of slice `index`; see `SliceDecoder.decode`."""
        mask = super().decode(index, prompts, mask_prompt=mask_prompt, propagated=propagated)
        return replace(mask, logits=self.known.forced(self.view, index, mask.logits))

    def confirmed(self, index: int, box: Box) -> SliceMask:
        """Return the mask of a slice that was confirmed, in a box around it, to follow from."""
        mask = self.decode(index, SlicePrompts(boxes=(box,)))
        brightness, spread = self._displayed_values(index, mask.logits > 0)
        return replace(mask, brightness=brightness, spread=spread)

    def shaped(
        self, index: int, shape_px: Shape, weight: float, points: tuple[Point, ...] = ()
    ) -> SliceMask | None:
        """Return the mask of slice `index` with a shape (h_px, w_px) as box and, multiplied by
        `weight`, added to the logits; None if the shape is empty.
        """
        shape = to_plane(self.view, shape_px)
        box = box_around(self.view, shape > 0, index)
        if box is None:
            return None
        return self._with_shape(
            SlicePrompts(self._on(index, points), (box,)), index, weight * shape
        )

    def beside(
        self, index: int, previous: SliceMask, weight: float, points: tuple[Point, ...] = ()
    ) -> SliceMask | None:
        """Return the mask of slice `index` from that of its neighbour: a wider box around it, and
        its shape, multiplied by `weight`; None if it is empty.
        """
        mask = previous.logits > 0
        box = box_around(self.view, mask, index, MARGIN_PX)
        if box is None:
            return None
        shape = to_plane(self.view, signed_distance(to_picture(self.view, mask)))
        prompts = SlicePrompts(self._on(index, points), neighbours=(box,))
        return self._with_shape(prompts, index, weight * shape)

    def _on(self, index: int, points: tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple(point for point in points if point.ijk[self.view.axis] == index)

    def _with_shape(self, prompts: SlicePrompts, index: int, shape: Shape) -> SliceMask:
        """Return the mask of a slice with a shape (y, x) added to its logits."""
        mask = super().decode(index, prompts, propagated=True)
        logits = self.known.forced(self.view, index, mask.logits + shape)
        brightness, spread = self._displayed_values(index, logits > 0)
        return replace(mask, logits=logits, brightness=brightness, spread=spread)


def to_picture(view: SliceView, plane: Mask) -> Mask:
    """Return a mask (y, x) in model pixels (h_px, w_px); an object that is there never vanishes."""
    height, width = view.size_px
    share = cv2.resize(plane.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    found = np.asarray(share >= 0.5)
    return found if found.any() else np.asarray(share > 0)


def to_plane(view: SliceView, picture: Shape) -> Shape:
    """Return values (h_px, w_px) of model pixels on the pixels of a plane (y, x)."""
    plane = cv2.resize(picture, (view.width, view.height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(plane, dtype=np.float32)


def box_around(view: SliceView, mask: Mask, index: int, margin_px: float = 0) -> Box | None:
    """Return the box on slice `index` around the parts of a mask (y, x), without tiny ones, with a
    margin in model pixels; None if the mask is empty.
    """
    count, parts, sizes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return None
    areas = sizes[1:, cv2.CC_STAT_AREA]
    large = 1 + np.flatnonzero(areas >= _LEAST_PART * areas.sum())
    kept = np.isin(parts, large)
    rows, columns = np.flatnonzero(kept.any(axis=1)), np.flatnonzero(kept.any(axis=0))
    height_px, width_px = view.size_px
    down = int(np.ceil(margin_px * view.height / height_px - 0.5))
    right = int(np.ceil(margin_px * view.width / width_px - 0.5))
    corners = (
        max(int(columns[0]) - right, 0),
        max(int(rows[0]) - down, 0),
        min(int(columns[-1]) + right, view.width - 1),
        min(int(rows[-1]) + down, view.height - 1),
    )
    return Box(*view.corners_ijk(corners, index))
