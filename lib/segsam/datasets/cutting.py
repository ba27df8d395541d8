"""Labelled cases cut into slices as the model sees them.

A volume is cut along its largest spacing (as prediction does by itself). Every label of a slice is
one object. Objects under 0.153 % of the slice are never prompted (paper, section 4.1), but stay
what they are in the targets of presence and of the full image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset, load_case
from segsam.intensity import Intensity
from segsam.slices import SliceView, choose_axis

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
    """data set/case/index, the same in every run."""
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
    dataset: Dataset, case: str, *, input_size: int, limit: int = 0
) -> Iterator[LabelledSlice]:
    """The slices of a case that hold an object to prompt; `limit` as `slices_per_volume`.

    Raises:
        TrainingError: labels of another shape than their image, or values without a name.
        VolumeError: an image that cannot be read.
    """
    volume, labels = load_case(dataset, case)
    intensity = Intensity.for_volume(volume)
    view = SliceView.of(volume, choose_axis(volume, "auto"), input_size)
    planes = {index: _label_plane(view, labels, index) for index in range(view.depth)}
    prompted = {index: large_objects(plane) for index, plane in planes.items()}
    for index in _spread([index for index, values in prompted.items() if values], limit):
        yield LabelledSlice(
            f"{dataset.name}/{case}/{index}",
            view.image(volume, intensity, index),
            planes[index],
            prompted[index],
        )


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


def _spread(indices: list[int], limit: int) -> list[int]:
    if not limit or len(indices) <= limit:
        return indices
    places = np.linspace(0, len(indices) - 1, limit).round().astype(int)
    return [indices[place] for place in places]
