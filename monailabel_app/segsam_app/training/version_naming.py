"""Names of a new version: its memory of examples, kept from the version before or made anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsam.datasets.splits import TRAIN
from segsam.model import SegSam
from segsam.model.digests import embedding_id
from segsam.model.memory import ExampleMemory
from segsam.model.naming_rule import WITHOUT_MEMORY
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.example_memory import naming_of_run, with_new_examples
from segsam.training.samples import Sample

EXAMPLE_SLICES = 100
"""Slices of each part by which a memory is made anew."""
_NO_EXAMPLES = "{name} has no example in the memory of names yet, so this version does not give it"
_ADDED = "the memory of names was kept, with new examples of {names}"
_LOST = (
    "this version has no memory of examples, because {why}; it names whatever its decoder is sure "
    "of, also what it has never seen"
)
_OTHER_ENCODER = "the training changed the image encoder, and "
_TOO_FEW = "the labels hold too few objects to make one"
_NOT_ALL = "the labels hold no examples of {names}, whose names would be lost"
_LISTED = 5

Samples = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, eq=False)
class VersionNaming:
    """Memory of examples of a version, what its card says of names, and notes for the user."""

    memory: ExampleMemory | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class NamesBefore:
    """Names before a training: the memory of examples, what the card says, and the embedding."""

    memory: ExampleMemory | None
    record: Mapping[str, Any]
    """Of the card."""
    embedding: str
    """`embedding_id`, before the training."""

    @classmethod
    def of(cls, model: SegSam, record: Mapping[str, Any]) -> NamesBefore:
        """Remember a model that is about to be trained; `record` is `naming` of its card."""
        return cls(model.memory, record, embedding_id(model))

    def after(
        self,
        trained: SegSam,
        read_samples: Callable[[SegSam], tuple[EmbeddingStore, Samples]],
        config: TrainConfig,
        *,
        seen: Collection[str],
        taught: Collection[str],
    ) -> VersionNaming:
        """Return the memory of the trained model.

        While the embedding is the same, the examples from before stay and keep their meaning, and
        so do rule and limits; categories with few examples get some from the labels. With another
        embedding they mean nothing, and a memory is made of the labels alone, if they show every
        category that the model has learnt: those that they lack could never be named again.

        Args:
            trained: with its card.
            read_samples: returns a store and the run's samples by part; slow.
            config: the run.
            seen: names of the categories that the model has learnt, now and before.
            taught: names among the labels.
        """
        if self.memory is not None and embedding_id(trained) == self.embedding:
            return self._kept(self.memory, trained, read_samples, config, taught)
        missing = sorted(set(seen) - set(taught))
        if missing:
            return self._lost(_NOT_ALL.format(names=listed(missing)))
        store, samples = read_samples(trained)
        slices = config.model_copy(update={"example_slices": EXAMPLE_SLICES})
        found = naming_of_run(trained, store, samples, slices)
        if found is None:
            return self._lost(_TOO_FEW)
        return VersionNaming(found.memory, found.to_card())

    def _kept(
        self,
        memory: ExampleMemory,
        trained: SegSam,
        read_samples: Callable[[SegSam], tuple[EmbeddingStore, Samples]],
        config: TrainConfig,
        taught: Collection[str],
    ) -> VersionNaming:
        store, samples = read_samples(trained)
        originals = [one for one in samples[TRAIN] if "#" not in one.name]
        filled = with_new_examples(memory, trained, store, originals, config)
        names, counts = trained.categories.names, filled.counts()
        added = [name for name, new in zip(names, counts - memory.counts(), strict=True) if new]
        without = [name for name in sorted(taught) if not counts[names.index(name)]]
        notes = [_ADDED.format(names=", ".join(added))] if added else []
        notes += [_NO_EXAMPLES.format(name=name) for name in without]
        objects = {**self.record.get("objects", {}), "examples": len(filled.examples)}
        return VersionNaming(filled, {**self.record, "objects": objects}, tuple(notes))

    def _lost(self, why: str) -> VersionNaming:
        """Return no memory; only one that was there before is missed."""
        if self.memory is None:
            return VersionNaming()
        reason = _LOST.format(why=_OTHER_ENCODER + why)
        return VersionNaming(None, {WITHOUT_MEMORY: reason}, (reason,))


def listed(names: Sequence[str]) -> str:
    """Return some names as text."""
    more = " and others" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
