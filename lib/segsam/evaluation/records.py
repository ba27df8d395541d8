"""Results of an evaluation: a record of each prompted object of a slice and of a volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsam.categories.segment_names import learnt_name


@dataclass(frozen=True, eq=False)
class ObjectScore:
    """One object of one slice, prompted once.

    Scores are fractions. None stands for a score that was not requested, or that the checkpoint
    does not give.
    """

    dataset: str
    modality: str
    prompt: str
    case: str
    patient: str
    slice: int
    label: int
    """Value in the labels."""
    name: str
    """Name in its data set."""
    category: int
    """k + 1 for the checkpoint's category k, 0 if the checkpoint does not know it, or if it is a
    mask without a name (`has_name`)."""
    share: float
    """Share of the slice that the object covers."""
    predicted_iou: float
    dsc: float | None = None
    """Dice of the binary decoder's mask."""
    mdsc: float | None = None
    """Dice of the pixels that the model itself labels with the category."""
    semantic_dsc: float | None = None
    """Dice of the semantic decoder's mask, whatever category it gives."""
    found: int = 0
    """k + 1 for the category that is the model's best guess."""
    named: int = 0
    """1 if a user would be shown the name, 0 if it is withheld."""
    confidence: float | None = None
    """Probability that `found` is right, as a user would see it."""
    agreement: float | None = None
    """Soft IoU of both decoders' masks."""
    class_logits: NDArray[np.float32] | None = None
    """(K + 1,), "no object" first, before any temperature."""
    description: NDArray[np.float32] | None = None
    """(D,) of the object for a memory of examples (`describe_objects`)."""
    image_description: NDArray[np.float32] | None = None
    """(2 C,) of its image (`describe_images`)."""

    @property
    def has_name(self) -> bool:
        """False for a mask without a name: its outline is measured, no name is asked for."""
        return bool(learnt_name(self.name))


@dataclass(frozen=True)
class VolumeScore:
    """One category of one 3D case; scores are fractions."""

    dataset: str
    case: str
    patient: str
    label: int
    name: str
    dice: float
    nsd: float
    """Normalised surface Dice at 2 mm."""
    propagated: bool = False
    """True if propagated from one prompted slice, False if every slice was prompted."""


@dataclass(frozen=True)
class DatasetFacts:
    """Facts of a data set in the report, beside its scores."""

    name: str
    modality: str
    labels: Mapping[int, str]
    classes: Mapping[int, int]
    """Label value -> k + 1, 0 for a label that the checkpoint does not know or that has no name."""
    cases: int
    slices: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of an evaluation; `summary.report` computes the means."""

    prompt: str
    decoder: str
    seed: int
    semantics: bool
    """True if the checkpoint's semantic decoder is trained and was requested."""
    datasets: tuple[DatasetFacts, ...]
    objects: tuple[ObjectScore, ...]
    volumes: tuple[VolumeScore, ...]
    categories: tuple[str, ...]
    """Names of the checkpoint's categories, in order."""
    encoded: int
    """Slices whose embeddings had to be computed."""
    seconds: float
    empty_cases: int = 0
    """Cases without an object to prompt, which have no scores."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Objects whose confidence lies in one bin."""

    confidence: float
    """Mean over the objects."""
    accuracy: float
    objects: int
