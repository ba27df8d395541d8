"""Confirmed slices: planes of a volume on which a person says exactly what is the object.

    {("k", 12): plane, ("k", 30): plane}   --ConfirmedSlices.of-->           checked planes
    a sparse label volume and a value      --ConfirmedSlices.of_labels-->    the same

A plane without any pixel of the object is worth as much as another one: the object is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segsam.errors import PromptError
from segsam.imaging.voxels import zeros
from segsam.types import AxisName, VoxelIndex

Mask = NDArray[np.bool_]
Planes: TypeAlias = Mapping[tuple[AxisName | int, int], NDArray[Any]]
"""(axis, index) -> plane whose pixels are 0 or not."""
_AXES = "ijk"


@dataclass(frozen=True, eq=False)
class ConfirmedSlices:
    """Planes of one object in a volume of `shape_ijk`.

    `planes` maps (axis, index) to a mask of the other two voxel axes in ascending order: across k
    its shape is (i, j). Planes across different axes agree where they cross.
    """

    planes: Mapping[tuple[int, int], Mask]
    shape_ijk: VoxelIndex

    @classmethod
    def of(cls, planes: Planes, shape_ijk: VoxelIndex) -> ConfirmedSlices:
        """Check planes, whose axes are 0, 1, 2 or i, j, k and whose pixels are 0 or not.

        Raises:
            PromptError: no plane with a pixel of the object, an axis, index or shape that is not
                the volume's, a picture, or planes that contradict each other where they cross.
        """
        if 1 in shape_ijk:
            raise PromptError(
                "Expected a volume of several slices to complete, got a picture: there are no "
                "slices between its own."
            )
        checked = {
            (_axis_number(axis), index): _checked_plane(_axis_number(axis), index, plane, shape_ijk)
            for (axis, index), plane in planes.items()
        }
        if len(checked) < len(planes):
            raise PromptError("Expected each confirmed slice once, got one by letter and number.")
        if not any(plane.any() for plane in checked.values()):
            raise PromptError(
                "Expected at least one confirmed slice that shows the object, got "
                f"{len(checked)} without any pixel of it."
            )
        _refuse_contradictions(checked)
        return cls(dict(sorted(checked.items())), shape_ijk)

    @classmethod
    def of_labels(
        cls, labels: NDArray[Any], value: int, axis: AxisName | int | None = None
    ) -> ConfirmedSlices:
        """Return the slices of a sparse label volume (i, j, k) that hold `value`.

        Without an `axis`, it is the one along which the fewest slices follow each other without a
        gap, or across which the fewest hold the value.

        Raises:
            PromptError: as `of`, or no voxel of this value, or 0, the background.
        """
        check_object_value(value)
        object_mask = labels == value
        i, j, k = object_mask.shape
        filled = [_filled(object_mask, number) for number in range(3)]
        if not len(filled[0]):
            raise PromptError(f"Expected slices with the label value {value}, got none.")
        number = _sparse_axis(filled) if axis is None else _axis_number(axis)
        planes: Planes = {
            (number, int(at)): object_mask.take(int(at), number) for at in filled[number]
        }
        return cls.of(planes, (i, j, k))

    @property
    def main_axis(self) -> int:
        """The axis across which the object is completed: that of the most confirmed slices."""
        counts = [sum(axis == number for axis, _ in self.planes) for number in range(3)]
        return int(np.argmax(counts))

    def along(self, axis: int) -> dict[int, Mask]:
        """Return index -> plane of the slices across one axis, in ascending order."""
        return {index: plane for (of, index), plane in self.planes.items() if of == axis}

    def with_one(self, axis: int, index: int, plane: Mask) -> ConfirmedSlices:
        """Return the slices and one more, which replaces that of the same place; raises as `of`."""
        planes: dict[tuple[AxisName | int, int], Mask] = dict(self.planes.items())
        return ConfirmedSlices.of(planes | {(axis, index): plane}, self.shape_ijk)

    def put_into(self, mask: Mask) -> Mask:
        """Return a copy of a mask (i, j, k) with the confirmed planes exactly as they are."""
        result = mask.copy()
        for (axis, index), plane in self.planes.items():
            result[_place(axis, index)] = plane
        return result

    def known(self) -> Mask:
        """Return True for the voxels (i, j, k) that lie on a confirmed plane."""
        found: Mask = zeros(self.shape_ijk, np.bool_)
        for axis, index in self.planes:
            found[_place(axis, index)] = True
        return found


def _axis_number(axis: AxisName | int) -> int:
    if axis in (0, 1, 2):
        return int(axis)
    if isinstance(axis, str) and len(axis) == 1 and axis in _AXES:
        return _AXES.index(axis)
    raise PromptError(f"Expected confirmed slices across the axis i, j or k, got {axis!r}.")


def _checked_plane(axis: int, index: int, plane: NDArray[Any], shape_ijk: VoxelIndex) -> Mask:
    depth = shape_ijk[axis]
    if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
        raise PromptError(
            f"Expected the index of a confirmed slice as a whole number, got {index!r}."
        )
    if not 0 <= index < depth:
        raise PromptError(
            f"Expected confirmed slices 0 to {depth - 1} across {_AXES[axis]}, got {index}."
        )
    expected = tuple(side for number, side in enumerate(shape_ijk) if number != axis)
    found = np.asarray(plane)
    if found.shape != expected:
        raise PromptError(
            f"Expected {_text(expected)} pixels on the confirmed slice {_AXES[axis]} = {index}, "
            f"got {_text(found.shape)}."
        )
    if found.dtype != np.bool_ and not np.issubdtype(found.dtype, np.integer):
        raise PromptError(
            f"Expected a mask of whole numbers on the confirmed slice {_AXES[axis]} = {index}, got "
            f"{found.dtype}."
        )
    return np.asarray(found != 0)


def _refuse_contradictions(planes: Mapping[tuple[int, int], Mask]) -> None:
    for (first, second), line in _crossings(planes):
        if not np.array_equal(*line):
            (axis, index), (other, at) = first, second
            raise PromptError(
                f"Expected confirmed slices that agree where they cross, got {_AXES[axis]} = "
                f"{index} and {_AXES[other]} = {at}, which differ in "
                f"{int(np.count_nonzero(line[0] != line[1]))} voxels."
            )


def _crossings(
    planes: Mapping[tuple[int, int], Mask],
) -> Iterator[tuple[tuple[tuple[int, int], tuple[int, int]], tuple[Mask, Mask]]]:
    """Yield two planes across different axes, and the line of voxels that both of them hold."""
    for first, second in combinations(planes, 2):
        (axis, index), (other, at) = first, second
        if axis != other:
            lines = (
                planes[first].take([at], _axis_of_plane(axis, other)).ravel(),
                planes[second].take([index], _axis_of_plane(other, axis)).ravel(),
            )
            yield (first, second), lines


def _axis_of_plane(across: int, axis: int) -> int:
    """Return which of the two axes of a plane is a voxel axis."""
    return axis - (axis > across)


def _sparse_axis(filled: Sequence[NDArray[np.int64]]) -> int:
    """Return the axis across which an object was drawn, from its filled slices along each: that of
    the shortest runs of slices without a gap. An object of two parts has gaps along others, too.
    """
    runs = [1 + int(np.count_nonzero(np.diff(found) > 1)) for found in filled]
    return min(range(3), key=lambda axis: (len(filled[axis]) / runs[axis], len(filled[axis])))


def _filled(mask: Mask, axis: int) -> NDArray[np.int64]:
    others = tuple(number for number in range(3) if number != axis)
    return np.flatnonzero(mask.any(axis=others))


def _place(axis: int, index: int) -> tuple[slice | int, ...]:
    return (slice(None),) * axis + (index,)


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def check_object_value(value: int) -> None:
    """Raise PromptError for 0, the background of every label."""
    if value == 0:
        raise PromptError("Expected the label value of an object, got 0, which is the background.")
