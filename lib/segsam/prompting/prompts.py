"""Points and boxes in voxel indices: strict parsing, checks against the volume, sections by slice.

All indices are (i, j, k) in the order of the file, zero-based, at voxel centres. A box includes
both of its corners. A box that is one voxel thick along an axis is a 2D box on that slice. The
model knows positive boxes only; what is inside a negative one is left out of the mask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsam.errors import PromptError
from segsam.imaging.voxels import shape_text
from segsam.prompting.parsing import (
    check_count,
    checked_items,
    checked_mapping,
    short_repr,
    voxel_index,
    whole_numbers,
)
from segsam.types import VoxelIndex

_AXIS_NAMES = "ijk"


@dataclass(frozen=True)
class Point:
    """Click inside the object, or outside it if not positive."""

    ijk: VoxelIndex
    positive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "ijk", voxel_index(self.ijk, "point"))
        if not isinstance(self.positive, bool):
            raise PromptError(
                f"Expected true or false as a point's positive, got {self.positive!r}."
            )


@dataclass(frozen=True)
class Box:
    """Box of voxels, both corners included."""

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
        """Return True if the box has voxels on slice `index` of `axis`."""
        return self.min_ijk[axis] <= index <= self.max_ijk[axis]

    def contains(self, ijk: VoxelIndex) -> bool:
        """Return True if the voxel is inside the box."""
        return all(self.spans(axis, index) for axis, index in enumerate(ijk))

    def section(self, axis: int, index: int) -> Box:
        """Return the one-slice-thick part of the box on slice `index` of `axis`."""
        low, high = list(self.min_ijk), list(self.max_ijk)
        low[axis] = high[axis] = index
        return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def intersection(self, other: Box) -> Box | None:
        """Return the voxels that both boxes share; None if there are none."""
        low_i, low_j, low_k = map(max, self.min_ijk, other.min_ijk)
        high_i, high_j, high_k = map(min, self.max_ijk, other.max_ijk)
        if low_i > high_i or low_j > high_j or low_k > high_k:
            return None
        return Box((low_i, low_j, low_k), (high_i, high_j, high_k))

    def iou(self, other: Box) -> float:
        """Return the intersection over union with another box, in voxels."""
        shared = self.intersection(other)
        both = 0 if shared is None else shared.voxels
        return both / (self.voxels + other.voxels - both)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(
            high - low + 1 for low, high in zip(self.min_ijk, self.max_ijk, strict=True)
        )


@dataclass(frozen=True)
class SlicePrompts:
    """Prompts on one slice: points, 2D boxes, sections of 3D boxes, and neighbours' boxes.

    The three kinds of boxes mean different things to the model. A box drawn on the slice is tight.
    A section of a 3D box only bounds the object. The box of a neighbouring slice's mask is near the
    object, which may fill only part of it or reach beyond it.
    """

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    sections: tuple[Box, ...] = ()
    neighbours: tuple[Box, ...] = ()

    @property
    def all_boxes(self) -> tuple[Box, ...]:
        """Boxes of every kind: drawn ones, then sections, then neighbours' boxes."""
        return self.boxes + self.sections + self.neighbours

    @property
    def is_lone_point(self) -> bool:
        """True for positive points without a box, where a model trained with boxes only is poor."""
        return not self.all_boxes and any(point.positive for point in self.points)


@dataclass(frozen=True)
class Prompts:
    """Points and boxes that mark one object.

    No voxel inside one of the `negative_boxes` belongs to the object. They prompt no slice.
    """

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    negative_boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        for kind in ("points", "boxes", "negative_boxes"):
            values = getattr(self, kind)
            check_count(values, kind.replace("_", " "))
            object.__setattr__(self, kind, tuple(values))

    @classmethod
    def from_json(cls, value: object) -> Prompts:
        """Parse {"points": [{"ijk": [i, j, k], "positive": true}], "boxes": [{"min_ijk": ...}]}.

        A box may have "positive", too.

        Raises:
            PromptError: an unknown or missing key, or a value of another type.
        """
        both = checked_mapping(value, "prompts", required=(), optional=("points", "boxes"))
        points, boxes = (checked_items(both.get(kind, ()), kind) for kind in ("points", "boxes"))
        return cls._with_signed(
            tuple(_point_from(item, f"points[{n}]") for n, item in enumerate(points)),
            [_box_from(item, f"boxes[{n}]") for n, item in enumerate(boxes)],
        )

    @classmethod
    def from_text(cls, points: Sequence[str] = (), boxes: Sequence[str] = ()) -> Prompts:
        """Parse points "i,j,k" and boxes "i0,j0,k0,i1,j1,k1", both negative with ",-" at the end.

        Raises:
            PromptError: another form.
        """
        return cls._with_signed(
            tuple(_point_from_text(text) for text in points),
            [_box_from_text(text) for text in boxes],
        )

    @classmethod
    def _with_signed(cls, points: tuple[Point, ...], boxes: Sequence[tuple[Box, bool]]) -> Prompts:
        """Return prompts of points and of boxes with their signs."""
        negative = tuple(box for box, positive in boxes if not positive)
        return cls(points, tuple(box for box, positive in boxes if positive), negative)

    def to_json(self) -> dict[str, list[dict[str, object]]]:
        """Return the JSON values that `from_json` reads."""
        negative = [{**_box_json(box), "positive": False} for box in self.negative_boxes]
        return {
            "points": [{"ijk": list(p.ijk), "positive": p.positive} for p in self.points],
            "boxes": [*(_box_json(box) for box in self.boxes), *negative],
        }

    def checked(self, shape_ijk: Sequence[int]) -> tuple[Prompts, tuple[str, ...]]:
        """Return the prompts clipped to a volume of this shape, and a note for each clipped box.

        Raises:
            PromptError: no prompt, no positive one, a point outside, one that is positive and
                negative or in a negative box, or a box that is reversed, wholly outside or
                degenerate.
        """
        if not self.points and not self.boxes and not self.negative_boxes:
            raise PromptError("Expected at least one point or box, got none.")
        if not self.boxes and not any(point.positive for point in self.points):
            raise PromptError(
                "Expected at least one positive point or a box, got "
                f"{len(self.points)} negative point(s) and {len(self.negative_boxes)} negative "
                "box(es) only."
            )
        for point in self.points:
            _check_inside(point, shape_ijk)
        _check_signs(self.points, self.negative_boxes)
        both = (*self.boxes, *self.negative_boxes)
        pairs = [(box, _clipped(box, shape_ijk)) for box in both]
        notes = tuple(
            f"The {_described(box)} reaches outside the volume of {shape_text(shape_ijk)} voxels "
            f"and was clipped to {inside.min_ijk} ... {inside.max_ijk}."
            for box, inside in pairs
            if box != inside
        )
        clipped = tuple(inside for _, inside in pairs)
        count = len(self.boxes)
        return Prompts(self.points, clipped[:count], clipped[count:]), notes

    @property
    def flat_axis(self) -> int | None:
        """The one axis along which every box is one voxel thick.

        None without boxes, with a 3D box, and if there is more than one such axis.
        """
        if not self.boxes:
            return None
        shared = set(self.boxes[0].flat_axes).intersection(*(b.flat_axes for b in self.boxes))
        return shared.pop() if len(shared) == 1 else None

    def slices_along(self, axis: int) -> tuple[int, ...]:
        """Return the slices of an axis that hold a positive point or part of a box, in order.

        A slice with only negative points is left out, because it marks no object.
        """
        indices = {point.ijk[axis] for point in self.points if point.positive}
        for box in self.boxes:
            indices.update(range(box.min_ijk[axis], box.max_ijk[axis] + 1))
        return tuple(sorted(indices))

    def on_slice(self, axis: int, index: int) -> SlicePrompts:
        """Return the points on a slice, the boxes drawn on it, and the sections of 3D boxes."""
        crossing = [box for box in self.boxes if box.spans(axis, index)]
        return SlicePrompts(
            tuple(point for point in self.points if point.ijk[axis] == index),
            tuple(box for box in crossing if axis in box.flat_axes),
            tuple(box.section(axis, index) for box in crossing if axis not in box.flat_axes),
        )


def _check_inside(point: Point, shape_ijk: Sequence[int]) -> None:
    for axis, (value, side) in enumerate(zip(point.ijk, shape_ijk, strict=True)):
        if not 0 <= value < side:
            raise PromptError(
                f"The point {point.ijk} is outside the volume of {shape_text(shape_ijk)} voxels: "
                f"{_AXIS_NAMES[axis]} must be 0 to {side - 1}."
            )


def _check_signs(points: Sequence[Point], negative_boxes: Sequence[Box]) -> None:
    signs: dict[VoxelIndex, bool] = {}
    for point in points:
        if signs.setdefault(point.ijk, point.positive) != point.positive:
            raise PromptError(
                f"The point {point.ijk} is positive and negative: expected each voxel to be inside "
                "the object or outside it, got both."
            )
        for box in negative_boxes:
            if point.positive and box.contains(point.ijk):
                raise PromptError(
                    f"The point {point.ijk} is positive and lies in the negative "
                    f"{_described(box)}: expected each voxel to be inside the object or outside "
                    "it, got both."
                )


def _clipped(box: Box, shape_ijk: Sequence[int]) -> Box:
    for axis in range(3):
        low, high = box.min_ijk[axis], box.max_ijk[axis]
        if low > high:
            raise PromptError(
                f"The {_described(box)} is reversed along {_AXIS_NAMES[axis]}: "
                f"min {low} is above max {high}."
            )
    side_i, side_j, side_k = shape_ijk
    clipped = box.intersection(Box((0, 0, 0), (side_i - 1, side_j - 1, side_k - 1)))
    if clipped is None:
        raise PromptError(
            f"The {_described(box)} lies wholly outside the volume of "
            f"{shape_text(shape_ijk)} voxels."
        )
    _check_not_degenerate(box, clipped, shape_ijk)
    return clipped


def _check_not_degenerate(box: Box, clipped: Box, shape_ijk: Sequence[int]) -> None:
    """Refuse a line: a box thin along two axes, unless the volume itself has one slice there."""
    flat = clipped.flat_axes
    if len(flat) >= 2 and any(shape_ijk[axis] > 1 for axis in flat):
        axes = " and ".join(_AXIS_NAMES[axis] for axis in flat)
        inside = "" if clipped == box else " (within the volume)"
        raise PromptError(
            f"The {_described(box)} is degenerate{inside}: it is one voxel thick along {axes}; "
            "a 2D box is thin along one axis only."
        )


def _described(box: Box) -> str:
    return f"box {box.min_ijk} ... {box.max_ijk}"


def _point_from(value: object, what: str) -> Point:
    item = checked_mapping(value, what, required=("ijk",), optional=("positive",))
    return Point(voxel_index(item["ijk"], f"{what}.ijk"), _sign_from(item, what))


def _box_from(value: object, what: str) -> tuple[Box, bool]:
    """Return a box and its sign."""
    item = checked_mapping(value, what, required=("min_ijk", "max_ijk"), optional=("positive",))
    box = Box(
        voxel_index(item["min_ijk"], f"{what}.min_ijk"),
        voxel_index(item["max_ijk"], f"{what}.max_ijk"),
    )
    return box, _sign_from(item, what)


def _sign_from(item: Mapping[str, object], what: str) -> bool:
    positive = item.get("positive", True)
    if not isinstance(positive, bool):
        raise PromptError(
            f"Expected {what}.positive to be true or false, got {short_repr(positive)}."
        )
    return positive


def _box_json(box: Box) -> dict[str, object]:
    return {"min_ijk": list(box.min_ijk), "max_ijk": list(box.max_ijk)}


def _point_from_text(text: str) -> Point:
    parts = [part.strip() for part in text.split(",")]
    positive = parts[3:] in ([], ["+"])
    if len(parts) not in (3, 4) or parts[3:] not in ([], ["+"], ["-"]):
        raise PromptError(
            f"Expected a point as i,j,k or i,j,k,- (negative), got {short_repr(text)}."
        )
    i, j, k = whole_numbers(parts[:3], text)
    return Point((i, j, k), positive)


def _box_from_text(text: str) -> tuple[Box, bool]:
    """Return a box and its sign."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (6, 7) or parts[6:] not in ([], ["+"], ["-"]):
        raise PromptError(
            "Expected a box as i0,j0,k0,i1,j1,k1 or i0,j0,k0,i1,j1,k1,- (negative), got "
            f"{short_repr(text)}."
        )
    i0, j0, k0, i1, j1, k1 = whole_numbers(parts[:6], text)
    return Box((i0, j0, k0), (i1, j1, k1)), parts[6:] != ["-"]
