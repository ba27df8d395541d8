"""Data of a run: its data sets and split, from folders of cases or from shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsam.datasets.folder import Dataset
from segsam.datasets.shards import Shards
from segsam.datasets.sources import open_sources
from segsam.datasets.splits import Split
from segsam.model import SegSam
from segsam.training.config import TrainConfig
from segsam.training.distributed import Processes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.samples import Sample, SamplePreparation, choose_split
from segsam.training.sharded_samples import SPLIT, sharded_samples
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
        """Return the samples of the training and validation parts; what is not stored is encoded.

        Raises:
            TrainingError: nothing to train on, or data that do not fit.
            CategoryError: a label that the model's categories do not know.
        """
        if self.shards is not None:
            return sharded_samples(
                self.shards, model, store, processes=processes, progress=progress
            )
        preparation = SamplePreparation(
            self.config, self.datasets, model, store, processes=processes
        )
        return preparation.samples(self.split, progress)
