"""Which cases are measured, and the slices of each with their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.categories import Categories
from segsam.datasets.folder import Dataset, load_case, open_dataset
from segsam.datasets.labelled_slices import large_objects, spread
from segsam.datasets.splits import Split
from segsam.errors import CategoryError, EvaluationError, SegSamError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView, choose_axis
from segsam.imaging.volume import Volume


@dataclass(frozen=True)
class Selection:
    """The cases of one data set that are measured, in order."""

    dataset: Dataset
    cases: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class OpenCase:
    """A case in memory; its slices lie across the axis of the largest spacing."""

    name: str
    """data set/case."""
    volume: Volume
    labels: NDArray[np.uint8]
    """(i, j, k), label values."""
    view: SliceView
    intensity: Intensity
    objects: tuple[tuple[int, tuple[int, ...]], ...]
    """(slice index, label values of its objects to prompt), only of slices that have some."""

    def plane(self, index: int) -> NDArray[np.uint8]:
        """The labels of a slice (height, width), as they are stored."""
        return self.view.cut(self.labels, index)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """The slice (h_px, w_px, 3) as the model sees it."""
        return self.view.image(self.volume, self.intensity, index)


def select(
    folders: Sequence[str | Path], *, split: str | None = None, limit: int = 0
) -> tuple[Selection, ...]:
    """The cases to measure of each data set.

    Args:
        folders: of data sets. Plain files are left out: `data/*` names a README too.
        split: FILE:NAME, a split and its part; only that part's cases are taken then.
        limit: at most so many cases of each data set, evenly spread over them; 0 for all.

    Raises:
        EvaluationError: no data set, two of one name, a split without such a part, a case of it
            that is not there, or nothing to measure.
        TrainingError: a folder or split that cannot be read.
    """
    if not folders:
        raise EvaluationError("Expected at least one folder of a data set, got none.")
    if limit < 0:
        raise EvaluationError(f"Expected a number of cases that is not negative, got {limit}.")
    datasets = [open_dataset(folder) for folder in folders if not Path(folder).is_file()]
    if not datasets:
        raise EvaluationError(f"Expected the folder of a data set, got the file {folders[0]}.")
    names = [dataset.name for dataset in datasets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EvaluationError(f"Expected data sets of different names, got {twice[0]!r} twice.")
    wanted = (None, "") if split is None else _part(split)
    selections = tuple(
        Selection(dataset, spread(_cases(dataset, *wanted), limit)) for dataset in datasets
    )
    if not any(selection.cases for selection in selections):
        of = "" if split is None else f" in the part {wanted[1]!r}"
        raise EvaluationError(f"There is no case of {', '.join(names)}{of}.")
    return selections


def open_case(dataset: Dataset, case: str, *, input_size: int, limit: int = 0) -> OpenCase:
    """Load a case and find what to prompt.

    Args:
        dataset: it belongs to.
        case: its name.
        input_size: side of the model's input, in pixels.
        limit: at most so many slices, evenly spread over those with an object; 0 for all.

    Raises:
        SegSamError: as `load_case` raises; the sentence names the case.
    """
    name = f"{dataset.name}/{case}"
    try:
        volume, labels = load_case(dataset, case)
        intensity = Intensity.for_volume(volume)
        view = SliceView.of(volume, choose_axis(volume, "auto"), input_size)
    except SegSamError as error:
        raise type(error)(f"The case {name} cannot be measured: {error}") from error
    objects = []
    for index in range(view.depth):
        values = large_objects(view.cut(labels, index))
        if values:
            objects.append((index, values))
    return OpenCase(name, volume, labels, view, intensity, spread(tuple(objects), limit))


def known_classes(dataset: Dataset, categories: Categories) -> dict[int, int]:
    """Label value -> k + 1 for category k, by name or synonym; 0 for a label that the categories do
    not know.
    """
    found = {}
    for value, name in dataset.labels.items():
        try:
            found[value] = categories.index(name) + 1
        except CategoryError:
            found[value] = 0
    return found


def _part(text: str) -> tuple[Split, str]:
    """The split and the part that FILE:NAME names."""
    file, colon, part = text.rpartition(":")
    if not (colon and file and part):
        raise EvaluationError(
            f"Expected a split as FILE:NAME, such as split.json:test; got {text!r}."
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
            f"The split names {len(missing)} case(s) of {dataset.name} that are not there, the "
            f"first {missing[0]}."
        )
    return cases
