"""Slices for a network without prompts: preparation, competing categories and augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandGaussianNoised,
    RandScaleIntensityd,
)
from numpy.typing import NDArray
from torch import Tensor

from segsam.categories import Categories
from segsam.datasets.folder import Dataset, class_numbers
from segsam.datasets.labelled_slices import slices_of
from segsam.datasets.splits import TRAIN, Split
from segsam.errors import TrainingError
from segsam.model.hosts.preparation import normalise_min_max
from segsam.research.study.unet.loss import IGNORED
from segsam.research.study.unet.networks import SIDE_PX


@dataclass(frozen=True, eq=False)
class ClassSlice:
    """Slice with a class number for each pixel: k + 1 for category k, 0 for background, and
    `IGNORED` in a mask without a name.
    """

    dataset: str
    picture: NDArray[np.uint8]
    """(h_px, w_px, 3), or (h_px, w_px, 1) if the three channels are equal."""
    numbers: NDArray[np.uint8]
    """(h_px, w_px)."""
    competing: Tensor
    """(K + 1,) bool: the background, and the categories that the data set annotates."""

    def network_input(self) -> Tensor:
        """Return the slice as (3, 256, 256) float32 in [0, 1]."""
        return network_input(np.repeat(self.picture, 3 // self.picture.shape[2], axis=2))

    def target(self) -> Tensor:
        """Return the class numbers as (1, 256, 256) float32, which the transforms require."""
        padded = np.zeros((1, SIDE_PX, SIDE_PX), dtype=np.float32)
        padded[0, : self.numbers.shape[0], : self.numbers.shape[1]] = self.numbers
        return torch.from_numpy(padded)


class Augmentation:
    """Random rotation, scale, shift, brightness, contrast and noise by MONAI's transforms.

    Slices are not mirrored: some categories are named left and right.
    """

    def __init__(self) -> None:
        self._transform = Compose(
            [
                RandAffined(
                    keys=["picture", "target"],
                    prob=0.7,
                    rotate_range=0.26,
                    scale_range=0.2,
                    translate_range=16,
                    mode=["bilinear", "nearest"],
                    padding_mode="zeros",
                ),
                RandScaleIntensityd(keys=["picture"], factors=0.25, prob=0.3),
                RandAdjustContrastd(keys=["picture"], gamma=(0.7, 1.5), prob=0.3),
                RandGaussianNoised(keys=["picture"], std=0.05, prob=0.2),
            ]
        )

    def batch(self, slices: Sequence[ClassSlice], seed: int) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, 256, 256) float32 and class numbers (B, 256, 256) int64."""
        self._transform.set_random_state(seed=seed)
        augmented = [
            self._transform({"picture": one.network_input(), "target": one.target()})
            for one in slices
        ]
        pictures = [torch.as_tensor(np.asarray(one["picture"])) for one in augmented]
        targets = [torch.as_tensor(np.asarray(one["target"]))[0] for one in augmented]
        return torch.stack(pictures), torch.stack(targets).round().long()


def network_input(picture: NDArray[np.uint8]) -> Tensor:
    """Normalise a slice (h_px, w_px, 3) to [0, 1] as LiteMedSAM does, and pad to (3, 256, 256)."""
    return normalise_min_max(picture, SIDE_PX)


def categories_of(datasets: Sequence[Dataset]) -> Categories:
    """Return the categories that at least one of the data sets annotates.

    Raises:
        CategoryError: a label that is not in the vocabulary; the nearest is named.
    """
    return Categories.load().only(name for one in datasets for name in one.names.values())


def training_slices(
    datasets: Sequence[Dataset], split: Split, categories: Categories, limits: Mapping[str, int]
) -> list[ClassSlice]:
    """Return all training slices; `limits` are the most slices per volume, by data set.

    Raises:
        TrainingError: no slices, or data that cannot be read.
        VolumeError: an image that cannot be read.
    """
    found = [
        one
        for dataset in datasets
        for one in _slices(dataset, split, categories, limits.get(dataset.name, 0))
    ]
    if not found:
        raise TrainingError(
            "Expected slices of these data sets in the part `train` of the split, got none."
        )
    return found


def _slices(
    dataset: Dataset, split: Split, categories: Categories, limit: int
) -> Iterator[ClassSlice]:
    numbers = class_numbers(dataset, categories)
    table = np.zeros(256, dtype=np.uint8)
    table[list(numbers)] = [number or IGNORED for number in numbers.values()]
    competing = torch.zeros(len(categories) + 1, dtype=torch.bool)
    competing[[0, *numbers.values()]] = True
    for case in split.cases(TRAIN, dataset.name):
        for one in slices_of(dataset, case, input_size=SIDE_PX, limit=limit):
            grey = bool((one.picture == one.picture[..., :1]).all())
            picture = one.picture[..., :1].copy() if grey else one.picture
            yield ClassSlice(dataset.name, picture, table[one.labels], competing)
