"""Boxes of proposed objects on slices, and the choice of those that belong to one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.imaging.slices import SliceView
from segsam.prediction.propagation import tight_box
from segsam.prompting.prompts import Box

_SAME_OBJECT_IOU = 0.1
"""Lowest IoU of two boxes, projected along the axis, at which they can be of one object."""


@dataclass(frozen=True)
class Proposal:
    """Box of an object on one slice that both decoders agree on, with the certainty of its mask."""

    category: int
    index: int
    box: Box
    certainty: float


def centres_of_shares(items: Sequence[int], count: int) -> tuple[int, ...]:
    """Return at most `count` items, evenly spread: the middle one of each equal part."""
    if not items:
        return ()
    count = min(count, len(items))
    positions = (np.arange(count) + 0.5) * len(items) / count
    return tuple(items[int(position)] for position in positions)


def box_of_mask(view: SliceView, mask: NDArray[np.bool_], index: int) -> Box | None:
    """Return the tight box on slice `index` of the largest part of a mask.

    The mask (m, m) covers the padded square. None if the part lies in the padding or is only a
    line.
    """
    plane = view.logits_to_plane(torch.from_numpy(np.where(mask, 1.0, -1.0))).numpy() > 0
    if not plane.any():
        return None
    box = tight_box(view, plane, index)
    return None if is_line(box, view) else box


def is_line(box: Box, view: SliceView) -> bool:
    """Return True if a box on a slice is one voxel wide, where the slice is wider."""
    return any(view.shape_ijk[axis] > 1 for axis in box.flat_axes if axis != view.axis)


def chain_of(proposals: Sequence[Proposal], axis: int) -> tuple[Proposal, ...]:
    """Return the proposals of one object, ordered by slice: the most certain one, and from it in
    both directions each one whose box overlaps the previous box.
    """
    ordered = sorted(proposals, key=lambda one: one.index)
    best = max(range(len(ordered)), key=lambda position: ordered[position].certainty)
    chain = [ordered[best]]
    for side in (ordered[:best][::-1], ordered[best + 1 :]):
        last = ordered[best]
        for one in side:
            if projected_iou(last.box, one.box, axis) >= _SAME_OBJECT_IOU:
                chain.append(one)
                last = one
    return tuple(sorted(chain, key=lambda one: one.index))


def projected_iou(first: Box, second: Box, axis: int) -> float:
    """Return the IoU of two boxes projected along an axis, whatever their slices."""
    return first.section(axis, 0).iou(second.section(axis, 0))
