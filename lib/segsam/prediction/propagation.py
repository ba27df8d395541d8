"""From a slice whose mask is known to its neighbours, until the object ends.

Each slice is prompted by the mask of the one before it: its bounding box, a little widened, and its
low-resolution logits if the host was trained with mask prompts (to LiteMedSAM, which was not, they
do harm). The walk stops by itself where the object ends; what "ends" means is `StopRule`, whose
numbers were chosen on real organs (`docs/performance.md` tells how).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segsam.imaging.slices import SliceView
from segsam.prediction.decoding import SliceDecoder, SliceMask
from segsam.prompting.prompts import Box, Point, SlicePrompts

HOST_MARGIN_PX = 6.0
"""How far the neighbour's box is widened on each side, in model pixels, for a host as it comes:
MedSAM's boxes were drawn up to 5 px too large in training, never too small (its `bbox_shift`)."""
MARGIN_PX = 3.0
"""The same for a model with both decoders, which learnt from boxes that move both ways, as the
paper's do: a wide one is to it the box of something larger (`docs/performance.md`)."""


@dataclass(frozen=True)
class StopRule:
    """When a propagated mask is no longer the object.

    It ends where the model doubts its own mask more than it did the seed's (`least_share` of its
    own estimate, and of the agreement of both decoders where there are two), where the mask no
    longer lies on its neighbour (`least_overlap`, Dice), where it grows from one slice to the next
    by more than an organ does (`growth`, a ratio of areas), or where its mean brightness (displayed
    values, 0 to 255) has left the seed's by more than `shift` and by more than `spreads` of the
    seed's standard deviations.
    """

    least_share: float = 0.75
    least_overlap: float = 0.60
    growth: float = 1.8
    shift: float = 40.0
    spreads: float = 1.5

    def ends(self, seed: SliceMask, before: SliceMask, now: SliceMask) -> bool:
        """Whether the object has ended before the slice of `now`."""
        estimates = 1 if now.report.agreement is None else 2
        least = self.least_share**estimates
        if now.area == 0 or _doubtless(now) < least * _doubtless(seed):
            return True
        if now.area > self.growth * before.area:
            return True
        if overlap(before.logits > 0, now.logits > 0) < self.least_overlap:
            return True
        return abs(now.brightness - seed.brightness) > max(self.shift, self.spreads * seed.spread)


DEFAULT_RULE = StopRule()


def walk(
    decoder: SliceDecoder,
    seed: SliceMask,
    indices: range,
    *,
    limit: Box | None = None,
    points: tuple[Point, ...] = (),
    rule: StopRule = DEFAULT_RULE,
) -> Iterator[SliceMask]:
    """The masks of `indices`, in walking order from beside the seed.

    Without a limit the walk ends where the object does. `limit` is a box that the object is known
    to fill from end to end: the walk then goes through all indices, and the box's section replaces
    a neighbour whose mask is empty. `points` are the user's own, each used on its slice.
    """
    before = seed
    for index in indices:
        if before.area == 0 and limit is None:
            return
        now = decoder.decode(
            index,
            _prompts_beside(decoder.view, before, index, limit=limit, points=points),
            mask_prompt=before.low_res if decoder.takes_masks and before.area else None,
            propagated=True,
        )
        if limit is None and rule.ends(seed, before, now):
            return
        yield now
        before = now if now.area else before


def _prompts_beside(
    view: SliceView,
    before: SliceMask,
    index: int,
    *,
    limit: Box | None,
    points: tuple[Point, ...],
) -> SlicePrompts:
    own = tuple(point for point in points if point.ijk[view.axis] == index)
    if before.area:
        return SlicePrompts(own, neighbours=(neighbour_box(view, before, index, limit),))
    return SlicePrompts(own, sections=(limit.section(view.axis, index),) if limit else ())


def neighbour_box(view: SliceView, mask: SliceMask, index: int, limit: Box | None = None) -> Box:
    """The box on slice `index` around the largest part of a neighbour's mask, a margin wider,
    within `limit`.
    """
    rows, columns = _largest_part(mask.logits > 0)
    height_px, width_px = view.size_px
    margin_px = HOST_MARGIN_PX if mask.report.agreement is None else MARGIN_PX
    margin_y = int(np.ceil(margin_px * view.height / height_px - 0.5))
    margin_x = int(np.ceil(margin_px * view.width / width_px - 0.5))
    top, bottom = max(rows.start - margin_y, 0), min(rows.stop - 1 + margin_y, view.height - 1)
    left, right = max(columns.start - margin_x, 0), min(columns.stop - 1 + margin_x, view.width - 1)
    box = Box(*view.corners_ijk((left, top, right, bottom), index))
    return box if limit is None else _within(box, limit, view.axis)


def most_trusted(
    view: SliceView, tried: Sequence[SliceMask], choice: Mapping[int, SlicePrompts]
) -> SliceMask:
    """Of masks drawn in the sections of a 3D box, the one to follow the object from; `choice` has
    the prompts by slice.
    """
    return max(tried, key=lambda mask: _trust(view, mask, choice[mask.report.index].sections))


def _trust(view: SliceView, mask: SliceMask, sections: tuple[Box, ...]) -> float:
    """How likely a mask drawn in the section of a 3D box is of the object that the box is around.

    What the model thinks of it, times how well the mask fills a section (IoU of the tight box of
    its largest part): a section as tight as this is no larger than the object, and a smaller thing
    in a loose one is seldom meant.
    """
    if not mask.area:
        return -1.0
    rows, columns = _largest_part(mask.logits > 0)
    corners = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
    tight = Box(*view.corners_ijk(corners, mask.report.index))
    return _doubtless(mask) * max((_box_iou(tight, one) for one in sections), default=1.0)


def _doubtless(mask: SliceMask) -> float:
    """The model's own estimate of its mask, times how well its two decoders agree, if it has two
    (paper, section 3.3).
    """
    report = mask.report
    return report.predicted_iou * (1.0 if report.agreement is None else report.agreement)


def _box_iou(first: Box, second: Box) -> float:
    """Of the voxels of two boxes."""
    lows = np.maximum(first.min_ijk, second.min_ijk)
    highs = np.minimum(first.max_ijk, second.max_ijk)
    both = int(np.maximum(highs - lows + 1, 0).prod())
    sizes = [np.subtract(one.max_ijk, one.min_ijk) + 1 for one in (first, second)]
    return both / (sum(int(size.prod()) for size in sizes) - both)


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice of two masks of one shape; 1 when both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else 1.0


def _largest_part(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    parts, count = ndimage.label(mask)
    found: list[tuple[slice, slice]] = ndimage.find_objects(parts)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return found[int(sizes.argmax())]


def _within(box: Box, limit: Box, axis: int) -> Box:
    """The part of a one-slice box inside the limit's section; the section itself when they do not
    meet.
    """
    lows, highs = list(box.min_ijk), list(box.max_ijk)
    section = limit.section(axis, box.min_ijk[axis])
    for other in range(3):
        lows[other] = max(lows[other], section.min_ijk[other])
        highs[other] = min(highs[other], section.max_ijk[other])
    if any(low > high for low, high in zip(lows, highs, strict=True)):
        return section
    return Box((lows[0], lows[1], lows[2]), (highs[0], highs[1], highs[2]))
