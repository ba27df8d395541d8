"""What was measured: a row for each prompted object of a slice, and for each object of a volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ObjectScore:
    """One object of one slice, prompted once. Scores are fractions; None is what was not asked for
    or what the checkpoint cannot say.
    """

    dataset: str
    modality: str
    prompt: str
    case: str
    patient: str
    slice: int
    label: int
    """Its value in the labels."""
    name: str
    """What its data set calls it."""
    category: int
    """k + 1 for the checkpoint's category k, 0 if the checkpoint does not know it."""
    share: float
    """Of the slice that it covers."""
    predicted_iou: float
    dsc: float | None = None
    """Dice of the binary decoder."""
    mdsc: float | None = None
    """Dice of the pixels that the model itself labels with the category."""
    semantic_dsc: float | None = None
    """Dice of the semantic decoder's mask, whatever category it gives."""
    found: int = 0
    """k + 1 for the category that the model gives."""
    confidence: float | None = None
    """The probability of `found`, at the checkpoint's temperature."""
    agreement: float | None = None
    """Soft IoU of both decoders' masks."""
    class_logits: NDArray[np.float32] | None = None
    """(K + 1,), "no object" first, before any temperature."""


@dataclass(frozen=True)
class VolumeScore:
    """One category of one 3D case, rebuilt from its slices; scores are fractions."""

    dataset: str
    case: str
    patient: str
    label: int
    name: str
    dice: float
    nsd: float
    propagated: bool = False
    """Followed from one prompted slice instead of prompted in each."""


@dataclass(frozen=True)
class DatasetFacts:
    """What a report says of a data set beside its scores."""

    name: str
    modality: str
    labels: Mapping[int, str]
    classes: Mapping[int, int]
    """Label value -> k + 1, 0 for a label that the checkpoint does not know."""
    cases: int
    slices: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A measurement as it was taken; `summary.report` says what it comes to."""

    prompt: str
    decoder: str
    seed: int
    semantics: bool
    """Whether the checkpoint's semantic decoder is trained and was asked."""
    datasets: tuple[DatasetFacts, ...]
    objects: tuple[ObjectScore, ...]
    volumes: tuple[VolumeScore, ...]
    categories: tuple[str, ...]
    """Names of the checkpoint's categories, in order."""
    encoded: int
    """Slices whose embeddings were not kept before."""
    seconds: float
