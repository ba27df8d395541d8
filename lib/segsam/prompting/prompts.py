"""Points and boxes in voxel indices: parsed strictly, checked against the volume, cut by slices.

All indices are (i, j, k) in the order of the file, zero-based, and mean voxel centres. A box
includes both of its corners; when it is one voxel thick along an axis it is a 2D box on that slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segsam.errors import PromptError
from segsam.prompting.parsing import (
    MAX_PROMPTS,
    checked_items,
    checked_mapping,
    shown,
    voxel_index,
    whole_from_text,
)
from segsam.types import VoxelIndex

_AXIS_NAMES = "ijk"


@dataclass(frozen=True)
class Point:
    """One click: in the object, or (not positive) outside it."""

    ijk: VoxelIndex
    positive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "ijk", voxel_index(self.ijk, "point"))
        if not isinstance(self.positive, bool):
            raise PromptError(f"A point's positive is true or false; got {self.positive!r}.")


@dataclass(frozen=True)
class Box:
    """A box of voxels, both corners included."""

    min_ijk: VoxelIndex
    max_ijk: VoxelIndex

    def __post_init__(self) -> None:
        object.__setattr__(self, "min_ijk", voxel_index(self.min_ijk, "box corner min_ijk"))
        object.__setattr__(self, "max_ijk", voxel_index(self.max_ijk, "box corner max_ijk"))

    @property
    def flat_axes(self) -> tuple[int, ...]:
        """The axes along which the box is one voxel thick."""
        return tuple(axis for axis in range(3) if self.min_ijk[axis] == self.max_ijk[axis])

    def spans(self, axis: int, index: int) -> bool:
        """The box has voxels on slice `index` of `axis`."""
        return self.min_ijk[axis] <= index <= self.max_ijk[axis]

    def section(self, axis: int, index: int) -> Box:
        """The one-slice-thick part of the box on slice `index` of `axis`."""
        low, high = list(self.min_ijk), list(self.max_ijk)
        low[axis] = high[axis] = index
        return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


@dataclass(frozen=True)
class SlicePrompts:
    """What is prompted on one slice: its points, its 2D boxes, the sections of 3D boxes there, and
    boxes around the masks of neighbouring slices.

    The difference matters: a box drawn on the slice is tight, a section is only a bound, and the
    object need not fill a neighbour's box or stay inside.
    """

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    sections: tuple[Box, ...] = ()
    neighbours: tuple[Box, ...] = ()

    @property
    def all_boxes(self) -> tuple[Box, ...]:
        """Boxes of every kind: drawn ones first, then sections, then neighbours'."""
        return self.boxes + self.sections + self.neighbours

    @property
    def is_lone_point(self) -> bool:
        """Positive points and no box, which a model trained with boxes only answers poorly."""
        return not self.all_boxes and any(point.positive for point in self.points)


@dataclass(frozen=True)
class Prompts:
    """Everything that marks one object."""

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        for kind, values in (("points", self.points), ("boxes", self.boxes)):
            if len(values) > MAX_PROMPTS:
                raise PromptError(f"At most {MAX_PROMPTS} {kind} are accepted; got {len(values)}.")
            object.__setattr__(self, kind, tuple(values))

    @classmethod
    def from_json(cls, value: object) -> Prompts:
        """From {"points": [{"ijk": [i, j, k], "positive": true}], "boxes": [{"min_ijk": ...}]}.

        Unknown keys, missing keys and other types are refused. Raises PromptError naming them.
        """
        both = checked_mapping(value, "prompts", required=(), optional=("points", "boxes"))
        points, boxes = (checked_items(both.get(kind, ()), kind) for kind in ("points", "boxes"))
        return cls(
            tuple(_point_from(item, f"points[{n}]") for n, item in enumerate(points)),
            tuple(_box_from(item, f"boxes[{n}]") for n, item in enumerate(boxes)),
        )

    @classmethod
    def from_text(cls, points: Sequence[str] = (), boxes: Sequence[str] = ()) -> Prompts:
        """From the command line: points "i,j,k" or "i,j,k,-", boxes "i0,j0,k0,i1,j1,k1"."""
        return cls(
            tuple(_point_from_text(text) for text in points),
            tuple(_box_from_text(text) for text in boxes),
        )

    def to_json(self) -> dict[str, list[dict[str, object]]]:
        """What `from_json` reads."""
        return {
            "points": [{"ijk": list(p.ijk), "positive": p.positive} for p in self.points],
            "boxes": [{"min_ijk": list(b.min_ijk), "max_ijk": list(b.max_ijk)} for b in self.boxes],
        }

    def checked(self, shape_ijk: Sequence[int]) -> tuple[Prompts, tuple[str, ...]]:
        """The prompts as they apply to a volume of this shape, and what had to be changed.

        A box partly outside is clipped, and the notes say so. Raises PromptError for no prompt, no
        positive one, a point outside, and a box that is reversed, wholly outside or degenerate.
        """
        if not self.points and not self.boxes:
            raise PromptError("At least one point or box is needed; got none.")
        if not self.boxes and not any(point.positive for point in self.points):
            raise PromptError(
                "At least one positive point or a box is needed; "
                f"got {len(self.points)} negative point(s) only."
            )
        for point in self.points:
            _check_inside(point, shape_ijk)
        pairs = [(box, _clipped(box, shape_ijk)) for box in self.boxes]
        notes = tuple(
            f"The {_described(box)} reaches outside the volume of {_sides(shape_ijk)} voxels "
            f"and was clipped to {clipped.min_ijk} ... {clipped.max_ijk}."
            for box, clipped in pairs
            if box != clipped
        )
        return Prompts(self.points, tuple(clipped for _, clipped in pairs)), notes

    @property
    def flat_axis(self) -> int | None:
        """The one axis along which every box is one voxel thick.

        None without boxes, with a 3D box, and where it is not clear which axis is meant.
        """
        if not self.boxes:
            return None
        shared = set(self.boxes[0].flat_axes).intersection(*(b.flat_axes for b in self.boxes))
        return shared.pop() if len(shared) == 1 else None

    def slices_along(self, axis: int) -> tuple[int, ...]:
        """The slices of an axis that hold a positive point or part of a box, in order.

        A slice with nothing but negative points is not one of them: there is nothing to find.
        """
        indices = {point.ijk[axis] for point in self.points if point.positive}
        for box in self.boxes:
            indices.update(range(box.min_ijk[axis], box.max_ijk[axis] + 1))
        return tuple(sorted(indices))

    def on_slice(self, axis: int, index: int) -> SlicePrompts:
        """The points on a slice, the boxes drawn on it, and the sections of those that cross it."""
        there = [box for box in self.boxes if box.spans(axis, index)]
        return SlicePrompts(
            tuple(point for point in self.points if point.ijk[axis] == index),
            tuple(box for box in there if axis in box.flat_axes),
            tuple(box.section(axis, index) for box in there if axis not in box.flat_axes),
        )


def _check_inside(point: Point, shape_ijk: Sequence[int]) -> None:
    for axis, (value, side) in enumerate(zip(point.ijk, shape_ijk, strict=True)):
        if not 0 <= value < side:
            raise PromptError(
                f"The point {point.ijk} is outside the volume of {_sides(shape_ijk)} voxels: "
                f"{_AXIS_NAMES[axis]} must be 0 to {side - 1}."
            )


def _clipped(box: Box, shape_ijk: Sequence[int]) -> Box:
    for axis in range(3):
        low, high, side = box.min_ijk[axis], box.max_ijk[axis], shape_ijk[axis]
        if low > high:
            raise PromptError(
                f"The {_described(box)} is reversed along {_AXIS_NAMES[axis]}: "
                f"min {low} is above max {high}."
            )
        if high < 0 or low >= side:
            raise PromptError(
                f"The {_described(box)} lies wholly outside the volume of "
                f"{_sides(shape_ijk)} voxels."
            )
    low_i, low_j, low_k = (max(value, 0) for value in box.min_ijk)
    high_i, high_j, high_k = (
        min(value, side - 1) for value, side in zip(box.max_ijk, shape_ijk, strict=True)
    )
    clipped = Box((low_i, low_j, low_k), (high_i, high_j, high_k))
    _check_not_degenerate(box, clipped, shape_ijk)
    return clipped


def _check_not_degenerate(box: Box, clipped: Box, shape_ijk: Sequence[int]) -> None:
    """One thin axis makes a 2D box; two make a line, unless the volume itself is as thin there."""
    flat = clipped.flat_axes
    if len(flat) >= 2 and any(shape_ijk[axis] > 1 for axis in flat):
        named = " and ".join(_AXIS_NAMES[axis] for axis in flat)
        inside = "" if clipped == box else " (within the volume)"
        raise PromptError(
            f"The {_described(box)} is degenerate{inside}: it is one voxel thick along {named}; "
            "a 2D box is thin along one axis only."
        )


def _described(box: Box) -> str:
    return f"box {box.min_ijk} ... {box.max_ijk}"


def _sides(shape_ijk: Sequence[int]) -> str:
    return "x".join(str(side) for side in shape_ijk)


def _point_from(value: object, what: str) -> Point:
    item = checked_mapping(value, what, required=("ijk",), optional=("positive",))
    positive = item.get("positive", True)
    if not isinstance(positive, bool):
        raise PromptError(f"{what}.positive must be true or false; got {shown(positive)}.")
    return Point(voxel_index(item["ijk"], f"{what}.ijk"), positive)


def _box_from(value: object, what: str) -> Box:
    item = checked_mapping(value, what, required=("min_ijk", "max_ijk"), optional=())
    return Box(
        voxel_index(item["min_ijk"], f"{what}.min_ijk"),
        voxel_index(item["max_ijk"], f"{what}.max_ijk"),
    )


def _point_from_text(text: str) -> Point:
    parts = [part.strip() for part in text.split(",")]
    positive = parts[3:] in ([], ["+"])
    if len(parts) not in (3, 4) or parts[3:] not in ([], ["+"], ["-"]):
        raise PromptError(f"A point is written i,j,k or i,j,k,- (negative); got {shown(text)}.")
    i, j, k = (whole_from_text(part, text) for part in parts[:3])
    return Point((i, j, k), positive)


def _box_from_text(text: str) -> Box:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 6:
        raise PromptError(f"A box is written i0,j0,k0,i1,j1,k1; got {shown(text)}.")
    i0, j0, k0, i1, j1, k1 = (whole_from_text(part, text) for part in parts)
    return Box((i0, j0, k0), (i1, j1, k1))
