"""Plan of a prediction across one axis: which slices are prompted, and from where the object is
followed.

2D boxes and points prompt their own slices. With propagation, the object is followed from each
prompted slice halfway to the next one, and from the outermost ones as far as it reaches.

A 3D box without propagation prompts every slice with its section. With propagation (the default),
only one slice near its middle is prompted, and the object is followed from there to both ends of
the box and no further. Sections are loose boxes on most slices: on eleven organs of the sample CT
they reach a mean Dice of 0.667, following 0.773 (`docs/lab/performance.md`, "Following an object").
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

MAX_CANDIDATES = 13
"""Most slices of a 3D box that are decoded to find its seed, where following begins."""

THIRD, SIXTH = 1 / 3, 1 / 6
"""Margins: the share of a 3D box at each end that holds no candidates. With two decoders (SIXTH),
their agreement exposes a wrong mask, so that more of the box can be searched. Without (THIRD),
LiteMedSAM was sure of wrong masks outside the middle third, in the stomach of the sample CT."""


@dataclass(frozen=True)
class FollowedSlices:
    """Slices on one side of a seed, in the order in which the object is followed through them."""

    seed: int
    indices: range


@dataclass(frozen=True)
class AxisPlan:
    """Plan of the slices across one axis.

    `prompted` are prompts by slice index. Each group of `candidates`, prompts by slice index too,
    belongs to one 3D box: all are decoded, and only the slice with the best mask is used. `limit`
    is the 3D box that propagation must not leave. `points` are the user's points, which count on
    their own slices during propagation too.
    """

    axis: int
    prompted: Mapping[int, SlicePrompts]
    candidates: tuple[Mapping[int, SlicePrompts], ...] = ()
    propagate: bool = False
    limit: Box | None = None
    points: tuple[Point, ...] = ()

    @property
    def steps(self) -> int:
        """Progress steps before propagation: each prompted slice, each candidate, each choice."""
        return len(self.prompted) + sum(1 + len(group) for group in self.candidates)

    def slices_to_follow(self, seeds: Collection[int], depth: int) -> Iterator[FollowedSlices]:
        """Yield the slices on each side of each seed, of `depth` slices; none without propagation.

        A slice between two seeds is reached once, from the nearer one.
        """
        if not self.propagate or not seeds:
            return
        ordered = sorted(seeds)
        low = 0 if self.limit is None else self.limit.min_ijk[self.axis]
        high = depth - 1 if self.limit is None else self.limit.max_ijk[self.axis]
        yield FollowedSlices(ordered[0], range(ordered[0] - 1, low - 1, -1))
        for near, far in pairwise(ordered):
            middle = (near + far) // 2
            yield FollowedSlices(near, range(near + 1, middle + 1))
            yield FollowedSlices(far, range(far - 1, middle, -1))
        yield FollowedSlices(ordered[-1], range(ordered[-1] + 1, high + 1))


def plan_axis(
    prompts: Prompts, axis: int, *, propagate: bool | None, margin: float = THIRD
) -> AxisPlan:
    """Return the plan of checked prompts across voxel axis 0, 1 or 2.

    `propagate` None follows in 3D boxes only. `margin` is the share of a 3D box at each end that
    holds no candidates.
    """
    solid = [box for box in prompts.boxes if axis not in box.flat_axes]
    if not solid or propagate is False:
        prompted = {i: prompts.on_slice(axis, i) for i in prompts.slices_along(axis)}
        return AxisPlan(axis, prompted, propagate=bool(propagate), points=prompts.points)
    drawn = {box.min_ijk[axis] for box in prompts.boxes if axis in box.flat_axes}
    clicked = {point.ijk[axis] for point in prompts.points if point.positive}
    prompted = {i: prompts.on_slice(axis, i) for i in sorted(drawn | clicked)}
    candidates = tuple(
        {i: prompts.on_slice(axis, i) for i in middle_slices(box, axis, margin)}
        for box in solid
        if not any(box.spans(axis, i) for i in drawn)
    )
    return AxisPlan(axis, prompted, candidates, True, _hull(solid), prompts.points)


def middle_slices(box: Box, axis: int, margin: float = THIRD) -> tuple[int, ...]:
    """Return at most `MAX_CANDIDATES` slices, evenly spaced over a box without its margins."""
    low, high = box.min_ijk[axis], box.max_ijk[axis]
    left_out = int((high - low + 1) * margin)
    first, last = low + left_out, high - left_out
    count = min(MAX_CANDIDATES, last - first + 1)
    return tuple(int(index) for index in np.linspace(first, last, count).round())


def nearest_slices(index: int, depth: int, count: int) -> Iterator[int]:
    """Yield at most `count` of `depth` slices, nearest to `index` first, to both sides in turn.

    An index outside the volume counts as the nearest one inside.
    """
    middle = min(max(index, 0), depth - 1)
    order = sorted(range(depth), key=lambda other: (abs(other - middle), other < middle))
    yield from order[:count]


def boxes_of_mask(region: Region, axis: int) -> AxisPlan:
    """Return a plan that prompts each slice of a known mask with the tight box of its section."""
    prompted = {}
    for offset in range(region.values.shape[axis]):
        box = region.section(axis, offset).bounding_box
        if box is not None:
            prompted[box.min_ijk[axis]] = SlicePrompts(boxes=(box,))
    return AxisPlan(axis, prompted)


def _hull(boxes: list[Box]) -> Box:
    lows = np.min([box.min_ijk for box in boxes], axis=0).tolist()
    highs = np.max([box.max_ijk for box in boxes], axis=0).tolist()
    return Box((lows[0], lows[1], lows[2]), (highs[0], highs[1], highs[2]))


def first_axis(volume: Volume, axis: AxisChoice, prompts: Prompts) -> int:
    """Return the voxel axis to slice across; with "all", the one to begin with.

    Raises:
        PromptError: an unknown axis, or a 2D box that is only a line on its slices.
    """
    if axis not in ("auto", "i", "j", "k", "all"):
        raise PromptError(f"Expected an axis auto, i, j, k or all, got {axis!r}.")
    number = choose_axis(volume, "auto" if axis == "all" else axis, prompts.flat_axis)
    for box in prompts.boxes:
        if box.flat_axes and number not in box.flat_axes and volume.shape_ijk[number] > 1:
            raise PromptError(
                f"The box {box.min_ijk} ... {box.max_ijk} is flat along "
                f"{'ijk'[box.flat_axes[0]]}, so it is only a line on slices across "
                f"{'ijk'[number]}; slice across {'ijk'[box.flat_axes[0]]} or draw a thicker box."
            )
    return number
