"""Tells a label from an image that was saved as one.

Both may be whole numbers on the same voxels, and the number of values does not tell them apart: a
brain parcellation has a thousand, an 8-bit image has fewer. What does is where equal values lie.
The structures of a label are regions, so a voxel's labelled neighbours mostly have its own value;
in an image the value changes from voxel to voxel. The share of neighbours with the same value is
taken by value, and its median is decisive: half of the values of an image may be one constant
background, and a few small structures of a label may be single voxels.

Measured (docs/lab/training.md): 0.79 and more in labels of every kind, 0.13 and less in images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.errors import LabelError
from segsam.imaging.label_files import Labels
from segsam.types import LabelArray

LabelPlane = NDArray[np.integer[Any]]
"""Plane (i, j) of a label map."""

FEW_VALUES = 16
"""Number of values up to which anything may be a label: a few thin layers have few neighbours of
their own value, and what could be an image has more values."""
LEAST_AGREEMENT = 0.5
"""Share of equal neighbours, of the median value, from which values are structures."""
_TABLE_VALUES = 1 << 16


def check_regions(labels: Labels) -> None:
    """Check that the values of a label are structures. Raises LabelError for an image."""
    if len(labels.values) > FEW_VALUES:
        _check([_planes(each) for each in labels.maps], labels.values)


def check_planes(planes: Iterable[LabelPlane], values: Sequence[int]) -> None:
    """Check one label map with these `values`, given plane by plane, as `check_regions` does."""
    if len(values) > FEW_VALUES:
        _check([planes], values)


def _planes(label_map: LabelArray) -> Iterator[LabelPlane]:
    return (label_map[:, :, index] for index in range(label_map.shape[2]))


def _check(maps: Sequence[Iterable[LabelPlane]], present: Sequence[int]) -> None:
    values = np.array(present, dtype=np.uint32)
    share = _agreement(maps, values)
    if share < LEAST_AGREEMENT:
        raise LabelError(
            "expected a label, whose structures are regions of one value each; got an image: its "
            f"{len(values)} values change from voxel to voxel (of the neighbours of a typical "
            f"value {share:.0%} are equal to it, in a label {LEAST_AGREEMENT:.0%} or more)"
        )


def agreement(maps: Sequence[LabelArray], values: NDArray[np.uint32]) -> float:
    """Return the median over `values` of the share of labelled neighbours with the same value.

    Neighbours share a face. A value whose voxels have no labelled neighbour has a share of 1.
    """
    return _agreement([_planes(each) for each in maps], values)


def _agreement(maps: Sequence[Iterable[LabelPlane]], values: NDArray[np.uint32]) -> float:
    equal, all_sides = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    for first, second in _neighbours(maps, values):
        labelled = (first >= 0) & (second >= 0)
        first, second = first[labelled], second[labelled]
        for side in (first, second):
            all_sides += np.bincount(side, minlength=len(values))
        equal += 2 * np.bincount(first[first == second], minlength=len(values))
    shares = np.divide(equal, all_sides, out=np.ones(len(values)), where=all_sides > 0)
    return float(np.median(shares))


def _neighbours(
    maps: Sequence[Iterable[LabelPlane]], values: NDArray[np.uint32]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Yield the places in `values` of neighbours along each axis, -1 for background; slice by
    slice, so that a large volume needs little memory.
    """
    table = None
    if values[-1] < _TABLE_VALUES:
        table = np.full(int(values[-1]) + 1, -1, np.int32)
        table[values] = np.arange(len(values), dtype=np.int32)
    for each in maps:
        before = None
        for plane in each:
            if table is not None:
                places = table[plane]
            else:
                places = np.searchsorted(values, plane).astype(np.int32)
                places[plane == 0] = -1
            yield places[:-1], places[1:]
            yield places[:, :-1], places[:, 1:]
            if before is not None:
                yield before, places
            before = places
