"""Data of a run: its data sets and split, from folders of cases or from shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from segsam.datasets.folder import Dataset
from segsam.datasets.shards import Shards
from segsam.datasets.sources import open_sources
from segsam.datasets.splits import TRAIN, VALIDATION, Split
from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.training.config import TrainConfig
from segsam.training.distributed import Processes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.samples import (
    COPIES,
    NO_SLICE,
    Sample,
    cases_of,
    choose_split,
    cut_case,
    dataset_classes,
)
from segsam.training.sharded_samples import SPLIT, sharded_samples
from segsam.training.teacher_masks import Teacher
from segsam.types import Progress


@dataclass(frozen=True)
class RunData:
    """Data sets of a run, and its split."""

    config: TrainConfig
    datasets: tuple[Dataset, ...]
    split: Split
    shards: Shards | None = None

    @classmethod
    def of(cls, config: TrainConfig) -> RunData:
        """Open the data sets or shards of a run.

        Raises:
            TrainingError: folders, shards or a split that are missing or do not fit.
        """
        if config.shards:
            shards = Shards(config.shards)
            return cls(config, shards.datasets, Split.load(shards.folder / SPLIT), shards)
        datasets = tuple(one for path in config.datasets for one in open_sources(path))
        return cls(config, datasets, choose_split(config, datasets))

    def samples(
        self, model: SegSam, store: EmbeddingStore, *, processes: Processes, progress: Progress
    ) -> Mapping[str, Sequence[Sample]]:
        """Return the samples of the training and validation parts, in the order of data sets and
        cases; embeddings that are not stored are computed.

        Raises:
            TrainingError: nothing to train on, or data that do not fit.
            CategoryError: a label that the model's categories do not know.
        """
        if self.shards is not None:
            return sharded_samples(
                self.shards,
                model,
                store,
                beside=self.config.reads_beside,
                processes=processes,
                progress=progress,
            )
        _refuse_unknown_names(self.config, self.datasets)
        classes = dataset_classes(self.datasets, model.categories)
        side = model.host.facts.input_size
        teacher = (
            Teacher(self.config, store.files, input_size=side) if self.config.teacher else None
        )

        def samples_of(part: str, dataset: Dataset, case: str) -> Iterator[Sample]:
            for one in cut_case(self.config, dataset, case, part=part, input_size=side):
                key, *beside = map(store.add, (one.picture, *one.beside))
                taught = None
                if teacher is not None and part == TRAIN:
                    taught = teacher.masks_of(one, dataset.name)
                yield Sample.of(
                    one, dataset, classes[dataset.name], key=key, beside=beside, taught=taught
                )

        cases = cases_of(self.split, self.datasets, (TRAIN, VALIDATION))
        if processes.world > 1:
            # Each process encodes its share into the store; then every process reads all of it.
            for index in processes.share(len(cases)):
                list(samples_of(*cases[index]))
            processes.wait()
        samples: dict[str, list[Sample]] = {TRAIN: [], VALIDATION: []}
        for done, (part, dataset, case) in enumerate(cases):
            progress(done, len(cases), f"preparing {dataset.name}")
            samples[part] += samples_of(part, dataset, case)
        if not samples[TRAIN]:
            raise TrainingError(NO_SLICE)
        return samples


def _refuse_unknown_names(config: TrainConfig, datasets: Sequence[Dataset]) -> None:
    names = [dataset.name for dataset in datasets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TrainingError(f"Expected data sets of different names, got {twice[0]!r} twice.")
    copies = (f"{kind}_copies_of" for kind in COPIES)
    keys = ("slices_per_volume_of", "end_slices_of", "all_axes_of", "teacher_boxes_of", *copies)
    for key in keys:
        unknown = sorted(set(getattr(config, key)) - set(names))
        if unknown:
            raise TrainingError(
                f"Expected data sets of {', '.join(names)} in {key}, got {unknown[0]!r}."
            )
