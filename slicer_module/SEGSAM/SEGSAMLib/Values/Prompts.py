"""Prompts for one object: points, boxes and scribbles in voxel indices. Immutable, so that undo can
keep a reference to the previous set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from SEGSAMLib.Errors import PromptError
from SEGSAMLib.Values.Geometry import Box, Voxel

FORMAT = 1
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


@dataclass(frozen=True)
class PromptSet:
    """Prompts of one segment, in the order in which the user made them."""

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    scribbles: tuple[Scribble, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True if there is no prompt."""
        return not (self.points or self.boxes or self.scribbles)

    @property
    def marks_object(self) -> bool:
        """True if there is a box or a positive prompt, the minimum of a request."""
        positive = any(item.positive for item in (*self.points, *self.scribbles))
        return positive or bool(self.boxes)

    @property
    def all_points(self) -> tuple[Point, ...]:
        """Clicks and scribbles, each voxel once. The last prompt of a voxel counts."""
        by_voxel = {}
        for point in (*self.points, *(p for s in self.scribbles for p in s.points)):
            by_voxel.pop(point.ijk, None)
            by_voxel[point.ijk] = point
        return tuple(by_voxel.values())

    def plus(self, *items: Point | Box | Scribble) -> PromptSet:
        """Return the set with more prompts at the end."""
        points = tuple(item for item in items if isinstance(item, Point))
        boxes = tuple(item for item in items if isinstance(item, Box))
        scribbles = tuple(item for item in items if isinstance(item, Scribble))
        return PromptSet(self.points + points, self.boxes + boxes, self.scribbles + scribbles)

    def to_request(self) -> dict[str, Any]:
        """Return the value of a request's key `prompts`. Raises `PromptError` if nothing marks an
        object.
        """
        if not self.marks_object:
            raise PromptError(
                "Mark the object first: a box around it, or a point or scribble inside it."
            )
        return {
            "points": [{"ijk": list(p.ijk), "positive": p.positive} for p in self.all_points],
            "boxes": [{"min_ijk": list(b.min_ijk), "max_ijk": list(b.max_ijk)} for b in self.boxes],
        }

    def to_text(self) -> str:
        """Return the set as JSON for the scene; `from_text` reads it."""
        value = {
            "format": FORMAT,
            "points": [[*p.ijk, int(p.positive)] for p in self.points],
            "boxes": [[*b.min_ijk, *b.max_ijk] for b in self.boxes],
            "scribbles": [
                [int(s.positive), *(list(v) for v in s.path_ijk)] for s in self.scribbles
            ],
        }
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> PromptSet:
        """Read what `to_text` wrote. Raises `PromptError` for any other text."""
        try:
            value = json.loads(text)
            if value["format"] != FORMAT:
                raise PromptError(
                    f"The prompts in this scene have the format {value['format']!r:.20}, and this "
                    f"module reads format {FORMAT}. A newer version of it may read them."
                )
            return cls(
                tuple(_point(row) for row in _rows(value["points"])),
                tuple(_box(row) for row in _rows(value["boxes"])),
                tuple(_scribble(row) for row in _rows(value["scribbles"])),
            )
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise PromptError(f"The prompts in this scene cannot be read: {text!r:.60}.") from error


NO_PROMPTS = PromptSet()


def _rows(rows: Any) -> list[Any]:
    if not isinstance(rows, list) or len(rows) > MAX_PROMPTS:
        raise ValueError("not a list of prompts")
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
        raise ValueError("not a voxel")
    return i, j, k
