"""Filling of a volume with an object, slice by slice, from the confirmed planes across one axis.

Between two planes, the interpolated shape is the box and, in part, the mask. Outside, each slice is
drawn from the one before it, until the object ends: where it no longer looks like the object, where
the mask jumps or leaks, or where a plane is confirmed as empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from segsam.prediction.completion.confirmed import Mask
from segsam.prediction.completion.drawing import (
    CERTAIN_LOGIT,
    ObjectDecoder,
    box_around,
    to_picture,
)
from segsam.prediction.completion.likeness import Likeness
from segsam.prediction.completion.shapes import between
from segsam.prediction.decoding import SliceMask
from segsam.prediction.propagation import StopRule
from segsam.prediction.result import SliceReport
from segsam.prompting.prompts import Point

FOLLOWED_SHAPE_WEIGHT, NEAR_SHAPE_WEIGHT = 0.4, 0.8
"""Weights of the neighbour's shape where an object is followed: anywhere, and what is added beside
the confirmed slice; the latter falls with the distance, because errors add up."""
SEVERAL = 3
"""Planes from which on they tell how far the object reaches: a vertebra would be followed into the
next ones, which look like it."""
LEAST_LIKENESS = 0.2
"""Likeness to the object below which it has ended (docs/lab/completion.md)."""
MAX_REGROWTH = 2.0
"""Largest ratio of the area to the smallest one on the way: an object that has tapered off and
widens again has leaked into its surroundings."""
END_RULE = StopRule(
    min_confidence_ratio=0.65,
    min_overlap=0.4,
    brightness_shift=90.0,
    brightness_spreads=3.0,
)
"""Looser than that of prompts alone: confirmed slices tell what the object looks like."""


@dataclass(frozen=True, eq=False)
class ConfirmedPlane:
    """Confirmed plane as the model sees it: as displayed (y, x), and in model pixels."""

    index: int
    shown: Mask
    picture: Mask

    @property
    def is_empty(self) -> bool:
        """True if the object is not on it."""
        return not self.shown.any()


@dataclass(frozen=True, eq=False)
class DrawnSlice:
    """Mask of a slice, and how certain it is, 0 to 1."""

    mask: SliceMask
    certainty: float


class Drawing:
    """Drawing of all slices across the main axis, from planes in anatomical order.

    Args:
        decoder: draws single slices.
        planes: confirmed, at least one with the object.
        likeness: to the object on the planes.
        shape_weight: of the interpolated shape.
        points: clicks on other slices.
    """

    def __init__(
        self,
        decoder: ObjectDecoder,
        planes: list[ConfirmedPlane],
        likeness: Likeness,
        shape_weight: float,
        points: tuple[Point, ...],
    ) -> None:
        self._decoder = decoder
        self._view = decoder.view
        self._planes = planes
        self._likeness = likeness
        self._shape_weight = shape_weight
        self._points = points
        filled = [plane for plane in planes if not plane.is_empty]
        self._usual = float(np.mean([self._like(one.index, one.picture) for one in filled]))

    @property
    def planned(self) -> int:
        """Number of slices that are drawn in any case; where the object ends is not known yet."""
        gaps = (abs(second.index - first.index) - 1 for first, second in self._gaps())
        return len(self._planes) + sum(gaps)

    def slices(self) -> Iterator[DrawnSlice]:
        """Yield the confirmed planes, then the slices between them and outside."""
        seeds = {plane.index: self._seed(plane) for plane in self._planes}
        for seed in seeds.values():
            yield DrawnSlice(seed, 1.0)
        for first, second in self._gaps():
            yield from self._between(first, second)
        for index, seed in seeds.items():
            for side in self._open_sides(index, seeds) if seed.area else ():
                self._decoder.encoder.prefetch(side)
                yield from self._followed(seed, side)

    def _gaps(self) -> Iterator[tuple[ConfirmedPlane, ConfirmedPlane]]:
        """Yield two neighbouring planes that both show the object."""
        for first, second in pairwise(self._planes):
            if not first.is_empty and not second.is_empty:
                yield first, second

    def _open_sides(self, index: int, seeds: dict[int, SliceMask]) -> Iterator[range]:
        """Yield the slices beside a plane, up to a plane without the object or the volume's end.

        Outside of several planes, no farther than these are apart.
        """
        filled = [at for at, seed in seeds.items() if seed.area]
        lowest, highest = -1, self._view.depth
        if len(filled) >= SEVERAL:
            span = max(filled) - min(filled)
            lowest, highest = max(min(filled) - span - 1, -1), min(max(filled) + span + 1, highest)
        lower = max((other for other in seeds if other < index), default=None)
        upper = min((other for other in seeds if other > index), default=None)
        if lower is None or not seeds[lower].area:
            yield range(index - 1, max(lowest, -1 if lower is None else lower), -1)
        if upper is None or not seeds[upper].area:
            yield range(index + 1, min(highest, self._view.depth if upper is None else upper))

    def _seed(self, plane: ConfirmedPlane) -> SliceMask:
        """Return a confirmed plane as a mask that can be followed."""
        box = box_around(self._view, plane.shown, plane.index)
        if box is not None:
            return self._decoder.confirmed(plane.index, box)
        logits = np.full(plane.shown.shape, -CERTAIN_LOGIT, np.float32)
        report = SliceReport(plane.index, self._view.axis, 1.0)
        return SliceMask(logits, torch.zeros(1, 1, 1, 1), report)

    def _between(self, first: ConfirmedPlane, second: ConfirmedPlane) -> Iterator[DrawnSlice]:
        low, high = sorted((first.index, second.index))
        indices = range(low + 1, high)
        self._decoder.encoder.prefetch(indices)
        for index in indices:
            share = abs(index - first.index) / (high - low)
            shape = between(first.picture, second.picture, share)
            mask = self._decoder.shaped(index, shape, self._shape_weight, self._points)
            if mask is not None:
                yield DrawnSlice(mask, self._certainty(mask, self._like_mask(mask)))

    def _followed(self, seed: SliceMask, indices: range) -> Iterator[DrawnSlice]:
        """Yield the masks beside a confirmed one until the object ends: each is drawn in a wider
        box around the one before it, whose shape holds it.

        It does not end before the last slice on which a plane across another axis shows it.
        """
        shown = self._decoder.known.slices_with_object(self._view.axis) & set(indices)
        left, previous, smallest = len(shown), seed, seed.area
        for index in indices:
            weight = FOLLOWED_SHAPE_WEIGHT + NEAR_SHAPE_WEIGHT / abs(index - seed.index)
            mask = self._decoder.beside(index, previous, weight, self._points)
            if mask is None:
                return
            left -= index in shown
            likeness = self._like_mask(mask)
            has_leaked = mask.area > MAX_REGROWTH * smallest
            has_ended = likeness < LEAST_LIKENESS or END_RULE.ends(seed, previous, mask)
            if (has_ended or has_leaked) and not left and index not in shown:
                return
            yield DrawnSlice(mask, self._certainty(mask, likeness))
            previous = mask if mask.area else previous
            smallest = min(smallest, previous.area)

    def _like_mask(self, mask: SliceMask) -> float:
        inside = mask.logits > 0
        return self._like(mask.index, to_picture(self._view, inside)) if inside.any() else 0.0

    def _like(self, index: int, picture: Mask) -> float:
        return self._likeness.of(self._decoder.features(index), picture)

    def _certainty(self, mask: SliceMask, likeness: float) -> float:
        """Return the Dice that a mask would have if its probabilities were right, times its
        likeness as a share of that of the confirmed slices.
        """
        probability = 1 / (1 + np.exp(-np.clip(mask.logits, -30, 30)))
        inside = mask.logits > 0
        total = float(probability.sum()) + float(inside.sum())
        expected = 2 * float(probability[inside].sum()) / total
        return expected * min(max(likeness / max(self._usual, LEAST_LIKENESS), 0.0), 1.0)
