"""From folders of labelled cases to slices ready to be learnt from: split, cut, encoded, kept."""

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
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.ranks import Ranks
from segsam.training.targets import AnnotatedImage, annotate
from segsam.types import Progress


@dataclass(frozen=True, eq=False)
class Sample:
    """A slice ready to be learnt from."""

    name: str
    """data set/case/index, the same in every run."""
    dataset: str
    modality: str
    key: str
    """Of its features in the store."""
    labels: NDArray[np.uint8]
    """(h_px, w_px), label values."""
    prompted: tuple[int, ...]
    """Label values of the objects that are large enough."""
    classes: Mapping[int, int]
    """Of its data set: label value -> category + 1."""
    instances: tuple[tuple[int, NDArray[np.uint8]], ...] = ()
    """Label value and mask, packed to bits, of objects that have masks of their own."""
    absent: tuple[int, ...] = ()
    """Category + 1 of what no image of its modality shows."""

    @classmethod
    def of(
        cls,
        one: LabelledSlice,
        dataset: Dataset,
        classes: Mapping[int, int],
        *,
        key: str,
        absent: tuple[int, ...] = (),
    ) -> Sample:
        """A slice of a data set whose features are kept under `key`."""
        packed = tuple((each.value, np.packbits(each.mask)) for each in one.instances)
        return cls(
            one.name,
            dataset.name,
            dataset.modality,
            key,
            one.labels,
            one.prompted,
            classes,
            packed,
            absent,
        )

    def annotated(self, model: SegSam) -> tuple[AnnotatedImage, list[int]]:
        """Targets at the model's input size, and which of its masks are large enough to prompt."""
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
        kept = [place for place, value in enumerate(values) if value not in self.prompted]
        masks = torch.cat([torch.from_numpy(own), image.masks[kept]])
        numbers = torch.tensor([self.classes[value] for value, _ in self.instances])
        classes = torch.cat([numbers, image.classes[kept]])
        return AnnotatedImage(masks, classes, image.annotated), list(range(len(own)))


def chosen_split(config: TrainConfig, datasets: Sequence[Dataset]) -> Split:
    """The split that the run names, or one made of its shares; every case is in one part.

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
                f"The split {Path(config.split).name} does not say where {len(missing)} of "
                f"{len(dataset.cases)} cases of {dataset.name} belong, such as {missing[0]}."
            )
    return split


class Preparation:
    """Cuts and encodes the cases of a split; what was encoded before is taken from the store."""

    def __init__(
        self,
        config: TrainConfig,
        datasets: Sequence[Dataset],
        model: SegSam,
        store: EmbeddingStore,
        *,
        ranks: Ranks,
    ) -> None:
        _refuse_unknown_names(config, datasets)
        self._config = config
        self._datasets = datasets
        self._model = model
        self._store = store
        self._ranks = ranks

    def samples(self, split: Split, progress: Progress) -> dict[str, list[Sample]]:
        """Slices to train on and to validate with, in the order of data sets and cases.

        Raises:
            TrainingError: nothing to train on, or data that do not fit.
            CategoryError: a label that the model's categories do not know.
        """
        cases = cases_of(split, self._datasets, (TRAIN, VALIDATION))
        if self._ranks.world > 1:  # encoding is the work that is worth sharing
            for place in self._ranks.share(len(cases)):
                part, dataset, case = cases[place]
                list(self._of_case(dataset, case, part))
            self._ranks.wait()
        found: dict[str, list[Sample]] = {TRAIN: [], VALIDATION: []}
        for done, (part, dataset, case) in enumerate(cases):
            progress(done, len(cases), f"preparing {dataset.name}")
            found[part] += self._of_case(dataset, case, part)
        if not found[TRAIN]:
            raise TrainingError("No slice to train on holds an object of 0.153 % or more of it.")
        return found

    def _of_case(self, dataset: Dataset, case: str, part: str) -> Iterator[Sample]:
        classes = class_numbers(dataset, self._model.categories)
        absent = absent_classes(dataset, self._datasets, self._model.categories)
        side = self._model.host.facts.input_size
        for one in cut_case(self._config, dataset, case, part=part, input_size=side):
            key = self._store.add(one.picture)
            yield Sample.of(one, dataset, classes, key=key, absent=absent)


def absent_classes(
    dataset: Dataset, datasets: Sequence[Dataset], categories: Categories
) -> tuple[int, ...]:
    """Category + 1 of what is labelled in images of other modalities only.

    A data set says nothing of what it does not label, so a category that one data set alone labels
    would be learnt as present everywhere. That a fundus photograph shows no liver is known all the
    same; that an MR of the heart shows none is not, if another MR data set labels it.
    """
    of_own, of_others = set[int](), set[int]()
    for other in datasets:
        same = other.modality == dataset.modality
        (of_own if same else of_others).update(class_numbers(other, categories).values())
    return tuple(sorted(of_others - of_own))


def cases_of(
    split: Split, datasets: Sequence[Dataset], parts: Sequence[str]
) -> list[tuple[str, Dataset, str]]:
    """Part, data set and case, data set by data set."""
    return [
        (part, dataset, case)
        for dataset in datasets
        for part in parts
        for case in split.cases(part, dataset.name)
    ]


def cut_case(
    config: TrainConfig, dataset: Dataset, case: str, *, part: str, input_size: int
) -> Iterator[LabelledSlice]:
    """The slices of a case that a run uses, those to train on with their changed copies; test cases
    are cut without a limit.
    """
    limit = config.slices_per_volume_of.get(dataset.name, config.slices_per_volume)
    copies = config.augmented_copies_of.get(dataset.name, 0) if part == TRAIN else 0
    upright = config.upright_copies_of.get(dataset.name, 0) if part == TRAIN else 0
    limit = 0 if part == TEST else limit
    for one in source_slices(dataset, case, input_size=input_size, limit=limit):
        for made in (one, *_changed(one, copies), *_turned(one, upright)):
            if made.prompted:
                yield made


def _changed(one: LabelledSlice, copies: int, *, coarse: bool = False) -> Iterator[LabelledSlice]:
    """Augmented copies of a slice, whatever the run's seed, so that what is kept serves all."""
    if copies:
        from segsam.datasets.transforms import augmented

        for copy in range(1, copies + 1):
            yield augmented(one, seed=0, copy=copy, coarse=coarse)


def _turned(one: LabelledSlice, copies: int) -> Iterator[LabelledSlice]:
    """The slice as a CT volume would show it, and changed copies of that."""
    if copies:
        from segsam.datasets.transforms import upright

        turned = upright(one)
        yield turned
        yield from _changed(turned, copies - 1, coarse=True)


def _refuse_unknown_names(config: TrainConfig, datasets: Sequence[Dataset]) -> None:
    names = [dataset.name for dataset in datasets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TrainingError(f"Two data sets have the name {twice[0]!r}; expected different ones.")
    for key in ("slices_per_volume_of", "augmented_copies_of", "upright_copies_of"):
        unknown = sorted(set(getattr(config, key)) - set(names))
        if unknown:
            raise TrainingError(
                f"There is no data set {unknown[0]!r}, as {key} says; there are {', '.join(names)}."
            )
