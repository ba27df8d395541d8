"""Boxes of what was found on slices, and which of them can be of one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from segsam.imaging.slices import SliceView
from segsam.prompting.prompts import Box

_SAME_PLACE = 0.1
"""IoU of two boxes, seen along the axis, from which they can be of one object."""


@dataclass(frozen=True)
class Proposal:
    """A box that both decoders agree on, on one slice; `certainty` is that of its mask."""

    category: int
    index: int
    box: Box
    certainty: float


def inner_slices(depth: int, count: int) -> tuple[int, ...]:
    """At most `count` of `depth` slices, each in the middle of an equal share of them."""
    return inner_of(range(depth), count)


def inner_of(items: Sequence[int], count: int) -> tuple[int, ...]:
    """At most `count` of the items, each in the middle of an equal share of them."""
    if not items:
        return ()
    places = (np.arange(min(count, len(items))) + 0.5) * len(items) / min(count, len(items))
    return tuple(items[int(place)] for place in places)


def box_of(view: SliceView, mask: NDArray[np.bool_], index: int) -> Box | None:
    """The tight box on slice `index` of the largest part of a mask (m, m) over the padded square;
    None when nothing of it lies in the picture, or only a line.
    """
    plane = view.logits_to_plane(torch.from_numpy(np.where(mask, 1.0, -1.0))).numpy() > 0
    parts, count = ndimage.label(plane)
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    rows, columns = ndimage.find_objects(parts)[int(sizes.argmax())]
    if (rows.stop - rows.start == 1 < view.height) or (
        columns.stop - columns.start == 1 < view.width
    ):
        return None
    rectangle = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
    return Box(*view.corners_ijk(rectangle, index))


def chain_of(proposals: Sequence[Proposal], view: SliceView) -> tuple[Proposal, ...]:
    """The surest proposal and, outwards from it, those whose box lies behind the last one's."""
    ordered = sorted(proposals, key=lambda one: one.index)
    surest = max(range(len(ordered)), key=lambda place: ordered[place].certainty)
    kept = [ordered[surest]]
    for side in (ordered[:surest][::-1], ordered[surest + 1 :]):
        last = ordered[surest]
        for one in side:
            if box_iou(view, last.box, one.box) >= _SAME_PLACE:
                kept.append(one)
                last = one
    return tuple(sorted(kept, key=lambda one: one.index))


def box_iou(view: SliceView, first: Box, second: Box) -> float:
    """Of two boxes as they are seen along the view's axis, whatever their slices."""
    one = view.rectangle(first.min_ijk, first.max_ijk)
    other = view.rectangle(second.min_ijk, second.max_ijk)
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    both = max(width, 0) * max(height, 0)
    areas = [(r[2] - r[0] + 1) * (r[3] - r[1] + 1) for r in (one, other)]
    return both / (sum(areas) - both)
