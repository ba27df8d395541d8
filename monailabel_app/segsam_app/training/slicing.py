"""From labelled cases to the slices of a training: values by name, cut along all axes, copied with
changes, in shards.

Cases that name the same structures form a data set, those that the version before knew apart from
new ones: the first tells the loss which categories were looked for, the second how often what was
learnt before is drawn again.
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
from segsam.types import Progress
from segsam_app.training.cases import Case
from segsam_app.training.holding_out import BOTH
from segsam_app.training.settings import TrainSettings

NEW, EARLIER = "new", "earlier"
_EVERY = 4
_AXES = 3
_MOST_VALUES = 255
_LICENCE = "of this site"
_MODALITY = "of this site"


@dataclass(frozen=True)
class Cut:
    """What was cut: its data sets, how often each is drawn, who took part, what there is to say."""

    datasets: tuple[Dataset, ...]
    shares: Mapping[str, float]
    slices: int
    """To learn from."""
    used: tuple[str, ...]
    """Images of which there are slices."""
    notes: tuple[str, ...]


@dataclass
class _Group:
    """Cases of one age, new or earlier, with the same structures."""

    age: str
    name: str
    labels: Mapping[int, str]
    slices: dict[str, int] = field(default_factory=lambda: {TRAIN: 0, VALIDATION: 0})


class Cutter:
    """Cuts the cases of one training."""

    def __init__(
        self,
        cases: Sequence[Case],
        parts: Mapping[str, str],
        known: Collection[str],
        settings: TrainSettings,
    ) -> None:
        """`parts` by image, as `holding_out.parts` gives them; `known` are the images that the
        version before learnt from, with the very label that they have now.
        """
        self._cases = cases
        self._parts = parts
        self._known = known
        self._settings = settings
        self._groups: dict[tuple[str, frozenset[int]], _Group] = {}
        self._values: dict[str, int] = {}
        self._used: list[str] = []
        self._notes: list[str] = []
        budget = settings.slices // max(1, len(cases) * _AXES * (1 + settings.copies))
        self._limit = max(1, min(settings.slices_per_volume, budget))

    def write(self, folder: Path, input_size: int, progress: Progress) -> Cut:
        """Cut everything into shards in `folder`.

        Raises:
            TrainingError: nothing to learn from; names why.
            OutputError: the folder cannot be written to.
        """
        slices = list(self._slices(input_size, progress))
        groups = list(self._groups.values())
        if not any(group.slices[TRAIN] for group in groups):
            reasons = "; ".join(self._notes) or "every label is empty, or smaller than 0.15 %"
            raise TrainingError(f"No labelled slice to learn from: {reasons}.")
        datasets = tuple(
            Dataset(folder, group.name, _MODALITY, _LICENCE, group.labels, ()) for group in groups
        )
        write_shards(folder, datasets, slices)
        Split({TRAIN: {}, VALIDATION: {}}).save(folder / "split.json")
        learnt = sum(group.slices[TRAIN] for group in groups)
        used, notes = tuple(self._used), tuple(self._notes)
        return Cut(datasets, self._shares(groups), learnt, used, notes)

    def _slices(self, input_size: int, progress: Progress) -> Iterator[PreparedSlice]:
        for done, case in enumerate(self._cases):
            progress(done, len(self._cases), "cutting the labelled cases")
            try:
                found = list(self._of_case(case, input_size))
            except SegSamError as error:  # one unreadable case must not end all the others
                self._notes.append(f"{case.image} was left out: {error}")
                continue
            if found:
                self._used.append(case.image)
            yield from found

    def _of_case(self, case: Case, input_size: int) -> Iterator[PreparedSlice]:
        volume, voxels = case.load()
        labels, names = self._by_name(case, voxels)
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
            if part == BOTH:
                part = VALIDATION if place % _EVERY == _EVERY // 2 else TRAIN
            copies = self._settings.copies if part == TRAIN else 0
            for made in (one, *_copies(one, copies)):
                group.slices[part] += 1
                yield PreparedSlice(made, group.name, part)

    def _by_name(
        self, case: Case, voxels: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """The label with one value for each name, the same in all cases; and value -> name."""
        labels = np.zeros(voxels.shape, dtype=np.uint8)
        names: dict[int, str] = {}
        for value in np.unique(voxels).tolist():
            if value == 0:
                continue
            name = case.names.get(value, "")
            number = self._values.setdefault(folded(name) or f"\0{value}", len(self._values) + 1)
            if number > _MOST_VALUES:
                raise TrainingError(f"The labels have more than {_MOST_VALUES} different names.")
            labels[voxels == value] = number
            names[number] = name
        return labels, names

    def _group(self, case: Case, names: Mapping[int, str]) -> _Group:
        age = EARLIER if case.image in self._known else NEW
        key = (age, frozenset(names))
        if key not in self._groups:
            self._groups[key] = _Group(age, f"{age} {len(self._groups) + 1}", dict(names))
        return self._groups[key]

    def _shares(self, groups: Sequence[_Group]) -> dict[str, float]:
        """How often each data set is drawn: new and earlier ones by the share of replay, within
        them by the number of their slices.
        """
        counts = {group.name: float(group.slices[TRAIN]) for group in groups}
        replay = self._settings.replay_share
        wanted = {NEW: 1 - replay, EARLIER: replay}
        there = dict.fromkeys(wanted, 0.0)
        for group in groups:
            there[group.age] += counts[group.name]
        if not all(there.values()):
            return counts
        return {
            group.name: counts[group.name] / there[group.age] * wanted[group.age]
            for group in groups
        }


def _copies(one: LabelledSlice, count: int) -> Iterator[LabelledSlice]:
    for copy in range(1, count + 1):
        changed = augmented(one, seed=0, copy=copy)
        if changed.prompted:
            yield changed
