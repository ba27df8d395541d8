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

from segsam.datasets.folder import Dataset
from segsam.datasets.labelled_slices import LabelledSlice, cut_volume
from segsam.datasets.shards import PreparedSlice, write_shards
from segsam.datasets.splits import TRAIN, VALIDATION, Split
from segsam.datasets.transforms import augmented
from segsam.errors import SegSamError, TrainingError
from segsam.imaging.label_files import Labels
from segsam.imaging.slices import choose_axis
from segsam.types import LabelArray, Progress
from segsam_app.training.cases import MAX_STRUCTURES, LabelledCase, left_out_text, structure_key
from segsam_app.training.settings import TrainSettings
from segsam_app.training.validation_split import BY_SLICE
from segsam_app.versions.record import LeftOutCase

NEW, EARLIER = "new", "earlier"
_VALIDATION_EVERY = 4
_AXES = 3
_LICENCE = "of this site"
_MODALITY = "of this site"


@dataclass(frozen=True)
class CutSlices:
    """Slices of one training, as they lie in the shards.

    `shares` is how often each data set is drawn, `count` the number of slices to train on.
    `used` are the images that have slices. `left_out` are the others.
    """

    shares: Mapping[str, float]
    count: int
    used: tuple[str, ...]
    left_out: tuple[LeftOutCase, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the cases that were left out."""
        return tuple(map(left_out_text, self.left_out))


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
        *,
        finds: bool,
    ) -> None:
        """Cut `cases`; `parts` is the result of `split_cases`.

        `earlier` are the images that the version before was trained on with the label that they
        have now. With `finds` there is a dense head to train, so slices that lie as those that are
        searched have the pictures beside them.
        """
        self._cases = cases
        self._parts = parts
        self._earlier = earlier
        self._settings = settings
        self._finds = finds
        self._groups: dict[tuple[str, frozenset[int]], _Group] = {}
        self._numbers: dict[str, int] = {}
        self._used: list[str] = []
        self._left_out: list[LeftOutCase] = []
        budget = settings.slices // max(1, len(cases) * _AXES * (1 + settings.copies))
        self._limit = max(1, min(settings.slices_per_volume, budget))

    def write(self, folder: Path, input_size: int, progress: Progress) -> CutSlices:
        """Cut all cases into shards in `folder`, which is not written if there is no slice.

        Raises `OutputError` if the folder cannot be written to.
        """
        slices = list(self._slices(input_size, progress))
        groups = list(self._groups.values())
        count = sum(group.slices[TRAIN] for group in groups)
        if not slices:
            return CutSlices({}, 0, (), tuple(self._left_out))
        datasets = tuple(
            Dataset(folder, group.name, _MODALITY, _LICENCE, group.labels, ()) for group in groups
        )
        write_shards(folder, datasets, slices)
        Split({TRAIN: {}, VALIDATION: {}}).save(folder / "split.json")
        return CutSlices(self._shares(groups), count, tuple(self._used), tuple(self._left_out))

    def _slices(self, input_size: int, progress: Progress) -> Iterator[PreparedSlice]:
        for done, case in enumerate(self._cases):
            progress(done, len(self._cases), "cutting the labelled cases")
            try:
                found = list(self._slices_of_case(case, input_size))
            except SegSamError as error:  # one unreadable case must not stop the training
                self._leave_out(case, str(error).rstrip("."))
                continue
            if not found:
                self._leave_out(case, "no structure covers 0.15 % of a slice")
                continue
            self._used.append(case.image)
            yield from found

    def _leave_out(self, case: LabelledCase, reason: str) -> None:
        self._left_out.append(LeftOutCase(image=case.image, reason=reason))

    def _slices_of_case(self, case: LabelledCase, input_size: int) -> Iterator[PreparedSlice]:
        volume, found = case.load()
        labels, names = self._labels_by_name(case, found)
        if not names:
            return
        group = self._group(case, names)
        part = self._parts[case.image]
        more = 1 + self._settings.copies if part == VALIDATION else 1  # in place of the copies
        cut = cut_volume(
            volume,
            labels,
            f"{group.name}/{case.image}",
            input_size=input_size,
            limit=self._limit * more,
            axes="all",
            beside=(choose_axis(volume, "auto"),) if self._finds else (),
        )
        for place, one in enumerate(cut):
            of_slice = part
            if part == BY_SLICE:
                is_held_out = place % _VALIDATION_EVERY == _VALIDATION_EVERY // 2
                of_slice = VALIDATION if is_held_out else TRAIN
            copies = self._settings.copies if of_slice == TRAIN else 0
            for made in (one, *_augmented_copies(one, copies)):
                group.slices[of_slice] += 1
                yield PreparedSlice(made, group.name, of_slice)

    def _labels_by_name(
        self, case: LabelledCase, found: Labels
    ) -> tuple[tuple[NDArray[np.uint8], ...], dict[int, str]]:
        """Return the label maps with one value per name, the same in all cases; and value -> name.

        A value without a name is a structure of its own.
        """
        own = {value: case.names.get(value, "") for value in found.values}
        keys = {value: structure_key(value, name) for value, name in own.items()}
        new = dict.fromkeys(key for key in keys.values() if key not in self._numbers)
        if len(self._numbers) + len(new) > MAX_STRUCTURES:
            raise TrainingError(f"The labels name more than {MAX_STRUCTURES} structures.")
        for key in new:
            self._numbers[key] = len(self._numbers) + 1
        numbers = {value: self._numbers[key] for value, key in keys.items()}
        names = {numbers[value]: name for value, name in own.items()}
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
