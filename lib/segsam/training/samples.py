"""Samples of a run: cases of labelled data sets, split, cut into slices and encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.categories import Categories
from segsam.datasets.folder import Dataset, class_numbers
from segsam.datasets.labelled_slices import LabelledSlice
from segsam.datasets.sources import source_slices
from segsam.datasets.splits import TEST, TRAIN, VALIDATION, Split, split_cases
from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.training.config import TrainConfig
from segsam.training.targets import NO_CLASS, AnnotatedImage, annotate

COPIES = ("augmented", "upright", "mirrored")
"""Kinds of copies, of which a run's configuration has a number for each data set."""
NO_SLICE = (
    "Expected a slice to train on with an object of at least 0.153 % of its pixels, got none."
)


@dataclass(frozen=True, eq=False)
class Sample:
    """One slice to train on or to validate with."""

    name: str
    """data set/case/index, the same in every run."""
    dataset: str
    modality: str
    key: str
    """Key of its features in the store."""
    labels: NDArray[np.uint8]
    """(h_px, w_px), label values."""
    prompted: tuple[int, ...]
    """Label values of the objects that are large enough to prompt."""
    classes: Mapping[int, int]
    """Label value -> k + 1 for category k, of its data set."""
    instances: tuple[tuple[int, NDArray[np.uint8]], ...] = ()
    """Label value and mask, packed to bits, of objects that have masks of their own."""
    absent: tuple[int, ...] = ()
    """k + 1 of categories that no image of its modality shows."""

    @classmethod
    def of(
        cls,
        one: LabelledSlice,
        dataset: Dataset,
        classes: DatasetClasses,
        *,
        key: str,
    ) -> Sample:
        """Return the sample of a slice whose features are stored under `key`."""
        packed = tuple((each.value, np.packbits(each.mask)) for each in one.instances)
        return cls(
            one.name,
            dataset.name,
            dataset.modality,
            key,
            one.labels,
            one.prompted,
            classes.known,
            packed,
            classes.absent,
        )

    def annotated(self, model: SegSam) -> tuple[AnnotatedImage, list[int]]:
        """Return the annotated image at the model's input size, and the indices of its masks that
        are large enough to prompt.
        """
        side, categories = model.host.facts.input_size, len(model.categories)
        image, values = annotate(
            self.labels, self.classes, side=side, categories=categories, absent=self.absent
        )
        if not self.instances:
            return image, [values.index(value) for value in self.prompted]
        own = np.zeros((len(self.instances), side, side), dtype=np.bool_)
        height, width = self.labels.shape
        for mask, (_, bits) in zip(own, self.instances, strict=True):
            flat = np.unpackbits(bits, count=height * width).astype(np.bool_)
            mask[:height, :width] = flat.reshape(height, width)
        small = [index for index, value in enumerate(values) if value not in self.prompted]
        masks = torch.cat([torch.from_numpy(own), image.masks[small]])
        numbers = torch.tensor([self.classes[value] for value, _ in self.instances])
        classes = torch.cat([numbers, image.classes[small]])
        return AnnotatedImage(masks, classes, image.annotated), list(range(len(own)))


@dataclass(frozen=True)
class DatasetClasses:
    """Categories that the labels of a data set tell about."""

    known: Mapping[int, int]
    """Label value -> k + 1 for category k."""
    absent: tuple[int, ...]
    """k + 1 of categories that no image of its modality shows."""


def dataset_classes(
    datasets: Sequence[Dataset], categories: Categories
) -> dict[str, DatasetClasses]:
    """Return the classes of each data set, by name; raises CategoryError for a label that the
    categories do not know.
    """
    return {
        one.name: DatasetClasses(
            class_numbers(one, categories), absent_classes(one, datasets, categories)
        )
        for one in datasets
    }


def choose_split(config: TrainConfig, datasets: Sequence[Dataset]) -> Split:
    """Return the split that the run names, or make one of its shares; every case is in one part.

    Raises:
        TrainingError: no such file, or one that lacks cases of these data sets.
    """
    if not config.split:
        return split_cases(
            datasets,
            shares={TEST: config.test_share, VALIDATION: config.validation_share},
            seed=config.seed,
            pattern=config.patient,
        )
    split = Split.load(config.split)
    for dataset in datasets:
        known = {case for part in split.parts for case in split.cases(part, dataset.name)}
        missing = [case for case in dataset.cases if case not in known]
        if missing:
            raise TrainingError(
                f"Expected {len(dataset.cases)} cases of {dataset.name} in the split "
                f"{Path(config.split).name}, got {len(dataset.cases) - len(missing)}: "
                f"{missing[0]} is missing."
            )
    return split


def absent_classes(
    dataset: Dataset, datasets: Sequence[Dataset], categories: Categories
) -> tuple[int, ...]:
    """Return k + 1 of the categories that are labelled in images of other modalities only.

    A data set does not tell which unlabelled categories its images show, so a category that only
    one data set labels would be learnt as present everywhere. It is known all the same that a
    fundus photograph shows no liver. An MR image of the heart may show one, if another MR data set
    labels livers.
    """
    same_modality, others = set[int](), set[int]()
    for other in datasets:
        is_same = other.modality == dataset.modality
        (same_modality if is_same else others).update(class_numbers(other, categories).values())
    return tuple(sorted(others - same_modality - {NO_CLASS}))


def cases_of(
    split: Split, datasets: Sequence[Dataset], parts: Sequence[str]
) -> list[tuple[str, Dataset, str]]:
    """Return (part, data set, case) of every case, data set by data set."""
    return [
        (part, dataset, case)
        for dataset in datasets
        for part in parts
        for case in split.cases(part, dataset.name)
    ]


def cut_case(
    config: TrainConfig, dataset: Dataset, case: str, *, part: str, input_size: int
) -> Iterator[LabelledSlice]:
    """Cut the slices of a case that a run uses, with augmented copies in the training part; test
    cases have no limit of slices.
    """
    limit = config.slices_per_volume_of.get(dataset.name, config.slices_per_volume)
    limit = 0 if part == TEST else limit
    for one in source_slices(dataset, case, input_size=input_size, limit=limit):
        copies = _copies(config, dataset, one) if part == TRAIN else ()
        for made in (one, *copies):
            if made.prompted:
                yield made


def _copies(config: TrainConfig, dataset: Dataset, one: LabelledSlice) -> Iterator[LabelledSlice]:
    """Yield the copies of a training slice that a run has of its data set."""
    augmented, upright, mirrored = (
        getattr(config, f"{kind}_copies_of").get(dataset.name, 0) for kind in COPIES
    )
    yield from _augmented(one, augmented)
    yield from _upright(one, upright)
    yield from _mirrored(one, dataset, mirrored)


def _augmented(one: LabelledSlice, copies: int, *, coarse: bool = False) -> Iterator[LabelledSlice]:
    """Augment a slice. The seed is fixed, so that stored embeddings serve runs of any seed."""
    if copies:
        from segsam.datasets.transforms import augmented

        for copy in range(1, copies + 1):
            yield augmented(one, seed=0, copy=copy, coarse=coarse)


def _upright(one: LabelledSlice, copies: int) -> Iterator[LabelledSlice]:
    """Turn and stretch a slice as a CT volume would show it, and augment the result."""
    if copies:
        from segsam.datasets.transforms import upright

        turned = upright(one)
        yield turned
        yield from _augmented(turned, copies - 1, coarse=True)


def _mirrored(one: LabelledSlice, dataset: Dataset, copies: int) -> Iterator[LabelledSlice]:
    """Mirror a slice, with left and right exchanged in its names, and augment the result."""
    if copies:
        from segsam.datasets.sides import mirrored_values
        from segsam.datasets.transforms import mirrored

        turned = mirrored(one, mirrored_values(dataset))
        yield turned
        yield from _augmented(turned, copies - 1)
