"""What a prediction is: labels on the voxels that came in, what the model calls them, and what to
tell the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from segsam.categories import Categories
from segsam.imaging.volume import Segment, Volume
from segsam.prediction.labels import Region
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
UNSURE_NOTE = "Not named: the best guess, {name}, has a probability of {confidence:.0%} only."
UNRELIABLE_NOTE = (
    "Not named: the names of this checkpoint are not reliable in {modality} volumes; its model "
    "card says why."
)
UNRELIABLE_NAME_NOTE = (
    "Not named: it looks most like {name}, a name that this checkpoint does not give reliably in "
    "{modality} volumes."
)
EMPTY_NOTE = "The mask is empty: the model found no object for these prompts."


@dataclass(frozen=True)
class SliceReport:
    """One decoded slice: the model's own estimate of its mask's IoU, and what its semantic decoder
    said, if trained.

    `agreement` is the soft IoU of the two decoders' masks (the paper's cross-mask alignment,
    section 3.3); `present` maps the categories on the slice to their probabilities.
    """

    index: int
    axis: int
    predicted_iou: float
    propagated: bool = False
    agreement: float | None = None
    present: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Result:
    """The answer to one `Predictor.predict`.

    `region` holds the object's probabilities where there are any; `labels` is made of it when first
    asked for, so that a click in a deep volume costs no more than in a flat one. `category`,
    `confidence`, `agreement` and each slice's `present` stay empty where the checkpoint has no
    trained semantic parts; `segment` is the category with its colour and code. `seconds` has
    "encode", "decode" and "total" in wall-clock seconds; `encoded` counts the slices that were not
    in the cache.
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

    @cached_property
    def labels(self) -> LabelArray:
        """uint8 (i, j, k) of the volume's shape, 1 = the object."""
        return self.region.mask().view(np.uint8)

    @property
    def voxels(self) -> int:
        """How many voxels the object has."""
        return self.region.voxels

    @property
    def millilitres(self) -> float:
        """The object's volume in ml."""
        return self.voxels * float(np.prod(self.volume.spacing_mm)) / 1000.0

    @property
    def size_in_words(self) -> str:
        """Voxels and millilitres; pixels alone for a single slice, which has no thickness."""
        if self.volume.is_flat:
            return f"{self.voxels} pixels"
        return f"{self.voxels} voxels, {self.millilitres:.1f} ml"

    @property
    def agreement(self) -> float | None:
        """Mean over the slices of the two decoders' IoU; None without trained semantics."""
        known = [s.agreement for s in self.slices if s.agreement is not None]
        return float(np.mean(known)) if known else None

    @property
    def present(self) -> dict[int, dict[str, float]]:
        """Slice index (of the first axis) -> category -> probability, of what was not prompted,
        likeliest first.

        The object's own category is left out: presence looks at the image alone, so it cannot say
        whether there is another one.
        """
        first = "ijk".index(self.axes[0])
        others = {s.index: self._others(s) for s in self.slices if s.axis == first}
        return {index: present for index, present in others.items() if present}

    @property
    def neighbours(self) -> dict[str, float]:
        """What else is present on any of the slices: category -> its highest probability there,
        likeliest first.
        """
        found: dict[str, float] = {}
        for present in self.present.values():
            for name, probability in present.items():
                found[name] = max(found.get(name, 0.0), probability)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def predicted_iou(self) -> float | None:
        """Mean over the slices of the mask decoder's own IoU estimate; None when no slice was
        decoded.
        """
        return float(np.mean([s.predicted_iou for s in self.slices])) if self.slices else None

    @property
    def bounding_box(self) -> Box | None:
        """The object's tight box in voxel indices, inclusive; None when the mask is empty."""
        bounds = self.region.bounds()
        if bounds is None:
            return None
        i, j, k = bounds
        return Box((i.start, j.start, k.start), (i.stop - 1, j.stop - 1, k.stop - 1))

    def save(self, path: str | Path) -> None:
        """Write the labels with the volume's geometry; the extension chooses the format (see
        `Volume.save`).
        """
        segments = {1: self.segment or Segment(self.category or "object")}
        self.volume.like(self.labels).save(path, segments=segments)

    def to_json(self) -> dict[str, Any]:
        """Everything but the voxels, as plain JSON values."""
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
            "agreement": self.agreement,
            "predicted_iou": self.predicted_iou,
            "notes": list(self.notes),
            "encoded_slices": self.encoded,
            "seconds": dict(self.seconds),
        }

    def _others(self, report: SliceReport) -> dict[str, float]:
        return {name: p for name, p in report.present.items() if name != self.category}


def segment_named(name: str | None, categories: Categories) -> Segment | None:
    """The category of that name, with its colour and code; None for no name."""
    if name is None:
        return None
    found = categories.items[categories.index(name)]
    return Segment(found.name, found.colour, found.snomed)


def _slice_json(report: SliceReport, present: Mapping[str, float]) -> dict[str, Any]:
    return {
        "index": report.index,
        "axis": "ijk"[report.axis],
        "predicted_iou": report.predicted_iou,
        "propagated": report.propagated,
        "agreement": report.agreement,
        "present": dict(present),
    }
