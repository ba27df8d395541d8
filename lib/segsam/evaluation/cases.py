"""Choice of the cases to measure, and each case opened with the objects to prompt."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.categories import Categories
from segsam.datasets.folder import Dataset, load_case, open_dataset
from segsam.datasets.labelled_slices import large_objects, spread
from segsam.datasets.splits import Split, patient_of
from segsam.errors import CategoryError, EvaluationError, SegSamError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView, largest_spacing_axis
from segsam.imaging.volume import Volume


@dataclass(frozen=True)
class Selection:
    """The cases of one data set that are measured, in order."""

    dataset: Dataset
    cases: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class OpenCase:
    """A case in memory; its slices are those that prediction takes by itself."""

    dataset: Dataset
    case: str
    volume: Volume
    labels: NDArray[np.uint8]
    """(i, j, k), label values."""
    classes: Mapping[int, int]
    """Label value -> k + 1 for the model's category k, 0 if it does not know the label, or if the
    label is a mask without a name."""
    view: SliceView
    intensity: Intensity
    objects: tuple[tuple[int, tuple[int, ...]], ...]
    """(slice index, label values of its objects to prompt), only of slices that have some."""

    @property
    def name(self) -> str:
        """data set/case."""
        return f"{self.dataset.name}/{self.case}"

    def plane(self, index: int) -> NDArray[np.uint8]:
        """Return the labels of a slice (height, width) at the stored resolution."""
        return self.view.cut(self.labels, index)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a slice (h_px, w_px, 3) as the model sees it."""
        return self.view.image(self.volume, self.intensity, index)

    def label_facts(self, label: int) -> dict[str, Any]:
        """Return the fields that `ObjectScore` and `VolumeScore` have of a label of this case."""
        return {
            "dataset": self.dataset.name,
            "case": self.case,
            "patient": patient_of(self.case),
            "label": label,
            "name": self.dataset.labels[label],
        }

    def object_facts(self, index: int, label: int) -> dict[str, Any]:
        """Return the fields of `ObjectScore` that a slice's object has before it is prompted."""
        return self.label_facts(label) | {
            "modality": self.dataset.modality,
            "slice": index,
            "category": self.classes[label],
            "share": float((self.plane(index) == label).mean()),
        }


def select(
    folders: Sequence[str | Path], *, split: str | None = None, limit: int = 0
) -> tuple[Selection, ...]:
    """Choose the cases to measure of each data set.

    Args:
        folders: of data sets. Plain files are left out: `data/*` matches a README too.
        split: FILE:NAME, a split and its part; only that part's cases are taken then.
        limit: most cases of each data set, evenly spread over them; 0 for all.

    Raises:
        EvaluationError: no data set, two of one name, a split without such a part or with a case
            that does not exist, or nothing to measure.
        TrainingError: a folder or split that cannot be read.
    """
    if not folders:
        raise EvaluationError("Expected at least one folder of a data set, got none.")
    if limit < 0:
        raise EvaluationError(f"Expected a number of cases of 0 or more, got {limit}.")
    datasets = [open_dataset(folder) for folder in folders if not Path(folder).is_file()]
    if not datasets:
        raise EvaluationError(f"Expected the folder of a data set, got the file {folders[0]}.")
    names = [dataset.name for dataset in datasets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EvaluationError(f"Expected data sets of different names, got {twice[0]!r} twice.")
    part = (None, "") if split is None else _part(split)
    selections = tuple(
        Selection(dataset, spread(_cases(dataset, *part), limit)) for dataset in datasets
    )
    if not any(selection.cases for selection in selections):
        where = "" if split is None else f" in the part {part[1]!r}"
        raise EvaluationError(f"Expected cases of {', '.join(names)}{where}, got none.")
    return selections


def open_case(
    dataset: Dataset, case: str, *, input_size: int, categories: Categories, limit: int = 0
) -> OpenCase:
    """Load a case and find the objects to prompt.

    Args:
        dataset: data set of the case.
        case: name of the case.
        input_size: side of the model's input, in pixels.
        categories: the model's.
        limit: most slices, evenly spread over those with an object; 0 for all.

    Raises:
        SegSamError: as `load_case` raises; the sentence names the case.
    """
    try:
        volume, labels = load_case(dataset, case)
        intensity = Intensity.for_volume(volume)
        view = SliceView.of(volume, largest_spacing_axis(volume), input_size)
    except SegSamError as error:
        name = f"{dataset.name}/{case}"
        raise type(error)(f"The case {name} cannot be measured: {error}") from error
    planes = ((index, large_objects(view.cut(labels, index))) for index in range(view.depth))
    objects = spread(tuple((index, values) for index, values in planes if values), limit)
    classes = known_classes(dataset, categories)
    return OpenCase(dataset, case, volume, labels, classes, view, intensity, objects)


def known_classes(dataset: Dataset, categories: Categories) -> dict[int, int]:
    """Return label value -> k + 1 for category k, found by name or synonym; 0 for a label that is
    not among the categories, and for a mask without a name.
    """
    classes = dict.fromkeys(dataset.labels, 0)
    for value, name in dataset.names.items():
        with contextlib.suppress(CategoryError):
            classes[value] = categories.index(name) + 1
    return classes


def _part(text: str) -> tuple[Split, str]:
    """Read the split and the part that FILE:NAME names."""
    file, colon, part = text.rpartition(":")
    if not (colon and file and part):
        raise EvaluationError(
            f"Expected a split as FILE:NAME, such as split.json:test, got {text!r}."
        )
    split = Split.load(file)
    if part not in split.parts:
        raise EvaluationError(
            f"Expected one of {', '.join(split.parts)} as a part of {Path(file).name}, "
            f"got {part!r}."
        )
    return split, part


def _cases(dataset: Dataset, split: Split | None, part: str) -> tuple[str, ...]:
    if split is None:
        return dataset.cases
    cases = split.cases(part, dataset.name)
    missing = sorted(set(cases) - set(dataset.cases))
    if missing:
        raise EvaluationError(
            f"Expected {len(cases)} cases of the split in {dataset.name}, got "
            f"{len(cases) - len(missing)}: {missing[0]} is missing."
        )
    return cases
