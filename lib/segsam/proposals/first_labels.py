"""What the automatic segmentation of a volume is: labels by category, and how sure of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segsam.imaging.volume import Segment, Volume
from segsam.prediction.labels import merge_objects
from segsam.prediction.result import Result
from segsam.proposals.probing import certainty
from segsam.types import LabelArray

NOTHING_NOTE = "Nothing was found of which both decoders were sure enough."
UNSEEN_PRESENCE_NOTE = (
    "Searched by the agreement of the two decoders alone: this checkpoint has not learnt which "
    "categories are absent."
)


@dataclass(frozen=True, eq=False)
class FoundObject:
    """One category: `result` is that of its own prompts, which were made, not drawn; `presence` is
    slice -> probability of the CO-token, empty where presence is not trained.
    """

    value: int
    name: str
    confidence: float
    result: Result
    presence: Mapping[int, float]

    @property
    def agreement(self) -> float:
        """Mean over the slices of the IoU of both decoders' masks."""
        return self.result.agreement or 0.0

    @property
    def certainty(self) -> float:
        """Confidence, agreement and predicted IoU together, 0 to 1."""
        return certainty(self.confidence, self.agreement, self.result.predicted_iou or 0.0)

    @property
    def slice_certainties(self) -> dict[int, float]:
        """Slice -> certainty there, with the object's confidence."""
        return {
            one.index: certainty(self.confidence, one.agreement or 0.0, one.predicted_iou)
            for one in sorted(self.result.slices, key=lambda one: one.index)
        }

    def to_json(self) -> dict[str, Any]:
        """As plain values; slices by their index as text."""
        return {
            "certainty": self.certainty,
            "confidence": self.confidence,
            "agreement": self.agreement,
            "predicted_iou": self.result.predicted_iou,
            "voxels": self.result.voxels,
            "slices": {str(index): value for index, value in self.slice_certainties.items()},
            "presence": {str(index): value for index, value in self.presence.items()},
        }


@dataclass(frozen=True, eq=False)
class FirstLabels:
    """The answer of `segment_automatically`: `labels` are uint8 or uint16 (i, j, k), values 1 to N
    in the order of `objects`; where two overlap the more probable one has the voxel.

    `looked_at` are the slices that were searched, across voxel axis `axis`.
    """

    volume: Volume
    axis: str
    objects: tuple[FoundObject, ...]
    looked_at: tuple[int, ...]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]
    encoded: int

    @property
    def labels(self) -> LabelArray:
        """Made anew each time."""
        pairs = [(one.result.region, one.value) for one in self.objects]
        return merge_objects(pairs, shape_ijk=self.volume.shape_ijk)

    @property
    def label_names(self) -> dict[str, int]:
        """Name -> value."""
        return {one.name: one.value for one in self.objects}

    @property
    def certainty(self) -> float | None:
        """Mean over the objects; None without any."""
        return float(np.mean([one.certainty for one in self.objects])) if self.objects else None

    @property
    def segments(self) -> dict[int, Segment]:
        """Value -> name, colour and code."""
        return {one.value: one.result.segment or Segment(one.name) for one in self.objects}

    def save(self, path: str | Path) -> None:
        """Write the labels with the volume's geometry; the extension chooses the format."""
        self.volume.like(self.labels).save(path, segments=self.segments)

    def to_json(self) -> dict[str, Any]:
        """Everything but the voxels, as plain JSON values."""
        return {
            "label_names": self.label_names,
            "certainty": self.certainty,
            "certainties": {one.name: one.to_json() for one in self.objects},
            "axis": self.axis,
            "looked_at": list(self.looked_at),
            "notes": list(self.notes),
            "encoded_slices": self.encoded,
            "seconds": dict(self.seconds),
        }
