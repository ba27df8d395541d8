"""Samples from shards, for data sets beyond one machine's memory: slices are cut once into tar
files, and each is read when a step needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, overload

from segsam.datasets.shards import PARTS, PreparedSlice, Shards, write_shards
from segsam.datasets.sources import open_sources
from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import OutputError, TrainingError
from segsam.imaging.image_files import first_file_in
from segsam.model import SegSam
from segsam.training.config import TrainConfig
from segsam.training.distributed import Processes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.samples import (
    NO_SLICE,
    DatasetClasses,
    Sample,
    cases_of,
    choose_split,
    cut_case,
    dataset_classes,
)
from segsam.types import Progress

SPLIT = "split.json"
Keys: TypeAlias = tuple[str, ...]
"""Of the features of a slice, and of those beside it."""


class ShardedSamples(Sequence[Sample]):
    """Samples of one part, each read from its shard on access; only keys stay in memory."""

    def __init__(
        self, shards: Shards, keys: Mapping[int, Keys], classes: Mapping[str, DatasetClasses]
    ) -> None:
        """Select slices of shards.

        Args:
            shards: the slices.
            keys: index in the shards -> keys of the features, in the order of the samples.
            classes: by name of the data set.
        """
        self._shards = shards
        self._indices = list(keys)
        self._keys = keys
        self._classes = classes
        self._datasets = {dataset.name: dataset for dataset in shards.datasets}

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Read samples; raises TrainingError for a shard that cannot be read."""
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        place = self._indices[index]
        name = self._shards.dataset_of(place)
        one, dataset = self._shards[place].slice, self._datasets[name]
        key, *beside = self._keys[place]
        return Sample.of(one, dataset, self._classes[name], key=key, beside=beside)

    def fingerprint(self) -> str:
        """Return what changes if the slices do; raises TrainingError for a missing shard."""
        return f"{self._shards.fingerprint()} {self._indices}"

    def names(self) -> list[str]:
        """Return the data set of each sample, without reading any."""
        return [self._shards.dataset_of(place) for place in self._indices]


def dataset_names(samples: Sequence[Sample]) -> list[str]:
    """Return the data set of each sample."""
    if isinstance(samples, ShardedSamples):
        return samples.names()
    return [one.dataset for one in samples]


def sharded_samples(
    shards: Shards,
    model: SegSam,
    store: EmbeddingStore,
    *,
    beside: bool,
    processes: Processes,
    progress: Progress,
) -> dict[str, Sequence[Sample]]:
    """Return the samples of the training and validation parts; what is not stored is encoded, and
    with `beside` the slices beside those of the training part as well.

    Raises:
        TrainingError: nothing to train on, or shards that cannot be read.
        CategoryError: a label that the model's categories do not know.
    """
    classes = dataset_classes(shards.datasets, model.categories)
    places = {part: shards.indices(part) for part in (TRAIN, VALIDATION)}
    both = [*places[TRAIN], *places[VALIDATION]]
    if processes.world > 1:
        for index in processes.share(len(both)):
            _stored(shards[both[index]], store, beside=beside)
        processes.wait()
    keys = {}
    for done, place in enumerate(both):
        progress(done, len(both), f"preparing {shards.folder.name}")
        keys[place] = _stored(shards[place], store, beside=beside)
    if not places[TRAIN]:
        raise TrainingError(f"{shards.folder.name}: {NO_SLICE}")
    return {
        part: ShardedSamples(shards, {one: keys[one] for one in some}, classes)
        for part, some in places.items()
    }


def _stored(prepared: PreparedSlice, store: EmbeddingStore, *, beside: bool) -> Keys:
    one = prepared.slice
    sides = one.beside if beside and prepared.part == TRAIN else ()
    return tuple(map(store.add, (one.picture, *sides)))


def write_run_shards(
    config: TrainConfig, folder: str | Path, *, input_size: int, progress: Progress
) -> int:
    """Cut all slices that a run would use into shards, with its split beside them.

    Args:
        config: with `datasets`; its split, limits and copies are applied here, once.
        folder: the value of `shards` in a run's configuration afterwards.
        input_size: of the host, in model pixels.
        progress: called before each case.

    Returns:
        The number of slices.

    Raises:
        TrainingError: data that do not fit.
        OutputError: a folder that is not empty, or that cannot be written to.
    """
    _refuse_full_folder(Path(folder))
    datasets = [one for path in config.datasets for one in open_sources(path)]
    split = choose_split(config, datasets)
    cases = cases_of(split, datasets, PARTS)

    def cut() -> Iterator[PreparedSlice]:
        for done, (part, dataset, case) in enumerate(cases):
            progress(done, len(cases), f"cutting {dataset.name}")
            for one in cut_case(config, dataset, case, part=part, input_size=input_size):
                yield PreparedSlice(one, dataset.name, part)

    count = write_shards(folder, datasets, cut())
    split.save(Path(folder) / SPLIT)
    return count


def _refuse_full_folder(folder: Path) -> None:
    try:
        other = first_file_in(folder)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error
    if other is not None:
        raise OutputError(
            f"Expected a new or empty folder for shards, got {folder.name} with {other}. Nothing "
            "in it was changed."
        )
