"""Result of a prediction: labels on the voxels of the input, the object's name, and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.imaging.volume import Segment, Volume
from segsam.prediction.labels import Region
from segsam.prediction.taught.examples import NameSource, TaughtExample
from segsam.prediction.taught.position import Position
from segsam.prompting.prompts import Box
from segsam.types import LabelArray

UNTRAINED_NOTE = (
    "No category: this checkpoint has no trained semantic decoder, so the mask comes from the "
    "binary decoder without a name."
)
LONE_POINT_NOTE = (
    "A point without a box: the weights of this checkpoint were trained with boxes only, so the "
    "mask is likely to be nearly empty or wrong. Draw a box around the object instead."
)
EMPTY_NOTE = "The mask is empty: the model found no object for these prompts."


@dataclass(frozen=True)
class SliceReport:
    """Findings on one decoded slice.

    `predicted_iou` is the mask decoder's own estimate. `agreement` is the soft IoU of the two
    decoders' masks (the paper's cross-mask alignment, section 3.3), None without trained semantics.
    `present` maps the categories on the slice to their probabilities.
    """

    index: int
    axis: int
    predicted_iou: float
    propagated: bool = False
    agreement: float | None = None
    present: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SliceDescription:
    """Description (D,) and position of the object on one slice, by which its name can be taught;
    `area` is the number of its pixels.
    """

    axis: int
    index: int
    area: int
    description: NDArray[np.float32]
    position: Position


@dataclass(frozen=True, eq=False)
class Result:
    """Result of one `Predictor.predict`.

    `region` holds the object's probabilities. `labels` is made from it on first use, so that a
    click in a deep volume takes no longer than in a flat one. `category`, `confidence`,
    `agreement` and each slice's `present` are empty if the checkpoint has no trained semantic
    parts. `segment` is the category with its colour and code. `suggestions` are the nearest
    guesses with their probabilities, the most probable first, also where no name is given.
    `name_source` tells who gave the name: the checkpoint, the request, or a user who taught it;
    `taught` has the nearest example of each taught name among the name and the suggestions.
    `descriptions` are empty for a checkpoint without a memory of examples.
    `seconds` has the wall-clock times "encode", "decode" and "total". `encoded` counts the slices
    that were not in the cache.
    """

    region: Region
    volume: Volume
    axes: tuple[str, ...]
    slices: tuple[SliceReport, ...]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]
    encoded: int
    category: str | None = None
    confidence: float | None = None
    segment: Segment | None = None
    suggestions: Mapping[str, float] = field(default_factory=dict)
    name_source: NameSource | None = None
    taught: Mapping[str, TaughtExample] = field(default_factory=dict)
    descriptions: tuple[SliceDescription, ...] = ()

    @cached_property
    def labels(self) -> LabelArray:
        """uint8 (i, j, k) of the volume's shape, 1 = the object."""
        return self.region.mask().view(np.uint8)

    @property
    def voxels(self) -> int:
        """Number of voxels of the object."""
        return self.region.voxels

    @property
    def millilitres(self) -> float:
        """The object's volume in ml."""
        return self.voxels * float(np.prod(self.volume.spacing_mm)) / 1000.0

    @property
    def size_in_words(self) -> str:
        """Size as text: voxels and millilitres; pixels for a single slice, which has no volume."""
        return size_in_words(self.volume, self.voxels)

    @property
    def agreement(self) -> float | None:
        """Mean agreement of the two decoders over the slices; None without trained semantics."""
        known = [s.agreement for s in self.slices if s.agreement is not None]
        return float(np.mean(known)) if known else None

    @property
    def present(self) -> dict[int, dict[str, float]]:
        """Categories besides the object: slice index (first axis) -> category -> probability.

        The most probable category comes first. The object's own category is left out: presence is
        computed from the image alone and cannot tell the object from another one of its category.
        """
        first = "ijk".index(self.axes[0])
        others = {s.index: self._others(s) for s in self.slices if s.axis == first}
        return {index: present for index, present in others.items() if present}

    @property
    def neighbours(self) -> dict[str, float]:
        """Categories besides the object on any slice: category -> its highest probability.

        The most probable category comes first.
        """
        found: dict[str, float] = {}
        for present in self.present.values():
            for name, probability in present.items():
                found[name] = max(found.get(name, 0.0), probability)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def suggestions_in_words(self) -> str:
        """The nearest guesses of an object without a name as text; empty if there are none."""
        return ", ".join(f"{name} {p:.0%}" for name, p in self.suggestions.items())

    @property
    def predicted_iou(self) -> float | None:
        """Mean of the mask decoder's own IoU estimate over the slices; None without slices."""
        return float(np.mean([s.predicted_iou for s in self.slices])) if self.slices else None

    @property
    def bounding_box(self) -> Box | None:
        """Tight box of the object in voxel indices, inclusive; None if the mask is empty."""
        return self.region.bounding_box

    def packed(self) -> Result:
        """Return the result with a region that takes little memory (`Region.packed`)."""
        return replace(self, region=self.region.packed())

    def save(self, path: str | Path) -> None:
        """Write the labels with the volume's geometry; the extension chooses the format (see
        `Volume.save`).
        """
        segments = {1: self.segment or Segment(self.category or "object")}
        self.volume.like(self.labels).save(path, segments=segments)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the voxels as JSON values."""
        box = self.bounding_box
        return {
            "image": self.volume.name,
            "shape_ijk": list(self.volume.shape_ijk),
            "spacing_mm": list(self.volume.spacing_mm),
            "affine_ras": self.volume.affine_ras.tolist(),
            "axes": list(self.axes),
            "slices": [_slice_json(s, self._others(s)) for s in self.slices],
            "voxels": self.voxels,
            "millilitres": self.millilitres,
            "bounding_box": box and {"min_ijk": list(box.min_ijk), "max_ijk": list(box.max_ijk)},
            "category": self.category,
            "confidence": self.confidence,
            "suggestions": dict(self.suggestions),
            "name_source": self.name_source,
            "taught": {name: one.to_json() for name, one in self.taught.items()},
            "agreement": self.agreement,
            "predicted_iou": self.predicted_iou,
            "notes": list(self.notes),
            "encoded_slices": self.encoded,
            "seconds": dict(self.seconds),
        }

    def _others(self, report: SliceReport) -> dict[str, float]:
        return {name: p for name, p in report.present.items() if name != self.category}


def size_in_words(volume: Volume, voxels: int) -> str:
    """Return a number of voxels as text, see `Result.size_in_words`."""
    if volume.is_flat:
        return f"{voxels} pixels"
    return f"{voxels} voxels, {voxels * float(np.prod(volume.spacing_mm)) / 1000.0:.1f} ml"


def _slice_json(report: SliceReport, present: Mapping[str, float]) -> dict[str, Any]:
    return {
        "index": report.index,
        "axis": "ijk"[report.axis],
        "predicted_iou": report.predicted_iou,
        "propagated": report.propagated,
        "agreement": report.agreement,
        "present": dict(present),
    }
