"""Training slices from labelled cases: values by name, cut along all axes, augmented, in shards.

Cases that name the same structures form one data set; cases that the version before was trained on
are kept apart from new ones. The structures tell the loss which categories were annotated. Whether
a data set is new or earlier decides how often it is drawn, so that earlier cases are not forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.categories.vocabulary import folded
from segsam.datasets.folder import Dataset
from segsam.datasets.labelled_slices import LabelledSlice, cut_volume
from segsam.datasets.shards import PreparedSlice, write_shards
from segsam.datasets.splits import TRAIN, VALIDATION, Split
from segsam.datasets.transforms import augmented
from segsam.errors import SegSamError, TrainingError
from segsam.imaging.label_files import Labels
from segsam.types import LabelArray, Progress
from segsam_app.training.cases import LabelledCase
from segsam_app.training.settings import TrainSettings
from segsam_app.training.validation_split import BY_SLICE

NEW, EARLIER = "new", "earlier"
_VALIDATION_EVERY = 4
_AXES = 3
_MAX_VALUES = 255
_LICENCE = "of this site"
_MODALITY = "of this site"


@dataclass(frozen=True)
class CutSlices:
    """Slices of one training, as they lie in the shards.

    `shares` is how often each data set is drawn, `count` the number of slices to train on.
    `used` are the images that have slices. `notes` are sentences for the record.
    """

    shares: Mapping[str, float]
    count: int
    used: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass
class _Group:
    """Cases with the same structures, all of them new or all earlier; one data set."""

    age: str
    name: str
    labels: Mapping[int, str]
    slices: dict[str, int] = field(default_factory=lambda: {TRAIN: 0, VALIDATION: 0})


class SliceCutter:
    """Cutter of the cases of one training."""

    def __init__(
        self,
        cases: Sequence[LabelledCase],
        parts: Mapping[str, str],
        earlier: Collection[str],
        settings: TrainSettings,
    ) -> None:
        """Cut `cases`; `parts` is the result of `split_cases`.

        `earlier` are the images that the version before was trained on with the label that they
        have now.
        """
        self._cases = cases
        self._parts = parts
        self._earlier = earlier
        self._settings = settings
        self._groups: dict[tuple[str, frozenset[int]], _Group] = {}
        self._value_of_name: dict[str, int] = {}
        self._used: list[str] = []
        self._notes: list[str] = []
        budget = settings.slices // max(1, len(cases) * _AXES * (1 + settings.copies))
        self._limit = max(1, min(settings.slices_per_volume, budget))

    def write(self, folder: Path, input_size: int, progress: Progress) -> CutSlices:
        """Cut all cases into shards in `folder`.

        Raises:
            TrainingError: nothing to train on, and why.
            OutputError: the folder cannot be written to.
        """
        slices = list(self._slices(input_size, progress))
        groups = list(self._groups.values())
        count = sum(group.slices[TRAIN] for group in groups)
        if not count:
            reasons = "; ".join(self._notes) or "every label is empty, or smaller than 0.15 %"
            raise TrainingError(f"No labelled slice to train on: {reasons}.")
        datasets = tuple(
            Dataset(folder, group.name, _MODALITY, _LICENCE, group.labels, ()) for group in groups
        )
        write_shards(folder, datasets, slices)
        Split({TRAIN: {}, VALIDATION: {}}).save(folder / "split.json")
        return CutSlices(self._shares(groups), count, tuple(self._used), tuple(self._notes))

    def _slices(self, input_size: int, progress: Progress) -> Iterator[PreparedSlice]:
        for done, case in enumerate(self._cases):
            progress(done, len(self._cases), "cutting the labelled cases")
            try:
                found = list(self._slices_of_case(case, input_size))
            except SegSamError as error:  # one unreadable case must not stop the training
                self._notes.append(f"{case.image} was left out: {error}")
                continue
            if found:
                self._used.append(case.image)
            yield from found

    def _slices_of_case(self, case: LabelledCase, input_size: int) -> Iterator[PreparedSlice]:
        volume, found = case.load()
        labels, names = self._labels_by_name(case, found)
        if not names:
            return
        group = self._group(case, names)
        cut = cut_volume(
            volume,
            labels,
            f"{group.name}/{case.image}",
            input_size=input_size,
            limit=self._limit,
            axes="all",
        )
        for place, one in enumerate(cut):
            part = self._parts[case.image]
            if part == BY_SLICE:
                is_held_out = place % _VALIDATION_EVERY == _VALIDATION_EVERY // 2
                part = VALIDATION if is_held_out else TRAIN
            copies = self._settings.copies if part == TRAIN else 0
            for made in (one, *_augmented_copies(one, copies)):
                group.slices[part] += 1
                yield PreparedSlice(made, group.name, part)

    def _labels_by_name(
        self, case: LabelledCase, found: Labels
    ) -> tuple[tuple[NDArray[np.uint8], ...], dict[int, str]]:
        """Return the label maps with one value per name, the same in all cases; and value -> name.

        A value without a name is a structure of its own.
        """
        names: dict[int, str] = {}
        numbers: dict[int, int] = {}
        for value in found.values:
            name = case.names.get(value, "")
            key = folded(name) or f"\0{value}"
            number = self._value_of_name.setdefault(key, len(self._value_of_name) + 1)
            if number > _MAX_VALUES:
                raise TrainingError(f"The labels have more than {_MAX_VALUES} different names.")
            numbers[value] = number
            names[number] = name
        return tuple(_renumbered(each, numbers) for each in found.maps), names

    def _group(self, case: LabelledCase, names: Mapping[int, str]) -> _Group:
        age = EARLIER if case.image in self._earlier else NEW
        key = (age, frozenset(names))
        if key not in self._groups:
            self._groups[key] = _Group(age, f"{age} {len(self._groups) + 1}", dict(names))
        return self._groups[key]

    def _shares(self, groups: Sequence[_Group]) -> dict[str, float]:
        """Return the share of each data set among the slices that are drawn.

        New and earlier ones are drawn by `replay_share`, and among them each by the number of its
        slices.
        """
        counts = {group.name: float(group.slices[TRAIN]) for group in groups}
        replay = self._settings.replay_share
        share_of_age = {NEW: 1 - replay, EARLIER: replay}
        count_of_age = dict.fromkeys(share_of_age, 0.0)
        for group in groups:
            count_of_age[group.age] += counts[group.name]
        if not all(count_of_age.values()):
            return counts
        return {
            group.name: counts[group.name] / count_of_age[group.age] * share_of_age[group.age]
            for group in groups
        }


def _renumbered(voxels: LabelArray, numbers: Mapping[int, int]) -> NDArray[np.uint8]:
    labels = np.zeros(voxels.shape, dtype=np.uint8)
    for value in np.unique(voxels).tolist():
        if value:
            labels[voxels == value] = numbers[value]
    return labels


def _augmented_copies(one: LabelledSlice, count: int) -> Iterator[LabelledSlice]:
    for copy in range(1, count + 1):
        changed = augmented(one, seed=0, copy=copy)
        if changed.prompted:
            yield changed
