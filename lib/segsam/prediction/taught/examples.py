"""Taught names: what a user named, as examples beside those of the checkpoint.

    a labelled slice --describe--> TaughtExample    its case, slice, annotator and time
    examples of one name ------->  TaughtName       with colour and code
    all names of a study ------->  TaughtNames      which a prediction takes as an argument

Nothing here changes after it is made: each change returns new names, so that predictions that run
keep what they began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.categories.vocabulary import folded
from segsam.imaging.volume import Segment
from segsam.prediction.taught.position import Position
from segsam.types import AxisName

NameSource: TypeAlias = Literal["checkpoint", "request", "taught"]
"""Who gave an object its name."""


@dataclass(frozen=True, eq=False)
class TaughtExample:
    """Object on one slice that a user named."""

    description: NDArray[np.float32]
    """(D,) of `describe_objects`."""
    position: Position
    """(x, y) of `position_in_body`."""
    embedding: str
    """Identifier of the image encoder that the description is from (`digests.embedding_id`)."""
    case: str
    axis: AxisName
    index: int
    """Of the slice across `axis`."""
    annotator: str = ""
    created: str = ""
    """UTC, ISO 8601."""
    from_label: bool = False
    """True if it was learnt from a saved label of the case, whose next version replaces it."""

    @property
    def source_in_words(self) -> str:
        """The source of the name, as in "anna named it in case7, slice k 41"."""
        who = self.annotator or "you"
        return f"{who} named it in {self.case}, slice {self.axis} {self.index}"

    def to_json(self) -> dict[str, Any]:
        """Return where the example is from, as JSON values."""
        return {
            "case": self.case,
            "axis": self.axis,
            "slice": self.index,
            "annotator": self.annotator,
            "created": self.created,
        }


@dataclass(frozen=True, eq=False)
class TaughtName:
    """Name that a user taught, with its examples."""

    id: str
    """The same whatever the name becomes."""
    name: str
    examples: tuple[TaughtExample, ...] = ()
    colour_rgb: tuple[int, int, int] | None = None
    snomed: tuple[str, str] | None = None
    """SNOMED CT code and meaning."""

    @property
    def segment(self) -> Segment:
        """The name with its colour and code."""
        return Segment(self.name, self.colour_rgb, self.snomed)

    @property
    def cases(self) -> tuple[str, ...]:
        """Cases of the examples, each once, in the order in which they were taught."""
        return tuple(dict.fromkeys(example.case for example in self.examples))

    def without(self, leaves: Callable[[TaughtExample], bool]) -> TaughtName:
        """Return the name without the examples that leave it."""
        return replace(self, examples=tuple(one for one in self.examples if not leaves(one)))


@dataclass(frozen=True, eq=False)
class StackedExamples:
    """All examples of one image encoder as tensors: N examples of some of the names."""

    descriptions: Tensor
    """(N, D)."""
    positions: Tensor
    """(N, 2)."""
    names: Tensor
    """(N,) int64: index of the name."""
    examples: tuple[TaughtExample, ...]


@dataclass(frozen=True, eq=False)
class TaughtNames:
    """All names that were taught in one study."""

    names: tuple[TaughtName, ...] = ()

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self.names)

    def __iter__(self) -> Iterator[TaughtName]:
        return iter(self.names)

    def find(self, name: str) -> TaughtName | None:
        """Return the name in any spelling (case, blanks); None if it was not taught."""
        return next((one for one in self.names if folded(one.name) == folded(name)), None)

    def with_names(self, changed: Iterable[TaughtName]) -> TaughtNames:
        """Return the names with others of the same ids in their places, and new ones at the end."""
        found = {one.id: one for one in self.names} | {one.id: one for one in changed}
        return TaughtNames(tuple(found.values()))

    def stacked(self, embedding: str) -> StackedExamples | None:
        """Return the examples of one image encoder as tensors; None if there are none."""
        return self._stacked.get(embedding)

    @cached_property
    def _stacked(self) -> dict[str, StackedExamples]:
        by_encoder: dict[str, list[tuple[int, TaughtExample]]] = {}
        for number, name in enumerate(self.names):
            for example in name.examples:
                by_encoder.setdefault(example.embedding, []).append((number, example))
        return {
            embedding: StackedExamples(
                torch.from_numpy(np.stack([one.description for _, one in found])),
                torch.tensor([one.position for _, one in found]),
                torch.tensor([number for number, _ in found]),
                tuple(one for _, one in found),
            )
            for embedding, found in by_encoder.items()
        }
