"""Propagation: following an object from a slice whose mask is known to its neighbours.

Each slice is prompted by the mask of the slice before it: its bounding box, slightly enlarged, and
its low-resolution logits if the host was trained with mask prompts. (LiteMedSAM and SEG-SAM were
not; with them, mask prompts lower the mean Dice in 3D boxes from 0.804 to 0.759 and from 0.773 to
0.732.) From a 2D box, propagation stops where the object ends, which `StopRule` decides.

All figures are from `docs/lab/performance.md`, "Following an object": mean Dice of eleven organs of
the sample CT, measured with `docs/lab/measurements/propagation.py`.
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
"""Enlargement of the neighbour's box on each side, in model pixels, for a host without a semantic
decoder. MedSAM's boxes were drawn up to 5 px too large in training, never too small (its
`bbox_shift`). With 3 px, LiteMedSAM falls from 0.804 to 0.766 in 3D boxes and from 0.761 to 0.753
from a 2D box."""

MARGIN_PX = 3.0
"""The same for a model with both decoders. It was trained with boxes whose sides move both ways, as
in the paper, and reads a wide box as the box of a larger object. With 6 px it falls from 0.773 to
0.755 in 3D boxes and from 0.746 to 0.642 from a 2D box, and loses tubes such as the aorta."""


@dataclass(frozen=True)
class StopRule:
    """Rule that decides whether a propagated mask is no longer the object.

    Propagation fails in four ways, and each condition detects one of them. All values were chosen
    on the sample CT alone (`docs/lab/performance.md`, "Following an object").
    """

    min_confidence_ratio: float = 0.75
    """Lowest confidence relative to the seed's, for each estimate: predicted IoU, and agreement if
    there are two decoders. Beyond the object's end the model still draws a mask, but rates it
    lower. The comparison is with the seed because checkpoints rate themselves differently: with a
    fixed limit of 0.70, the trained checkpoint ended both kidneys after 20 of 35 slices, and mean
    Dice from a 2D box was 0.545 (LiteMedSAM 0.727). With this rule it is 0.746 (0.761)."""
    min_overlap: float = 0.60
    """Lowest Dice with the neighbour's mask: a mask that jumps has found another structure."""
    max_growth: float = 1.8
    """Largest ratio of areas to the neighbour's mask: a mask that grows faster leaks into the
    surroundings, where an organ does not grow that much from one slice to the next."""
    brightness_shift: float = 40.0
    """Displayed values (0 to 255) by which the mean brightness may differ from the seed's: the mask
    may have slid slowly into a neighbouring tissue, which the comparison with the previous slice
    cannot detect. The seed is the reference for that reason."""
    brightness_spreads: float = 1.5
    """The same limit in standard deviations of the seed's values; the larger limit counts, because
    a heterogeneous organ changes its mean brightness more."""

    def ends(self, seed: SliceMask, previous: SliceMask, current: SliceMask) -> bool:
        """Return True if the object has ended before the slice of `current`."""
        estimates = 1 if current.report.agreement is None else 2
        min_ratio = self.min_confidence_ratio**estimates
        if current.area == 0 or _confidence(current) < min_ratio * _confidence(seed):
            return True
        if current.area > self.max_growth * previous.area:
            return True
        if dice(previous.logits > 0, current.logits > 0) < self.min_overlap:
            return True
        allowed = max(self.brightness_shift, self.brightness_spreads * seed.spread)
        return abs(current.brightness - seed.brightness) > allowed


STOP_RULE = StopRule()


def follow(
    decoder: SliceDecoder,
    seed: SliceMask,
    indices: range,
    *,
    limit: Box | None = None,
    points: tuple[Point, ...] = (),
) -> Iterator[SliceMask]:
    """Yield the masks of `indices`, in this order, starting beside the seed.

    Without a limit, it stops where the object ends. `limit` is a box that the object fills from end
    to end: all indices are decoded then, and after an empty mask the next slice is prompted with
    the box's section. `points` are the user's, each used on its slice.
    """
    previous = seed
    for index in indices:
        if previous.area == 0 and limit is None:
            return
        current = decoder.decode(
            index,
            _prompts_beside(decoder.view, previous, index, limit=limit, points=points),
            mask_prompt=(
                previous.low_res_logits if decoder.takes_mask_prompts and previous.area else None
            ),
            propagated=True,
        )
        if limit is None and STOP_RULE.ends(seed, previous, current):
            return
        yield current
        # An empty mask gives the next slice no box, so the last one that is not empty stays.
        previous = current if current.area else previous


def _prompts_beside(
    view: SliceView,
    previous: SliceMask,
    index: int,
    *,
    limit: Box | None,
    points: tuple[Point, ...],
) -> SlicePrompts:
    """Return the prompts of slice `index`: the box of its neighbour's mask, and its own points."""
    on_slice = tuple(point for point in points if point.ijk[view.axis] == index)
    if previous.area:
        return SlicePrompts(on_slice, neighbours=(neighbour_box(view, previous, index, limit),))
    return SlicePrompts(on_slice, sections=(limit.section(view.axis, index),) if limit else ())


def neighbour_box(view: SliceView, mask: SliceMask, index: int, limit: Box | None = None) -> Box:
    """Return the box on slice `index` that a neighbour's mask gives as prompt.

    It is the tight box of the mask's largest part, enlarged by a margin and cut to `limit`, or the
    section of `limit` if they do not meet. Small parts beside the object would make the box far too
    large.
    """
    rows, columns = _largest_part(mask.logits > 0)
    height_px, width_px = view.size_px
    margin_px = HOST_MARGIN_PX if mask.report.agreement is None else MARGIN_PX
    margin_y = int(np.ceil(margin_px * view.height / height_px - 0.5))
    margin_x = int(np.ceil(margin_px * view.width / width_px - 0.5))
    top, bottom = max(rows.start - margin_y, 0), min(rows.stop - 1 + margin_y, view.height - 1)
    left, right = max(columns.start - margin_x, 0), min(columns.stop - 1 + margin_x, view.width - 1)
    box = Box(*view.corners_ijk((left, top, right, bottom), index))
    if limit is None:
        return box
    section = limit.section(view.axis, index)
    return box.intersection(section) or section


def best_seed(
    view: SliceView, masks: Sequence[SliceMask], prompts: Mapping[int, SlicePrompts]
) -> SliceMask:
    """Return the mask from which to follow the object through a 3D box.

    `masks` were decoded from the box's sections, `prompts` by slice. The score is the model's
    confidence times the overlap of mask and section (IoU of the mask's tight box): a section that
    fits the mask is no larger than the object, while a small mask in a loose section is usually
    another structure. By confidence alone, the trained checkpoint began with another structure in
    the stomach's box (Dice 0; `docs/lab/performance.md`, "Following an object").
    """
    return max(masks, key=lambda mask: _seed_score(view, mask, prompts[mask.index].sections))


def _seed_score(view: SliceView, mask: SliceMask, sections: tuple[Box, ...]) -> float:
    if not mask.area:
        return -1.0
    tight = tight_box(view, mask.logits > 0, mask.index)
    return _confidence(mask) * max((tight.iou(section) for section in sections), default=1.0)


def _confidence(mask: SliceMask) -> float:
    """Return the predicted IoU, times the agreement of the two decoders (paper, section 3.3)."""
    report = mask.report
    return report.predicted_iou * (1.0 if report.agreement is None else report.agreement)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks of one shape; 1 if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else 1.0


def tight_box(view: SliceView, mask: NDArray[np.bool_], index: int) -> Box:
    """Return the tight box on slice `index` of the largest part of a mask (y, x), not empty."""
    rows, columns = _largest_part(mask)
    corners = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
    return Box(*view.corners_ijk(corners, index))


def _largest_part(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return rows and columns of the largest connected part of a mask that is not empty."""
    parts, count = ndimage.label(mask)
    found: list[tuple[slice, slice]] = ndimage.find_objects(parts)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return found[int(sizes.argmax())]
