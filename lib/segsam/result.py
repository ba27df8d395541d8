"""What a prediction is: labels on the voxels that came in, what the model calls them, and what to
tell the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segsam.prompts import Box
from segsam.types import LabelArray
from segsam.volume import Volume

UNTRAINED_NOTE = (
    "No category: the semantic decoder of this checkpoint is not trained yet, so the mask comes "
    "from the binary decoder without a name."
)
LONE_POINT_NOTE = (
    "A point without a box: the weights of this checkpoint were trained with boxes only, so the "
    "mask is likely to be nearly empty or wrong. Draw a box around the object instead."
)
EMPTY_NOTE = "The mask is empty: the model found no object for these prompts."


@dataclass(frozen=True)
class SliceReport:
    """One decoded slice: the model's own estimate of its mask's IoU, and what its semantic decoder
    said, if trained.

    `agreement` is the soft IoU of the two decoders' masks (the paper's cross-mask alignment,
    section 3.3); `present` maps the categories of the unprompted objects to their probabilities.
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

    `labels` is uint8 (i, j, k) of the volume's shape, 1 = the object. `category`, `confidence`,
    `agreement` and each slice's `present` stay empty until a checkpoint with trained semantic parts
    is in use. `seconds` has "encode", "decode" and "total" in wall-clock seconds; `encoded` counts
    the slices that were not in the cache.
    """

    labels: LabelArray
    volume: Volume
    axes: tuple[str, ...]
    slices: tuple[SliceReport, ...]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]
    encoded: int
    category: str | None = None
    confidence: float | None = None

    @property
    def voxels(self) -> int:
        """How many voxels the object has."""
        return int(np.count_nonzero(self.labels))

    @property
    def millilitres(self) -> float:
        """The object's volume in ml."""
        return self.voxels * float(np.prod(self.volume.spacing_mm)) / 1000.0

    @property
    def agreement(self) -> float | None:
        """Mean over the slices of the two decoders' IoU; None while the semantic decoder is
        untrained.
        """
        known = [s.agreement for s in self.slices if s.agreement is not None]
        return float(np.mean(known)) if known else None

    @property
    def present(self) -> dict[int, dict[str, float]]:
        """Slice index (of the first axis) -> category -> probability, of what was not prompted."""
        first = "ijk".index(self.axes[0])
        return {s.index: dict(s.present) for s in self.slices if s.present and s.axis == first}

    @property
    def predicted_iou(self) -> float | None:
        """Mean over the slices of the mask decoder's own IoU estimate; None when no slice was
        decoded.
        """
        return float(np.mean([s.predicted_iou for s in self.slices])) if self.slices else None

    @property
    def bounding_box(self) -> Box | None:
        """The object's tight box in voxel indices, inclusive; None when the mask is empty."""
        if not self.voxels:
            return None
        lows, highs = [], []
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            filled = np.flatnonzero(self.labels.any(axis=others))
            lows.append(int(filled[0]))
            highs.append(int(filled[-1]))
        return Box((lows[0], lows[1], lows[2]), (highs[0], highs[1], highs[2]))

    def save(self, path: str | Path) -> None:
        """Write the labels with the volume's geometry; the extension chooses the format (see
        `Volume.save`).
        """
        self.volume.like(self.labels).save(path)

    def to_json(self) -> dict[str, Any]:
        """Everything but the voxels, as plain JSON values."""
        box = self.bounding_box
        return {
            "image": self.volume.name,
            "shape_ijk": list(self.volume.shape_ijk),
            "spacing_mm": list(self.volume.spacing_mm),
            "affine_ras": self.volume.affine_ras.tolist(),
            "axes": list(self.axes),
            "slices": [_slice_json(s) for s in self.slices],
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


def _slice_json(report: SliceReport) -> dict[str, Any]:
    return {
        "index": report.index,
        "axis": "ijk"[report.axis],
        "predicted_iou": report.predicted_iou,
        "propagated": report.propagated,
        "agreement": report.agreement,
        "present": dict(report.present),
    }
