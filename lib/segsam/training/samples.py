"""Samples of a run: cases of labelled data sets, split, cut into slices and encoded."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.categories import Categories
from segsam.datasets.folder import Dataset, class_numbers
from segsam.datasets.labelled_slices import Axes, Instance, LabelledSlice
from segsam.datasets.sources import source_slices
from segsam.datasets.splits import TEST, TRAIN, VALIDATION, Split, split_cases
from segsam.errors import TrainingError
from segsam.imaging.intensity import random_ct_window
from segsam.model import SegSam
from segsam.training.config import TrainConfig
from segsam.training.targets import NO_CLASS, AnnotatedImage, annotate
from segsam.training.teacher_masks import TeacherMasks

_ALL_AXES = (0, 1, 2)
COPIES = ("augmented", "upright", "mirrored", "windowed")
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
    ended: tuple[tuple[int, NDArray[np.uint8]], ...] = ()
    """As `instances`: objects that ended on a slice beside this one, with their masks there."""
    beside: tuple[str, ...] = ()
    """Keys of the features of up to two slices beside this one."""
    taught: TeacherMasks | None = None
    """Masks of the run's teacher, where no object is labelled."""

    @classmethod
    def of(
        cls,
        one: LabelledSlice,
        dataset: Dataset,
        classes: DatasetClasses,
        *,
        key: str,
        beside: Sequence[str] = (),
        taught: TeacherMasks | None = None,
    ) -> Sample:
        """Return the sample of a slice whose features, and those of the slices beside it, are
        stored under these keys.
        """
        return cls(
            one.name,
            dataset.name,
            dataset.modality,
            key,
            one.labels,
            one.prompted,
            classes.known,
            _packed(one.instances),
            classes.absent,
            _packed(one.ended),
            tuple(beside),
            taught,
        )

    def slice(self, picture: NDArray[np.uint8]) -> LabelledSlice:
        """Return the slice that this sample was made of, with its picture (h_px, w_px, 3)."""
        return LabelledSlice(
            self.name,
            picture,
            self.labels,
            self.prompted,
            self._unpacked(self.instances),
            self._unpacked(self.ended),
        )

    def moved(self, to: LabelledSlice) -> Sample:
        """Return this sample with the labels and objects of an augmented copy of its slice."""
        return replace(
            self,
            labels=to.labels,
            prompted=to.prompted,
            instances=_packed(to.instances),
            ended=_packed(to.ended),
            taught=None,  # drawn on the picture as it was
        )

    def ended_objects(self) -> tuple[Instance, ...]:
        """Return the objects that ended on a slice beside this one, with their masks (h_px, w_px)
        there.
        """
        return self._unpacked(self.ended)

    def _unpacked(self, packed: Sequence[tuple[int, NDArray[np.uint8]]]) -> tuple[Instance, ...]:
        shape, count = self.labels.shape, self.labels.size
        return tuple(
            Instance(value, np.unpackbits(bits, count=count).astype(np.bool_).reshape(shape))
            for value, bits in packed
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
        for mask, each in zip(own, self._unpacked(self.instances), strict=True):
            mask[:height, :width] = each.mask
        small = [index for index, value in enumerate(values) if value not in self.prompted]
        masks = torch.cat([torch.from_numpy(own), image.masks[small]])
        numbers = torch.tensor([self.classes[value] for value, _ in self.instances])
        classes = torch.cat([numbers, image.classes[small]])
        return AnnotatedImage(masks, classes, image.annotated), list(range(len(own)))


def _packed(objects: Sequence[Instance]) -> tuple[tuple[int, NDArray[np.uint8]], ...]:
    return tuple((each.value, np.packbits(each.mask)) for each in objects)


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
    axes: Axes = "all" if dataset.name in config.all_axes_of else "auto"
    learns = part == TRAIN
    ends = config.end_slices_of.get(dataset.name, 0) if learns else 0
    windows = _other_windows(config, dataset, case) if learns else ()
    for number, window in enumerate((None, *windows)):
        for one in source_slices(
            dataset,
            case,
            input_size=input_size,
            limit=limit,
            axes=axes,
            ends=ends,
            window=window,
            beside=_ALL_AXES if learns and config.reads_beside else (),
        ):
            named = replace(one, name=f"{one.name}~{number}") if number else one
            copies = _copies(config, dataset, named) if learns else ()
            for made in (named, *copies):
                if made.prompted or made.ended:
                    yield made


def _other_windows(
    config: TrainConfig, dataset: Dataset, case: str
) -> Iterator[tuple[float, float]]:
    """Yield the grey-value windows of a case's windowed copies; raises TrainingError if it is no
    CT.
    """
    count = config.windowed_copies_of.get(dataset.name, 0)
    if count and dataset.modality != "CT":
        raise TrainingError(
            f"Expected CT in windowed_copies_of, got {dataset.name}, which is {dataset.modality}."
        )
    for copy in range(1, count + 1):
        yield random_ct_window(zlib.crc32(f"{dataset.name}/{case}~{copy}".encode()))


def _copies(config: TrainConfig, dataset: Dataset, one: LabelledSlice) -> Iterator[LabelledSlice]:
    """Yield the copies of a training slice that a run has of its data set."""
    yield from _augmented(one, config.augmented_copies_of.get(dataset.name, 0))
    yield from _upright(one, config.upright_copies_of.get(dataset.name, 0))
    yield from _mirrored(one, dataset, config.mirrored_copies_of.get(dataset.name, 0))


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
