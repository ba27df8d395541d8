"""Slices as a network without prompts sees them, and which categories compete in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.categories import Categories
from segsam.datasets.folder import Dataset, class_numbers
from segsam.datasets.labelled_slices import slices_of
from segsam.datasets.splits import TRAIN, Split
from segsam.errors import TrainingError
from segsam.model.hosts.preparation import normalise_min_max
from segsam.research.study.unet.networks import SIDE_PX


@dataclass(frozen=True, eq=False)
class ClassSlice:
    """One slice, with a class number for each pixel: k + 1 for category k, 0 for background."""

    dataset: str
    picture: NDArray[np.uint8]
    """(h_px, w_px, 3), or (h_px, w_px, 1) where the three are the same."""
    numbers: NDArray[np.uint8]
    """(h_px, w_px)."""
    competing: Tensor
    """(K + 1,) bool: the background, and what the data set annotates."""

    def prepared(self) -> Tensor:
        """(3, 256, 256) float32 in [0, 1], as LiteMedSAM has it."""
        return prepared(np.repeat(self.picture, 3 // self.picture.shape[2], axis=2))

    def target(self) -> Tensor:
        """(1, 256, 256) float32 for the transforms, whole numbers."""
        padded = np.zeros((1, SIDE_PX, SIDE_PX), dtype=np.float32)
        padded[0, : self.numbers.shape[0], : self.numbers.shape[1]] = self.numbers
        return torch.from_numpy(padded)


def prepared(picture: NDArray[np.uint8]) -> Tensor:
    """A slice (h_px, w_px, 3) stretched to [0, 1] and padded to (3, 256, 256)."""
    return normalise_min_max(picture, SIDE_PX)


def categories_of(datasets: Sequence[Dataset]) -> Categories:
    """What at least one of the data sets annotates.

    Raises:
        CategoryError: a label that the vocabulary does not know; names the nearest.
    """
    return Categories.load().only(name for one in datasets for name in one.labels.values())


def training_slices(
    datasets: Sequence[Dataset], split: Split, categories: Categories, limits: Mapping[str, int]
) -> list[ClassSlice]:
    """All slices to learn from; `limits` are of slices of a volume, by data set.

    Raises:
        TrainingError: when there is none, or data that cannot be read.
        VolumeError: an image that cannot be read.
    """
    found = [
        one
        for dataset in datasets
        for one in _slices(dataset, split, categories, limits.get(dataset.name, 0))
    ]
    if not found:
        raise TrainingError("The split's part train holds no slice of these data sets.")
    return found


def _slices(
    dataset: Dataset, split: Split, categories: Categories, limit: int
) -> Iterator[ClassSlice]:
    numbers = class_numbers(dataset, categories)
    table = np.zeros(256, dtype=np.uint8)
    table[list(numbers)] = list(numbers.values())
    competing = torch.zeros(len(categories) + 1, dtype=torch.bool)
    competing[[0, *numbers.values()]] = True
    for case in split.cases(TRAIN, dataset.name):
        for one in slices_of(dataset, case, input_size=SIDE_PX, limit=limit):
            grey = bool((one.picture == one.picture[..., :1]).all())
            picture = one.picture[..., :1].copy() if grey else one.picture
            yield ClassSlice(dataset.name, picture, table[one.labels], competing)
