"""Proposals by the dense head: boxes around the objects of each category, on every slice.

    slices, each with those beside it --dense head--> probability of each category in cells,
           (slices, cells, cells)
           --smoothed across slices, threshold--> parts that hang together
           --parts large enough--> boxes on every slice that a part reaches

A category may have several parts, such as two kidneys, and several boxes on a slice. In images
unlike those of the training, maps also show what is not there. Its box then gets another name, or
none: what a box holds is named as that of a user is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from segsam.datasets.labelled_slices import spread
from segsam.model import ImageFeatures, SegSam
from segsam.prediction.decoding import SliceDecoder
from segsam.prediction.labels import LabelBuilder, Region
from segsam.prediction.naming import near_categories
from segsam.prediction.propagation import tight_box
from segsam.prediction.semantics import image_distances
from segsam.prompting.prompts import Box
from segsam.proposals.boxes import is_line

MOST_READ = 96
"""Most slices whose maps are read; between them maps are interpolated. Each has to be encoded."""
_THRESHOLD = 0.5
_SMOOTHED_MM = 2.0
"""Standard deviation, across slices, over which their maps are averaged."""
_MOST_SMOOTHED = 1.0
"""The same in slices, at most."""
_LEAST_PART = 0.25
"""Parts smaller than this share of the largest one of their category are left out."""
_LEAST_CELLS = 2
"""Parts of fewer cells are left out, over all slices."""
_LEAST_ON_SLICE = 0.1
"""Of a slice, parts below this share of its largest one get no box."""
_MARGIN = 1e-4
"""Probabilities are kept this far from 0 and 1, where log-odds end."""


@dataclass(frozen=True, eq=False)
class DenseObject:
    """Everything of one category that the dense head sees in a volume."""

    category: int
    probability: float
    """Mean of the cells that belong to it."""
    boxes: tuple[Box, ...]
    """Flat along the axis of the slices; several on a slice for several parts."""
    cells: NDArray[np.float32]
    """Probabilities (slices, cells, cells) by the dense head alone."""
    is_part: NDArray[np.bool_]
    """True for the cells that belong to it."""


class DenseMaps:
    """Maps of some categories on the slices of one volume."""

    def __init__(self, model: SegSam, slices: SliceDecoder, categories: Sequence[int]) -> None:
        """Prepare for a model with a dense head."""
        self._model, self._slices = model, slices
        self._categories = list(categories)
        self._maps: dict[int, NDArray[np.float16]] = {}
        self._is_near: dict[int, NDArray[np.bool_]] = {}
        self._features: dict[int, ImageFeatures] = {}
        """Of slices that are still to be read, or beside one."""
        self.indices = spread(tuple(range(slices.view.depth)), MOST_READ)
        """Slices to read, in order."""

    @torch.inference_mode()
    def read(self, index: int) -> None:
        """Read the maps of a slice, with the slices beside it among those that are to be read."""
        sides = self._slices.view.beside(index, self.indices)
        features, *beside = (self._of(one) for one in (index, *sides))
        first = min((index, *sides))
        self._features = {i: one for i, one in self._features.items() if i >= first}
        logits = self._model.category_maps(features, beside)
        if logits is None:
            raise ValueError("Expected a model with a dense head.")
        chosen = logits[0, self._categories].float().sigmoid().cpu().numpy()
        self._maps[index] = chosen.astype(np.float16)
        near = near_categories(self._model, image_distances(self._model, features))
        self._is_near[index] = near[self._categories]

    def _of(self, index: int) -> ImageFeatures:
        """Return the features of a slice; they stay here until no slice is left that needs them."""
        if index not in self._features:
            self._features[index] = self._slices.features(index)
        return self._features[index]

    def presence(self, index: int) -> dict[int, float]:
        """Return the highest probability of each category in a cell of a slice that was read; 0 if
        no image of the memory is near that shows it.
        """
        highest = self._maps[index].max(axis=(1, 2)) * self._is_near[index]
        return dict(zip(self._categories, map(float, highest), strict=True))

    def objects(self) -> Iterator[DenseObject]:
        """Yield what the slices read show of each category, if anything."""
        found = (self._object(place) for place in range(len(self._categories)))
        yield from (one for one in found if one is not None)

    def region(self, one: DenseObject, within: tuple[slice, slice, slice] | None = None) -> Region:
        """Return the probabilities of an object; of a box of voxels alone if one is given."""
        labels = LabelBuilder(self._slices.view, within)
        for index in np.flatnonzero(one.is_part.any(axis=(1, 2))).tolist():
            labels.add(index, self._plane(one.cells[index], one.is_part[index]))
        return labels.region()

    def _object(self, place: int) -> DenseObject | None:
        read = sorted(self._maps)
        stack = np.stack([self._maps[index][place] for index in read]).astype(np.float32)
        if stack.max() < _THRESHOLD:
            return None
        volume = self._smoothed(stack, read)
        kept = _large_parts(volume >= _THRESHOLD)
        if not kept.any():
            return None
        boxes = list[Box]()
        for index in np.flatnonzero(kept.any(axis=(1, 2))).tolist():
            boxes += self._boxes(index, self._plane(volume[index], kept[index]) > 0)
        if not boxes:
            return None
        mean = float(volume[kept].mean())
        return DenseObject(self._categories[place], mean, tuple(boxes), volume, kept)

    def _smoothed(self, stack: NDArray[np.float32], read: Sequence[int]) -> NDArray[np.float32]:
        """Return the maps (depth, cells, cells) of every slice from those that were read."""
        view = self._slices.view
        if len(read) < view.depth:
            places = np.interp(np.arange(view.depth), read, np.arange(len(read)))
            below = np.floor(places).astype(int)
            above = np.minimum(below + 1, len(read) - 1)
            share = (places - below).astype(np.float32)[:, None, None]
            stack = stack[below] * (1 - share) + stack[above] * share
        sigma = min(_SMOOTHED_MM / view.spacing_mm[view.axis], _MOST_SMOOTHED)
        smooth = ndimage.gaussian_filter1d(stack, sigma, axis=0, mode="nearest")
        return np.asarray(smooth, dtype=np.float32)

    def _plane(self, cells: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the logits (y, x) of a slice, negative beyond the parts that are kept."""
        p = np.clip(cells, _MARGIN, 1 - _MARGIN)
        logits = np.log(p / (1 - p))
        near = ndimage.binary_dilation(kept, np.ones((3, 3)))
        own = np.where(near, logits, -np.abs(logits))
        return np.asarray(self._slices.view.logits_to_plane(torch.from_numpy(own)).numpy())

    def _boxes(self, index: int, mask: NDArray[np.bool_]) -> list[Box]:
        """Return the box of each part of a mask (y, x) that is not only a line."""
        view = self._slices.view
        parts, count = ndimage.label(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        large = np.flatnonzero(sizes >= _LEAST_ON_SLICE * sizes.max(initial=0)) + 1
        boxes = [tight_box(view, parts == number, index) for number in large.tolist()]
        return [box for box in boxes if not is_line(box, view)]


def _large_parts(is_inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the cells of the parts that are large enough."""
    parts, count = ndimage.label(is_inside, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    is_kept = (sizes >= _LEAST_PART * sizes.max()) & (sizes >= _LEAST_CELLS)
    return np.asarray(is_kept[parts])
