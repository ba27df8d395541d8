"""Slices of a segment that the user confirmed. No result of the model changes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Iterable

import numpy as np

from SEGSAMLib.Values.Geometry import Voxel
from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.SlicePredictions import Slice

_MAX_SLICES = 10_000


@dataclass(frozen=True)
class ConfirmedSlices:
    """Confirmed slices (axis, index) of one segment, in a volume of `shape_ijk`.

    What is confirmed is what the segment has there, also nothing.
    """

    slices: frozenset[Slice] = frozenset()
    shape_ijk: Voxel = (0, 0, 0)

    @property
    def axis(self) -> int | None:
        """The axis with the most confirmed slices, None without any."""
        axes = [axis for axis, _ in self.slices]
        return max(range(3), key=axes.count) if axes else None

    def along(self, axis: int) -> tuple[int, ...]:
        """Return the confirmed slices of an axis, in order."""
        return tuple(sorted(index for of_axis, index in self.slices if of_axis == axis))

    def toggled(self, axis: int, index: int) -> ConfirmedSlices:
        """Return the slices with one more, or without it if it is confirmed."""
        return replace(self, slices=self.slices ^ {(axis, index)})

    def plus(self, slices: Iterable[Slice]) -> ConfirmedSlices:
        """Return the slices and more of them."""
        return replace(self, slices=self.slices | set(slices))

    def removed_from(self, region: Region) -> Region:
        """Return a region without the voxels on confirmed slices; itself if it has none."""
        values = region.values
        for axis, index in self.slices:
            inside = index - region.min_ijk[axis]
            if 0 <= inside < values.shape[axis]:
                values = values.copy() if values is region.values else values
                values[_on(axis, inside)] = False
        return region if values is region.values else Region(region.min_ijk, values)

    def part_of(self, region: Region) -> Region:
        """Return a region with its voxels on confirmed slices only."""
        values = np.zeros(region.values.shape, dtype=bool)
        for axis, index in self.slices:
            inside = index - region.min_ijk[axis]
            if 0 <= inside < values.shape[axis]:
                values[_on(axis, inside)] = region.values[_on(axis, inside)]
        return Region(region.min_ijk, values)

    def to_text(self) -> str:
        """Return JSON for the scene, empty without slices."""
        if not self.slices:
            return ""
        rows = [[axis, index] for axis, index in sorted(self.slices)]
        return json.dumps({"shape": list(self.shape_ijk), "slices": rows}, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str, shape_ijk: Voxel) -> ConfirmedSlices:
        """Read what `to_text` wrote for a volume of this shape. Anything else confirms nothing: the
        slices of another volume are others.
        """
        try:
            value = json.loads(text or "{}")
            if value.get("shape") != list(shape_ijk):
                return cls(shape_ijk=shape_ijk)
            rows = value["slices"][:_MAX_SLICES]
            found = {(int(axis), int(index)) for axis, index in rows}
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(shape_ijk=shape_ijk)
        known = {each for each in found if each[0] in (0, 1, 2)}
        kept = {(axis, index) for axis, index in known if 0 <= index < shape_ijk[axis]}
        return cls(frozenset(kept), shape_ijk)


NOTHING_CONFIRMED = ConfirmedSlices()


def _on(axis: int, inside: int) -> tuple[slice | int, ...]:
    return (slice(None),) * axis + (inside,)
