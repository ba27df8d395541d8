"""Runs on data beyond one machine's memory: slices are cut once into shards, and read from there
whenever a step wants one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

from segsam.datasets.folder import class_numbers
from segsam.datasets.shards import PARTS, PreparedSlice, Shards, write_shards
from segsam.datasets.sources import open_sources
from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.preparing import Sample, absent_classes, cases_of, chosen_split, cut_case
from segsam.training.ranks import Ranks
from segsam.types import Progress

SPLIT = "split.json"


class ShardedSamples(Sequence[Sample]):
    """Samples of one part, each read from its shard when asked for; keys stay in memory."""

    def __init__(
        self,
        shards: Shards,
        keys: Mapping[int, str],
        classes: Mapping[str, Mapping[int, int]],
        absent: Mapping[str, tuple[int, ...]],
    ) -> None:
        """Of the places of the shards that have a key, in that order; `classes`, and what is known
        to be `absent`, by data set.
        """
        self._shards = shards
        self._places = list(keys)
        self._keys = keys
        self._classes = classes
        self._absent = absent
        self._datasets = {dataset.name: dataset for dataset in shards.datasets}

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Raises TrainingError for a shard that cannot be read."""
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        place = self._places[index]
        found, name = self._shards[place].slice, self._shards.dataset_of(place)
        return Sample.of(
            found,
            self._datasets[name],
            self._classes[name],
            key=self._keys[place],
            absent=self._absent[name],
        )

    def names(self) -> list[str]:
        """The data set of each, without reading any."""
        return [self._shards.dataset_of(place) for place in self._places]


def dataset_names(samples: Sequence[Sample]) -> list[str]:
    """The data set of each sample."""
    if isinstance(samples, ShardedSamples):
        return samples.names()
    return [one.dataset for one in samples]


def sharded_samples(
    shards: Shards, model: SegSam, store: EmbeddingStore, *, ranks: Ranks, progress: Progress
) -> dict[str, Sequence[Sample]]:
    """Slices to train on and to validate with; what was not encoded before is encoded.

    Raises:
        TrainingError: nothing to train on, or shards that cannot be read.
        CategoryError: a label that the model's categories do not know.
    """
    classes = {one.name: class_numbers(one, model.categories) for one in shards.datasets}
    absent = {
        one.name: absent_classes(one, shards.datasets, model.categories) for one in shards.datasets
    }
    wanted = [place for part in (TRAIN, VALIDATION) for place in shards.indices(part)]
    if ranks.world > 1:
        for turn in ranks.share(len(wanted)):
            store.add(shards[wanted[turn]].slice.picture)
        ranks.wait()
    keys = {}
    for done, place in enumerate(wanted):
        progress(done, len(wanted), f"preparing {shards.folder.name}")
        keys[place] = store.add(shards[place].slice.picture)
    found: dict[str, Sequence[Sample]] = {
        part: ShardedSamples(
            shards, {place: keys[place] for place in shards.indices(part)}, classes, absent
        )
        for part in (TRAIN, VALIDATION)
    }
    if not found[TRAIN]:
        raise TrainingError(f"The shards in {shards.folder.name} have no slice to train on.")
    return found


def write_run_shards(
    config: TrainConfig, folder: str | Path, *, input_size: int, progress: Progress
) -> int:
    """Cut all that a run would use into shards, with its split beside them; how many slices.

    Args:
        config: with `datasets`; its split, limits and copies are applied here, once.
        folder: what `shards` of a run names afterwards.
        input_size: of the host, in model pixels.
        progress: called before each case.

    Raises:
        TrainingError: data that do not fit.
        OutputError: a folder that cannot be written to.
    """
    datasets = [one for path in config.datasets for one in open_sources(path)]
    split = chosen_split(config, datasets)
    cases = cases_of(split, datasets, PARTS)

    def cut() -> Iterator[PreparedSlice]:
        for done, (part, dataset, case) in enumerate(cases):
            progress(done, len(cases), f"cutting {dataset.name}")
            for one in cut_case(config, dataset, case, part=part, input_size=input_size):
                yield PreparedSlice(one, dataset.name, part)

    count = write_shards(folder, datasets, cut())
    split.save(Path(folder) / SPLIT)
    return count
