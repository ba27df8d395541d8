"""Labelled cases cut into slices as the model sees them.

A volume is cut along its largest spacing (as prediction does by itself), or along all three axes as
the paper and SAM-Med2D do. Pictures are 0 to 255. Every label of a slice is one object. Objects
under 0.153 % of the slice are never prompted (paper, section 4.1), but stay what they are in the
targets of presence and of the full image.

Files are read by the project's own `Volume`, which refuses what MONAI's LoadImage lets through
(shears, NaN, 4D), and greys become 0 to 255 by the same `Intensity` as in prediction. Augmentation
is MONAI's: see `transforms`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset, load_case
from segsam.errors import PromptError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView, choose_axis
from segsam.imaging.volume import Volume

Axes = Literal["auto", "all", "i", "j", "k"]

Item = TypeVar("Item")
MIN_SHARE = 0.00153
"""Smaller objects are not prompted: 100 pixels of 256 x 256."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One object of a slice: its label value and its own mask, which others may overlap."""

    value: int
    mask: NDArray[np.bool_]
    """(h_px, w_px)."""


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One slice with at least one object to prompt, as the model sees it.

    Where a data set keeps objects as masks of their own (several of one label, or overlapping),
    `instances` holds those that are large enough; `labels` then shows the smaller ones on top.
    """

    name: str
    """data set/case/index, or data set/case/k12 of a named axis; the same in every run."""
    picture: NDArray[np.uint8]
    """(h_px, w_px, 3)."""
    labels: NDArray[np.uint8]
    """(h_px, w_px), label values."""
    prompted: tuple[int, ...]
    """Label values of the objects that are large enough."""
    instances: tuple[Instance, ...] = ()
    """None where every label is one object: `objects` covers both."""

    @property
    def objects(self) -> tuple[Instance, ...]:
        """The objects to prompt, each with its mask: what training and evaluation draw from."""
        if self.instances:
            return self.instances
        return tuple(Instance(value, self.labels == value) for value in self.prompted)


def slices_of(
    dataset: Dataset, case: str, *, input_size: int, limit: int = 0, axes: Axes = "auto"
) -> Iterator[LabelledSlice]:
    """The slices of a case that hold an object to prompt; `limit` as `slices_per_volume`.

    Args:
        dataset: it belongs to.
        case: its name.
        input_size: longest side of a slice in pixels; 0 for the slice's own, see `own_view`.
        limit: at most so many slices along each axis, evenly spread; 0 for all.
        axes: see `axes_of`. Named axes show in the slice's name: data set/case/k12.

    Raises:
        TrainingError: labels of another shape than their image, or values without a name.
        VolumeError: an image that cannot be read.
        PromptError: another word than the axes have.
    """
    volume, labels = load_case(dataset, case)
    name = f"{dataset.name}/{case}"
    yield from cut_volume(volume, labels, name, input_size=input_size, limit=limit, axes=axes)


def cut_volume(
    volume: Volume,
    labels: NDArray[np.uint8],
    name: str,
    *,
    input_size: int,
    limit: int = 0,
    axes: Axes = "auto",
) -> Iterator[LabelledSlice]:
    """The same for a volume and its labels (i, j, k) in memory; slices are called `name`/index.

    Raises:
        PromptError: another word than the axes have.
    """
    intensity = Intensity.for_volume(volume)
    for axis in axes_of(volume, axes):
        view = SliceView.of(volume, axis, input_size) if input_size else own_view(volume, axis)
        letter = "" if axes == "auto" else "ijk"[axis]
        planes = dict(label_planes(view, labels))
        prompted = {index: large_objects(plane) for index, plane in planes.items()}
        for index in spread([index for index, values in prompted.items() if values], limit):
            yield LabelledSlice(
                f"{name}/{letter}{index}",
                view.image(volume, intensity, index),
                planes[index],
                prompted[index],
            )


def axes_of(volume: Volume, axes: Axes) -> tuple[int, ...]:
    """The voxel axes to cut across: `auto` is the one of the largest spacing, `all` every axis.

    A picture, or a volume of one slice, has one axis only, whatever is asked for.

    Raises:
        PromptError: another word.
    """
    if axes not in get_args(Axes):
        raise PromptError(f"Axes are {', '.join(get_args(Axes))}; got {axes!r}.")
    if 1 in volume.shape_ijk:
        return (choose_axis(volume, "auto"),)
    return (0, 1, 2) if axes == "all" else (choose_axis(volume, axes),)


def own_view(volume: Volume, axis: int) -> SliceView:
    """Slices whose pixels are square and as fine as the finer of their two spacings.

    A voxel is one pixel where spacings are equal, so that nothing is lost; along a coarser axis
    pixels are drawn out.
    """
    view = SliceView.of(volume, axis)
    height_mm = view.height * volume.spacing_mm[view.y_axis]
    width_mm = view.width * volume.spacing_mm[view.x_axis]
    finer = min(volume.spacing_mm[view.y_axis], volume.spacing_mm[view.x_axis])
    return SliceView.of(volume, axis, max(1, round(max(height_mm, width_mm) / finer)))


def label_planes(
    view: SliceView, labels: NDArray[np.uint8]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Index and labels (h_px, w_px) of every slice that holds any; the others cost nothing."""
    across = tuple(axis for axis in range(3) if axis != view.axis)
    for index in np.flatnonzero(labels.any(axis=across)).tolist():
        yield index, _label_plane(view, labels, index)


def large_objects(labels: NDArray[np.uint8]) -> tuple[int, ...]:
    """Label values of a plane that cover at least `MIN_SHARE` of it."""
    counts = np.bincount(labels.ravel(), minlength=1)
    large = np.flatnonzero(counts >= MIN_SHARE * labels.size)
    return tuple(int(value) for value in large if value > 0)


def large_share(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask covers at least `MIN_SHARE` of its slice."""
    return int(np.count_nonzero(mask)) >= MIN_SHARE * mask.size


def _label_plane(view: SliceView, labels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    plane = np.ascontiguousarray(view.cut(labels, index), dtype=np.uint8)
    height, width = view.size_px
    resized = cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.uint8)


def spread(items: Sequence[Item], limit: int) -> tuple[Item, ...]:
    """At most `limit` of the items, evenly spread, the first and the last among them; 0 for all."""
    if not limit or len(items) <= limit:
        return tuple(items)
    places = np.linspace(0, len(items) - 1, limit).round().astype(int)
    return tuple(items[place] for place in places)
