"""Result of the automatic segmentation: labels by category, and the certainty of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from segsam.imaging.volume import Segment, Volume
from segsam.imaging.voxels import count_values
from segsam.prediction.labels import merge_objects, overlap_note
from segsam.prediction.result import Result
from segsam.proposals.probing import certainty
from segsam.proposals.requested import NotFound
from segsam.types import LabelArray

NOTHING_NOTE = "Nothing was found that both decoders were certain enough of."
UNNAMED_NOTE = (
    "Left out, because their names are not certain enough: objects that look most like {names}."
)
LEARNT_NOTE = "The {name} is drawn by {source}."
OTHER_CHECKPOINT_NOTE = "Not used, because it is of another checkpoint: {source}."
UNSEEN_PRESENCE_NOTE = (
    "Searched by the agreement of the two decoders alone: this checkpoint has not learnt which "
    "categories are absent."
)


@dataclass(frozen=True, eq=False)
class FoundObject:
    """Object of one category that was found without prompts.

    `result` is the prediction from the boxes that the search proposed. `presence` maps a slice to
    the category's presence probability; it is empty if presence is not trained.
    """

    value: int
    name: str
    confidence: float
    result: Result
    presence: Mapping[int, float]
    learnt_in: tuple[str, ...] = ()
    """Cases from which the mask decoder that drew it was adapted, the newest last."""

    @property
    def agreement(self) -> float:
        """Mean agreement (IoU) of the two decoders' masks over the slices."""
        return self.result.agreement or 0.0

    @property
    def certainty(self) -> float:
        """Product of confidence, agreement and predicted IoU, 0 to 1.

        Without the agreement for a name that a user taught: the second decoder was not taught it.
        """
        agreement = 1.0 if self._is_taught else self.agreement
        return certainty(self.confidence, agreement, self.result.predicted_iou or 0.0)

    @property
    def slice_certainties(self) -> dict[int, float]:
        """Certainty by slice index, with the object's confidence."""
        return {
            one.index: certainty(
                self.confidence,
                1.0 if self._is_taught else one.agreement or 0.0,
                one.predicted_iou,
            )
            for one in sorted(self.result.slices, key=lambda one: one.index)
        }

    @property
    def _is_taught(self) -> bool:
        return self.result.name_source == "taught"

    def to_json(self, voxels: int) -> dict[str, Any]:
        """Return JSON values; slices by their index as text. `voxels` are those with its label."""
        return {
            "certainty": self.certainty,
            "confidence": self.confidence,
            "agreement": self.agreement,
            "predicted_iou": self.result.predicted_iou,
            "voxels": voxels,
            "slices": {str(index): value for index, value in self.slice_certainties.items()},
            "presence": {str(index): value for index, value in self.presence.items()},
            "learnt_in": list(self.learnt_in),
        }


@dataclass(frozen=True, eq=False)
class FirstLabels:
    """Result of `segment_automatically`.

    `labels` are uint8 or uint16 (i, j, k) with values 1 to N in the order of `objects`; where two
    objects overlap, the higher probability wins. `searched_slices` lie across voxel axis `axis`.
    `not_found` are the requested names that no object got.
    """

    volume: Volume
    axis: str
    objects: tuple[FoundObject, ...]
    searched_slices: tuple[int, ...]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]
    encoded: int
    not_found: tuple[NotFound, ...] = ()

    @cached_property
    def labels(self) -> LabelArray:
        """Label volume."""
        pairs = [(one.result.region, one.value) for one in self.objects]
        return merge_objects(pairs, shape_ijk=self.volume.shape_ijk)

    @cached_property
    def voxels(self) -> dict[int, int]:
        """Number of voxels in the label volume by label value."""
        counts = count_values(self.labels, len(self.objects))
        return {one.value: counts[one.value] for one in self.objects}

    @property
    def overlap_notes(self) -> tuple[str, ...]:
        """Notes about the objects of which the label volume does not hold every voxel."""
        return tuple(
            overlap_note(f"The {one.name}", one.result.voxels, self.voxels[one.value])
            for one in self.objects
            if self.voxels[one.value] < one.result.voxels
        )

    @property
    def label_names(self) -> dict[str, int]:
        """Label value by name."""
        return {one.name: one.value for one in self.objects}

    @property
    def certainty(self) -> float | None:
        """Mean certainty of the objects; None without objects."""
        return float(np.mean([one.certainty for one in self.objects])) if self.objects else None

    @property
    def segments(self) -> dict[int, Segment]:
        """Name, colour and code by label value."""
        return {one.value: one.result.segment or Segment(one.name) for one in self.objects}

    def save(self, path: str | Path) -> None:
        """Write the labels with the volume's geometry; the extension chooses the format."""
        self.volume.like(self.labels).save(path, segments=self.segments)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the voxels as JSON values."""
        return {
            "label_names": self.label_names,
            "certainty": self.certainty,
            "certainties": {one.name: one.to_json(self.voxels[one.value]) for one in self.objects},
            "not_found": [one.to_json() for one in self.not_found],
            "axis": self.axis,
            "looked_at": list(self.searched_slices),
            "notes": [*self.notes, *self.overlap_notes],
            "encoded_slices": self.encoded,
            "seconds": dict(self.seconds),
        }
