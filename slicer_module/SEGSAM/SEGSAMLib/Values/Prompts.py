"""Prompts for one object: points, boxes, scribbles and lassos in voxel indices. Immutable, so that
undo can keep a reference to the previous set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Union

import numpy as np

from SEGSAMLib.Errors import PromptError
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import Box, Voxel
from SEGSAMLib.Values.Masks import Region, part_of
from SEGSAMLib.Values.Outlines import Lasso

FORMAT = 2
MAX_PROMPTS = 4096
"""Most prompts of one kind that are read from a scene."""


@dataclass(frozen=True)
class Point:
    """Click inside the object, or outside it if not positive."""

    ijk: Voxel
    positive: bool = True


@dataclass(frozen=True)
class Scribble:
    """Stroke, reduced to some voxels along it. Each counts as a click."""

    path_ijk: tuple[Voxel, ...]
    positive: bool = True

    @property
    def points(self) -> tuple[Point, ...]:
        """The voxels as clicks."""
        return tuple(Point(voxel, self.positive) for voxel in self.path_ijk)


Prompt = Union[Point, Box, Scribble, Lasso]


@dataclass(frozen=True)
class PromptSet:
    """Prompts of one segment, in the order in which the user made them."""

    items: tuple[Prompt, ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """The clicks."""
        return tuple(item for item in self.items if isinstance(item, Point))

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes."""
        return tuple(item for item in self.items if isinstance(item, Box))

    @property
    def scribbles(self) -> tuple[Scribble, ...]:
        """The scribbles."""
        return tuple(item for item in self.items if isinstance(item, Scribble))

    @property
    def lassos(self) -> tuple[Lasso, ...]:
        """The lassos."""
        return tuple(item for item in self.items if isinstance(item, Lasso))

    @property
    def is_empty(self) -> bool:
        """True if there is no prompt."""
        return not self.items

    @property
    def marks_object(self) -> bool:
        """True if there is a positive prompt, the minimum of a request."""
        return any(item.positive for item in self.items)

    @property
    def all_points(self) -> tuple[Point, ...]:
        """Clicks, scribbles and points in lassos, each voxel once. The last prompt of a voxel
        counts: a negative box takes back the positive points that it covers.
        """
        by_voxel: dict[Voxel, Point] = {}
        for item in self.items:
            if isinstance(item, Box) and not item.positive:
                covered = [v for v, p in by_voxel.items() if p.positive and item.contains(v)]
                for voxel in covered:
                    del by_voxel[voxel]
                continue
            for point in _points_of(item):
                by_voxel.pop(point.ijk, None)
                by_voxel[point.ijk] = point
        return tuple(by_voxel.values())

    def plus(self, *items: Prompt) -> PromptSet:
        """Return the set with more prompts at the end."""
        return PromptSet((*self.items, *items))

    def without(self, number: int) -> PromptSet:
        """Return the set without one of its prompts."""
        return PromptSet((*self.items[:number], *self.items[number + 1 :]))

    def kept(self, region: Region) -> Region:
        """Return the part of a result that the lassos leave: on the slice of a positive one what is
        inside it, or inside another positive lasso or box there, and nothing inside a negative one.
        A positive point outside the outlines of its slice says that the object reaches beyond them.
        """
        values = region.values
        for axis, index in dict.fromkeys((lasso.axis, lasso.index) for lasso in self.lassos):
            low = region.min_ijk[axis]
            if not low <= index < low + values.shape[axis]:
                continue
            if values is region.values:
                values = values.copy()
            plane = Region(region.min_ijk, values).within(axis, index, index)
            plane.values[:] &= self._allowed_on(plane, axis, index)
        return region if values is region.values else Region(region.min_ijk, values)

    def _allowed_on(self, plane: Region, axis: int, index: int) -> np.ndarray:
        """Return where lassos and boxes allow the object in a region of one slice."""
        here = [each for each in self.lassos if (each.axis, each.index) == (axis, index)]
        allowed = np.zeros(plane.values.shape, dtype=bool)
        for lasso in here:
            if lasso.positive:
                allowed |= part_of(lasso.filled(), plane)
        for box in self.boxes:
            if box.positive and box.min_ijk[axis] <= index <= box.max_ijk[axis]:
                allowed |= part_of(_section(box, axis, index), plane)
        if not any(each.positive for each in here) or self._reaches_beyond(here, axis, index):
            allowed[:] = True
        for lasso in here:
            if not lasso.positive:
                allowed &= ~part_of(lasso.filled(), plane)
        return allowed

    def _reaches_beyond(self, lassos: list[Lasso], axis: int, index: int) -> bool:
        """Return True if a positive point of a slice lies outside its positive lassos."""
        regions = [each.filled() for each in lassos if each.positive]
        clicked = [p.ijk for p in self.all_points if p.positive and p.ijk[axis] == index]
        return any(not any(_holds(region, ijk) for region in regions) for ijk in clicked)

    def to_request(self) -> dict[str, Any]:
        """Return the value of a request's key `prompts`: a positive lasso is its bounding box and
        points inside.        Raises `PromptError` if nothing marks an object.
        """
        if not self.marks_object:
            sentence = _(
                "Mark the object first: a box or lasso around it, or a point or scribble inside it."
            )
            raise PromptError(sentence)
        boxes = [
            item.box if isinstance(item, Lasso) else item
            for item in self.items
            if isinstance(item, Box) or (isinstance(item, Lasso) and item.positive)
        ]
        return {
            "points": [{"ijk": list(p.ijk), "positive": p.positive} for p in self.all_points],
            "boxes": [_box_value(box) for box in boxes],
        }

    def to_text(self) -> str:
        """Return the set as JSON for the scene; `from_text` reads it."""
        rows = [[_NAMES[type(item)], int(item.positive), *_numbers(item)] for item in self.items]
        return json.dumps({"format": FORMAT, "prompts": rows}, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> PromptSet:
        """Read what `to_text` wrote, in this version or an earlier one. Raises `PromptError` for
        any other text.
        """
        try:
            value = json.loads(text)
            if value["format"] == 1:
                return cls(_items_of_format_1(value))
            if value["format"] != FORMAT:
                sentence = _(
                    "The prompts in this scene have the format {found}, and this module reads "
                    "formats 1 and {newest}. A newer version of it may read them."
                )
                found = repr(value["format"])[:20]
                raise PromptError(sentence.format(found=found, newest=FORMAT))
            return cls(tuple(_READERS[row[0]](row) for row in _rows(value["prompts"])))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            sentence = _("The prompts in this scene cannot be read: {text}.")
            raise PromptError(sentence.format(text=repr(text)[:60])) from error


NO_PROMPTS = PromptSet()


def _points_of(item: Prompt) -> tuple[Point, ...]:
    """Return the clicks that a prompt stands for."""
    if isinstance(item, Point):
        return (item,)
    if isinstance(item, Lasso):
        return tuple(Point(voxel) for voxel in item.points)
    return item.points if isinstance(item, Scribble) else ()


def _section(box: Box, axis: int, index: int) -> Region:
    """Return the voxels of a box on a slice that it crosses."""
    low, high = list(box.min_ijk), list(box.max_ijk)
    low[axis] = high[axis] = index
    size = [last - first + 1 for first, last in zip(low, high)]
    return Region((low[0], low[1], low[2]), np.ones(size, dtype=bool))


def _holds(region: Region, ijk: Voxel) -> bool:
    place = tuple(index - low for index, low in zip(ijk, region.min_ijk))
    is_in_box = all(0 <= at < side for at, side in zip(place, region.values.shape))
    return is_in_box and bool(region.values[place])


def _box_value(box: Box) -> dict[str, Any]:
    """Return a box of a request. Servers before this version know no sign of a box."""
    value: dict[str, Any] = {"min_ijk": list(box.min_ijk), "max_ijk": list(box.max_ijk)}
    return value if box.positive else {**value, "positive": False}


def _numbers(item: Prompt) -> list[Any]:
    """Return the voxels of a prompt for `to_text`."""
    if isinstance(item, Point):
        return list(item.ijk)
    if isinstance(item, Box):
        return [*item.min_ijk, *item.max_ijk]
    return [list(voxel) for voxel in item.path_ijk]


def _rows(rows: Any) -> list[Any]:
    if not isinstance(rows, list) or len(rows) > MAX_PROMPTS:
        raise ValueError("not a list of prompts")
    return rows


def _items_of_format_1(value: Any) -> tuple[Prompt, ...]:
    """Return the prompts of the format before lassos and signs of boxes."""
    return (
        *(_point(["point", row[3], *row[:3]]) for row in _rows(value["points"]) if _has(row, 4)),
        *(_box(["box", 1, *row]) for row in _rows(value["boxes"])),
        *(_scribble(["scribble", *row]) for row in _rows(value["scribbles"])),
    )


def _has(row: Any, count: int) -> bool:
    if len(row) != count:
        raise ValueError("not a prompt")
    return True


def _point(row: Any) -> Point:
    _name, positive, i, j, k = row
    return Point(_voxel((i, j, k)), bool(positive))


def _box(row: Any) -> Box:
    _name, positive, i0, j0, k0, i1, j1, k1 = row
    return Box(_voxel((i0, j0, k0)), _voxel((i1, j1, k1)), bool(positive))


def _scribble(row: Any) -> Scribble:
    return Scribble(_path(row), bool(row[1]))


def _lasso(row: Any) -> Lasso:
    path = _path(row)
    if not path:
        raise ValueError("not an outline")
    return Lasso(path, bool(row[1]))


def _path(row: Any) -> tuple[Voxel, ...]:
    return tuple(_voxel(voxel) for voxel in _rows(row[2:]))


def _voxel(values: Any) -> Voxel:
    i, j, k = values
    if not all(type(value) is int for value in (i, j, k)):
        raise ValueError("not a voxel")
    return i, j, k


_NAMES: Mapping[type, str] = {Point: "point", Box: "box", Scribble: "scribble", Lasso: "lasso"}
_READERS: Mapping[str, Callable[[Any], Prompt]] = {
    "point": _point,
    "box": _box,
    "scribble": _scribble,
    "lasso": _lasso,
}
