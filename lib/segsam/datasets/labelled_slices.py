"""Labelled slices: cases cut into pictures and label planes in model pixels.

A volume is cut across its largest spacing (`largest_spacing_axis`), or across all three axes
(as in the paper and SAM-Med2D). Pictures hold values 0 to 255, mapped by the same `Intensity` as in
prediction. Each label value on a slice is one object. Objects under 0.153 % of the slice are not
prompted (paper, section 4.1), but they remain in the training targets of presence and full image.

Files are read by `Volume` and not by MONAI's LoadImage, because the latter accepts shears, NaN and
4D. For augmentation see `transforms`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset, load_case
from segsam.errors import PromptError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView, choose_axis, largest_spacing_axis
from segsam.imaging.volume import Volume

Axes = Literal["auto", "all", "i", "j", "k"]

Item = TypeVar("Item")
MIN_SHARE = 0.00153
"""Share of a slice under which an object is not prompted: 100 of 256 x 256 pixels."""
_MIN_END_PX = 16
"""Size of an object's last section from which its end is used; smaller ones are often noise."""


@dataclass(frozen=True, eq=False)
class Instance:
    """Object on a slice: its label value and its mask, which may overlap other objects' masks."""

    value: int
    mask: NDArray[np.bool_]
    """(h_px, w_px)."""


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One slice in model pixels with at least one object to prompt.

    Some data sets have a mask for each object: several of one label, or overlapping ones. Then
    `instances` holds those that are large enough, and `labels` has smaller objects on top.
    """

    name: str
    """data set/case/index, or data set/case/k12 with a named axis; the same in every run."""
    picture: NDArray[np.uint8]
    """(h_px, w_px, 3)."""
    labels: NDArray[np.uint8]
    """(h_px, w_px), label values."""
    prompted: tuple[int, ...]
    """Label values of the objects that are large enough."""
    instances: tuple[Instance, ...] = ()
    """Empty if every label is one object; `objects` covers both."""
    ended: tuple[Instance, ...] = ()
    """Objects that ended on the slice before or behind this one, with their masks there; see
    `cut_volume`."""
    beside: tuple[NDArray[np.uint8], ...] = ()
    """Pictures (h_px, w_px, 3) of up to two slices beside this one; see `SliceView.beside`."""

    @property
    def objects(self) -> tuple[Instance, ...]:
        """Objects to prompt, each with its mask, for training and evaluation."""
        if self.instances:
            return self.instances
        return tuple(Instance(value, self.labels == value) for value in self.prompted)


def slices_of(
    dataset: Dataset,
    case: str,
    *,
    input_size: int,
    limit: int = 0,
    axes: Axes = "auto",
    ends: int = 0,
    window: tuple[float, float] | None = None,
    beside: Collection[int] = (),
) -> Iterator[LabelledSlice]:
    """Yield the slices of a case that hold an object to prompt.

    Args:
        dataset: data set of the case.
        case: name of the case.
        input_size: longest side of a slice in pixels; 0 for the native size, see `native_view`.
        limit: largest number of slices along each axis, evenly spread; 0 for all.
        axes: see `axes_of`. Named axes are part of the slice's name: data set/case/k12.
        ends: see `cut_volume`.
        window: (low, high) of the grey values, in the image's own; None for the default mapping.
        beside: see `cut_volume`.

    Raises:
        TrainingError: labels of another shape than their image, or values without a name.
        VolumeError: an image that cannot be read.
        PromptError: an unknown axis.
    """
    volume, labels = load_case(dataset, case)
    name = f"{dataset.name}/{case}"
    yield from cut_volume(
        volume,
        labels,
        name,
        input_size=input_size,
        limit=limit,
        axes=axes,
        ends=ends,
        intensity=Intensity.for_volume(volume, window),
        beside=beside,
    )


def cut_volume(
    volume: Volume,
    labels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
    name: str,
    *,
    input_size: int,
    limit: int = 0,
    axes: Axes = "auto",
    ends: int = 0,
    intensity: Intensity | None = None,
    beside: Collection[int] = (),
) -> Iterator[LabelledSlice]:
    """Yield the slices of a volume and its labels (i, j, k), named `name`/index; see `slices_of`.

    Several label maps hold objects that overlap; the slices then have `instances`.

    With `ends`, slices know the objects that `ended` beside them, and up to `ends` of the slices on
    which an object has just ended come in addition, even if they hold nothing to prompt. The first
    and last slice of a volume are no ends: the object may go on outside. Slices
    across the axes in `beside` have the pictures of the slices beside them.

    Raises:
        PromptError: an unknown axis.
    """
    maps = [labels] if isinstance(labels, np.ndarray) else list(labels)
    intensity = intensity or Intensity.for_volume(volume)
    for axis in axes_of(volume, axes):
        view = SliceView.of(volume, axis, input_size) if input_size else native_view(volume, axis)
        letter = "" if axes == "auto" else "ijk"[axis]
        planes = _planes_of_maps(view, maps)
        prompted = {index: _prompted(of_slice) for index, of_slice in planes.items()}
        chosen = spread([index for index, values in prompted.items() if values], limit)
        ended = _ended(planes, view.depth) if ends else {}
        sides = view.beside if axis in beside else _no_sides
        beyond = spread([index for index in sorted(ended) if index not in chosen], ends)
        for index in sorted({*chosen, *(beyond if ends else ())}):
            of_slice = planes.get(index) or [np.zeros(view.size_px, np.uint8)]
            instances = _instances(of_slice) if len(maps) > 1 else ()
            yield LabelledSlice(
                f"{name}/{letter}{index}",
                view.image(volume, intensity, index),
                label_map(instances, view.size_px) if instances else of_slice[0],
                prompted.get(index, ()),
                tuple(each for each in instances if is_large(each.mask)),
                tuple(ended.get(index, ())),
                tuple(view.image(volume, intensity, each) for each in sides(index)),
            )


def _no_sides(_index: int) -> tuple[int, ...]:
    """Return no slice beside one."""
    return ()


def _ended(
    planes: Mapping[int, Sequence[NDArray[np.uint8]]], depth: int
) -> dict[int, list[Instance]]:
    """Return the objects that end beside a slice, by its index, with the masks of their last
    slices; `depth` is the number of slices.
    """
    values = {index: _values(of_slice) for index, of_slice in planes.items()}
    ended: dict[int, list[Instance]] = {}
    for value in sorted(set().union(*values.values())):
        indices = [index for index, of_slice in values.items() if value in of_slice]
        for last, beyond in ((min(indices), min(indices) - 1), (max(indices), max(indices) + 1)):
            one = _instance(planes[last], value)
            if 0 <= beyond < depth and np.count_nonzero(one.mask) >= _MIN_END_PX:
                ended.setdefault(beyond, []).append(one)
    return ended


def _planes_of_maps(
    view: SliceView, maps: Sequence[NDArray[np.uint8]]
) -> dict[int, list[NDArray[np.uint8]]]:
    """Slice index -> its plane of every map that holds something there."""
    planes: dict[int, list[NDArray[np.uint8]]] = {}
    for each in maps:
        for index, plane in label_planes(view, each):
            planes.setdefault(index, []).append(plane)
    return dict(sorted(planes.items()))


def _prompted(planes: Sequence[NDArray[np.uint8]]) -> tuple[int, ...]:
    """Label values that are large enough in one slice of all maps."""
    if len(planes) == 1:
        return large_objects(planes[0])
    return tuple(each.value for each in _instances(planes) if is_large(each.mask))


def _instances(planes: Sequence[NDArray[np.uint8]]) -> tuple[Instance, ...]:
    """One object per label value; the parts of one value in several maps belong together."""
    return tuple(_instance(planes, value) for value in sorted(_values(planes)))


def _values(planes: Sequence[NDArray[np.uint8]]) -> set[int]:
    """Label values of a slice in all maps, without 0. Counting is faster than `np.unique` sorts."""
    counts = (np.bincount(plane.ravel(), minlength=1) for plane in planes)
    return {value for each in counts for value in np.flatnonzero(each).tolist() if value}


def _instance(planes: Sequence[NDArray[np.uint8]], value: int) -> Instance:
    return Instance(value, np.logical_or.reduce([plane == value for plane in planes]))


def axes_of(volume: Volume, axes: Axes) -> tuple[int, ...]:
    """Return the voxel axes to cut across: "auto" is that of the largest spacing, "all" all three.

    For a picture, or a volume of one slice, this is always its one axis.

    Raises:
        PromptError: an unknown axis.
    """
    if axes not in get_args(Axes):
        raise PromptError(f"Expected axes {', '.join(get_args(Axes))}, got {axes!r}.")
    if axes == "auto" or 1 in volume.shape_ijk:
        return (largest_spacing_axis(volume),)
    return (0, 1, 2) if axes == "all" else (choose_axis(volume, axes),)


def native_view(volume: Volume, axis: int) -> SliceView:
    """Return the view in square pixels of the finer of the two spacings.

    With equal spacings a voxel is one pixel and nothing is lost; a coarser axis is stretched.
    """
    view = SliceView.of(volume, axis)
    height_mm = view.height * volume.spacing_mm[view.y_axis]
    width_mm = view.width * volume.spacing_mm[view.x_axis]
    finer = min(volume.spacing_mm[view.y_axis], volume.spacing_mm[view.x_axis])
    return SliceView.of(volume, axis, max(1, round(max(height_mm, width_mm) / finer)))


def label_planes(
    view: SliceView, labels: NDArray[np.uint8]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield index and labels (h_px, w_px) of every slice that holds any."""
    in_plane = tuple(axis for axis in range(3) if axis != view.axis)
    for index in np.flatnonzero(labels.any(axis=in_plane)).tolist():
        yield index, resize_labels(view.cut(labels, index), view.size_px)


def large_objects(labels: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return the label values that cover at least `MIN_SHARE` of a plane."""
    counts = np.bincount(labels.ravel(), minlength=1)
    large = np.flatnonzero(counts >= MIN_SHARE * labels.size)
    return tuple(int(value) for value in large if value > 0)


def label_map(instances: Sequence[Instance], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return one map (h, w) of all objects, smaller ones on top of larger ones."""
    labels = np.zeros(shape[:2], np.uint8)
    for instance in sorted(instances, key=lambda each: -int(np.count_nonzero(each.mask))):
        labels[instance.mask] = instance.value
    return labels


def is_large(mask: NDArray[np.bool_]) -> bool:
    """Return True if a mask covers at least `MIN_SHARE` of its slice."""
    return int(np.count_nonzero(mask)) >= MIN_SHARE * mask.size


def resize_labels(plane: NDArray[np.generic], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Return labels or a mask resized to (height, width), each pixel from its nearest neighbour."""
    height, width = size_px
    pixels = np.ascontiguousarray(plane, dtype=np.uint8)
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.uint8)


def spread(items: Sequence[Item], limit: int) -> tuple[Item, ...]:
    """Return at most `limit` items, evenly spread, with the first and the last; 0 for all."""
    if not limit or len(items) <= limit:
        return tuple(items)
    indices = np.linspace(0, len(items) - 1, limit).round().astype(int)
    return tuple(items[index] for index in indices)
