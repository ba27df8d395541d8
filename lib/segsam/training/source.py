"""Where the slices of a run come from: folders of cases, or shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsam.datasets.folder import Dataset
from segsam.datasets.shards import Shards
from segsam.datasets.sources import open_sources
from segsam.datasets.splits import Split
from segsam.model import SegSam
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.preparing import Preparation, Sample, chosen_split
from segsam.training.ranks import Ranks
from segsam.training.sharded import SPLIT, sharded_samples
from segsam.types import Progress


@dataclass(frozen=True)
class Source:
    """The data sets of a run and who of them is held out."""

    config: TrainConfig
    datasets: tuple[Dataset, ...]
    split: Split
    shards: Shards | None = None

    @classmethod
    def of(cls, config: TrainConfig) -> Source:
        """What the run names.

        Raises:
            TrainingError: folders, shards or a split that are missing or do not fit.
        """
        if config.shards:
            shards = Shards(config.shards)
            return cls(config, shards.datasets, Split.load(shards.folder / SPLIT), shards)
        datasets = tuple(one for path in config.datasets for one in open_sources(path))
        return cls(config, datasets, chosen_split(config, datasets))

    def samples(
        self, model: SegSam, store: EmbeddingStore, *, ranks: Ranks, progress: Progress
    ) -> Mapping[str, Sequence[Sample]]:
        """Slices to train on and to validate with; what was not encoded before is encoded.

        Raises:
            TrainingError: nothing to train on, or data that do not fit.
            CategoryError: a label that the model's categories do not know.
        """
        if self.shards is not None:
            return sharded_samples(self.shards, model, store, ranks=ranks, progress=progress)
        preparation = Preparation(self.config, self.datasets, model, store, ranks=ranks)
        return preparation.samples(self.split, progress)
