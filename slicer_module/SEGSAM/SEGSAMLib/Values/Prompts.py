"""What marks one object: points, boxes and scribbles in voxel indices. Plain data, never changed in
place, so that undo keeps the old one by keeping a reference.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from SEGSAMLib.Errors import PromptError
from SEGSAMLib.Values.Geometry import Box, Voxel

FORMAT = 1
MOST = 4096
"""Prompts of one kind that are read back from a scene."""


@dataclass(frozen=True)
class Point:
    """One click: in the object, or (not positive) outside it."""

    ijk: Voxel
    positive: bool = True


@dataclass(frozen=True)
class Scribble:
    """A stroke, reduced to some voxels along it; each counts as a click."""

    path_ijk: tuple[Voxel, ...]
    positive: bool = True

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(Point(voxel, self.positive) for voxel in self.path_ijk)


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one segment, in the order in which they were made."""

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    scribbles: tuple[Scribble, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.points or self.boxes or self.scribbles)

    @property
    def marks_object(self) -> bool:
        """There is a box, or something positive: the least that a request needs."""
        positive = any(item.positive for item in (*self.points, *self.scribbles))
        return positive or bool(self.boxes)

    @property
    def all_points(self) -> tuple[Point, ...]:
        """Clicks and scribbles, each voxel once; a later word about a voxel wins."""
        said = {}
        for point in (*self.points, *(p for s in self.scribbles for p in s.points)):
            said.pop(point.ijk, None)
            said[point.ijk] = point
        return tuple(said.values())

    def plus(self, *items: Point | Box | Scribble) -> PromptSet:
        """With more prompts at the end."""
        points = tuple(item for item in items if isinstance(item, Point))
        boxes = tuple(item for item in items if isinstance(item, Box))
        scribbles = tuple(item for item in items if isinstance(item, Scribble))
        return PromptSet(self.points + points, self.boxes + boxes, self.scribbles + scribbles)

    def minus(self, item: Point | Box | Scribble) -> PromptSet:
        """Without a prompt; the same set when it is not there."""
        return replace(
            self,
            points=_without(self.points, item),
            boxes=_without(self.boxes, item),
            scribbles=_without(self.scribbles, item),
        )

    def on_slice(self, axis: int, index: int) -> PromptSet:
        """What is to be seen on a slice: its points, and the boxes and scribbles that cross it."""
        return PromptSet(
            tuple(point for point in self.points if point.ijk[axis] == index),
            tuple(box for box in self.boxes if box.spans(axis, index)),
            tuple(s for s in self.scribbles if any(v[axis] == index for v in s.path_ijk)),
        )

    def to_request(self) -> dict[str, Any]:
        """The key `prompts` of a request. Raises `PromptError` when nothing marks an object."""
        if not self.marks_object:
            raise PromptError(
                "Mark the object first: a box around it, or a point or scribble inside it."
            )
        return {
            "points": [{"ijk": list(p.ijk), "positive": p.positive} for p in self.all_points],
            "boxes": [{"min_ijk": list(b.min_ijk), "max_ijk": list(b.max_ijk)} for b in self.boxes],
        }

    def to_text(self) -> str:
        """For the scene; `from_text` reads it."""
        kept = {
            "format": FORMAT,
            "points": [[*p.ijk, int(p.positive)] for p in self.points],
            "boxes": [[*b.min_ijk, *b.max_ijk] for b in self.boxes],
            "scribbles": [
                [int(s.positive), *(list(v) for v in s.path_ijk)] for s in self.scribbles
            ],
        }
        return json.dumps(kept, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> PromptSet:
        """Raises `PromptError` for what `to_text` did not write."""
        try:
            kept = json.loads(text)
            if kept["format"] != FORMAT:
                raise PromptError(
                    f"The prompts in this scene have the format {kept['format']!r:.20}; this "
                    f"module reads {FORMAT}. A newer version of it may read them."
                )
            return cls(
                tuple(_point(row) for row in _rows(kept["points"])),
                tuple(_box(row) for row in _rows(kept["boxes"])),
                tuple(_scribble(row) for row in _rows(kept["scribbles"])),
            )
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise PromptError(f"The prompts in this scene cannot be read: {text!r:.60}.") from error


NO_PROMPTS = PromptSet()


def _without(items: tuple[Any, ...], item: Any) -> tuple[Any, ...]:
    """Without the last one that is equal."""
    for number in range(len(items) - 1, -1, -1):
        if items[number] == item:
            return items[:number] + items[number + 1 :]
    return items


def _rows(rows: Any) -> list[Any]:
    if not isinstance(rows, list) or len(rows) > MOST:
        raise ValueError("no list of prompts")
    return rows


def _point(row: Any) -> Point:
    i, j, k, positive = row
    return Point(_voxel((i, j, k)), bool(positive))


def _box(row: Any) -> Box:
    i0, j0, k0, i1, j1, k1 = row
    return Box(_voxel((i0, j0, k0)), _voxel((i1, j1, k1)))


def _scribble(row: Any) -> Scribble:
    return Scribble(tuple(_voxel(voxel) for voxel in _rows(row[1:])), bool(row[0]))


def _voxel(values: Any) -> Voxel:
    i, j, k = values
    if not all(type(value) is int for value in (i, j, k)):
        raise ValueError("no voxel")
    return i, j, k
