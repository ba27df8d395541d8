"""Which slices of an axis are prompted with what, and from where the object is followed.

2D boxes and points prompt their own slices. With propagation the object is followed from each of
them halfway to the next, and from the outermost ones as far as it reaches.

A 3D box either prompts every slice with its section (no propagation), or only one slice, from which
the object is followed to both ends of the box and no further: that one of its middle whose mask
the model trusts most. The second is the default, because a section is a loose box on most
slices (`docs/performance.md` has the figures).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from segsam.errors import PromptError
from segsam.imaging.slices import choose_axis
from segsam.imaging.volume import Volume
from segsam.prediction.labels import Region
from segsam.prompting.prompts import Box, Point, Prompts, SlicePrompts
from segsam.types import AxisChoice

MOST_CHOICES = 13
THIRD, SIXTH = 1 / 3, 1 / 6
"""Margins of what counts as the middle of a 3D box. Where two decoders vouch for a mask, more of
the box can be looked at; LiteMedSAM alone trusted slices further out wrongly (a stomach)."""


@dataclass(frozen=True)
class Walk:
    """From the prompted slice `seed` over `indices`, in that order, inside `limit` if any."""

    seed: int
    indices: range
    limit: Box | None


@dataclass(frozen=True)
class AxisPlan:
    """What to prompt across one axis.

    `prompted` are slices by index; of each group in `choices` only the best slice becomes one more
    of them. `limit` is the 3D box that propagation must not leave.
    """

    axis: int
    prompted: Mapping[int, SlicePrompts]
    choices: tuple[Mapping[int, SlicePrompts], ...] = ()
    propagate: bool = False
    limit: Box | None = None
    points: tuple[Point, ...] = ()

    def walks(self, seeds: Collection[int], depth: int) -> Iterator[Walk]:
        """The walks from the seeds in a volume of `depth` slices; none without propagation."""
        if not self.propagate or not seeds:
            return
        ordered = sorted(seeds)
        low = 0 if self.limit is None else self.limit.min_ijk[self.axis]
        high = depth - 1 if self.limit is None else self.limit.max_ijk[self.axis]
        yield Walk(ordered[0], range(ordered[0] - 1, low - 1, -1), self.limit)
        for near, far in pairwise(ordered):
            middle = (near + far) // 2
            yield Walk(near, range(near + 1, middle + 1), self.limit)
            yield Walk(far, range(far - 1, middle, -1), self.limit)
        yield Walk(ordered[-1], range(ordered[-1] + 1, high + 1), self.limit)


def plan_axis(
    prompts: Prompts, axis: int, *, propagate: bool | None, margin: float = THIRD
) -> AxisPlan:
    """The plan of checked prompts across voxel axis 0, 1 or 2; `propagate` None is for 3D boxes
    only, and `margin` the share of them at both ends where they are not followed from.
    """
    solid = [box for box in prompts.boxes if axis not in box.flat_axes]
    if not solid or propagate is False:
        prompted = {i: prompts.on_slice(axis, i) for i in prompts.slices_along(axis)}
        return AxisPlan(axis, prompted, propagate=bool(propagate), points=prompts.points)
    drawn = {box.min_ijk[axis] for box in prompts.boxes if axis in box.flat_axes}
    clicked = {point.ijk[axis] for point in prompts.points if point.positive}
    prompted = {i: prompts.on_slice(axis, i) for i in sorted(drawn | clicked)}
    choices = tuple(
        {i: prompts.on_slice(axis, i) for i in middle_slices(box, axis, margin)}
        for box in solid
        if not any(box.spans(axis, i) for i in drawn)
    )
    return AxisPlan(axis, prompted, choices, True, _hull(solid), prompts.points)


def middle_slices(box: Box, axis: int, margin: float = THIRD) -> tuple[int, ...]:
    """At most `MOST_CHOICES` slices, evenly spaced over a box without its margins."""
    low, high = box.min_ijk[axis], box.max_ijk[axis]
    left_out = int((high - low + 1) * margin)
    first, last = low + left_out, high - left_out
    count = min(MOST_CHOICES, last - first + 1)
    return tuple(int(index) for index in np.linspace(first, last, count).round())


def outward(index: int, depth: int, most: int) -> Iterator[int]:
    """At most `most` of `depth` slices, from `index` (brought into the volume) to both sides."""
    middle = min(max(index, 0), depth - 1)
    order = sorted(range(depth), key=lambda other: (abs(other - middle), other < middle))
    yield from order[:most]


def boxes_of_mask(region: Region, axis: int) -> AxisPlan:
    """Every slice that a known mask crosses, prompted with the tight box of its section."""
    prompted = {}
    found = np.moveaxis(region.values > 0.5, axis, 0)
    others = [a for a in range(3) if a != axis]
    for offset in np.flatnonzero(found.any(axis=(1, 2))):
        rows, columns = np.nonzero(found[offset])
        lows, highs = [0, 0, 0], [0, 0, 0]
        lows[axis] = highs[axis] = region.start_ijk[axis] + int(offset)
        for other, hits in zip(others, (rows, columns), strict=True):
            lows[other] = region.start_ijk[other] + int(hits.min())
            highs[other] = region.start_ijk[other] + int(hits.max())
        box = Box((lows[0], lows[1], lows[2]), (highs[0], highs[1], highs[2]))
        prompted[lows[axis]] = SlicePrompts((), (box,))
    return AxisPlan(axis, prompted)


def _hull(boxes: list[Box]) -> Box:
    lows = np.min([box.min_ijk for box in boxes], axis=0).tolist()
    highs = np.max([box.max_ijk for box in boxes], axis=0).tolist()
    return Box((lows[0], lows[1], lows[2]), (highs[0], highs[1], highs[2]))


def first_axis(volume: Volume, axis: AxisChoice, prompts: Prompts) -> int:
    """The axis to slice across (first); a 2D box must be flat along it, or it would be a line
    there.
    """
    if axis not in ("auto", "i", "j", "k", "all"):
        raise PromptError(f"An axis is auto, i, j, k or all; got {axis!r}.")
    number = choose_axis(volume, "auto" if axis == "all" else axis, prompts.flat_axis)
    for box in prompts.boxes:
        if box.flat_axes and number not in box.flat_axes and volume.shape_ijk[number] > 1:
            raise PromptError(
                f"The box {box.min_ijk} ... {box.max_ijk} is flat along "
                f"{'ijk'[box.flat_axes[0]]}, so it is only a line on slices across "
                f"{'ijk'[number]}; slice across {'ijk'[box.flat_axes[0]]} or draw a thicker box."
            )
    return number
