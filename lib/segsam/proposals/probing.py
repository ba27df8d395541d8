"""Probes: points on a slice that are decoded as clicks, to find objects without an annotator.

The points come from a regular grid over the picture, and from the peaks of the presence branch's
cross-attention, one per category. At an object, three conditions hold: the two decoders draw the
same mask (the paper's alignment), the mask decoder predicts a high IoU, and the name is certain, by
the same rule as that of a prompted object. Elsewhere at least one of them fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.errors import PromptError
from segsam.model import Decoded, ImageFeatures, PromptTensors, SegSam
from segsam.prediction.naming import name_confidences
from segsam.prediction.semantics import agreements, example_distances

_BATCH_SIZE = 16
"""Points decoded together; more would only need more memory."""


@dataclass(frozen=True, eq=False)
class Probe:
    """Answer of both decoders to one point of a slice.

    `mask` is bool (m, m) over the padded square. `category` is an index into the checkpoint's
    categories, and `confidence` that of its name. `probability` is the semantic decoder's own for
    its best category, which is also high for what the memory of examples does not know.
    """

    point_px: tuple[float, float]
    mask: NDArray[np.bool_]
    category: int
    confidence: float
    agreement: float
    predicted_iou: float
    probability: float

    @property
    def certainty(self) -> float:
        """Certainty of mask and name; see `certainty`."""
        return certainty(self.confidence, self.agreement, self.predicted_iou)


def certainty(confidence: float, agreement: float, predicted_iou: float) -> float:
    """Return the product of the three, each in [0, 1]: one low value is enough to doubt."""
    return confidence * agreement * clamped(predicted_iou)


def clamped(predicted_iou: float) -> float:
    """Return a predicted IoU within [0, 1]; the model's estimate is not bounded."""
    return min(max(predicted_iou, 0.0), 1.0)


def require_semantics(model: SegSam) -> None:
    """Raise PromptError for a checkpoint without a trained semantic decoder."""
    if not model.card.semantic_is_trained:
        raise PromptError(
            "Nothing can be segmented without prompts: this checkpoint has no trained semantic "
            "decoder, which tells objects from background; mark the object, or use another "
            "checkpoint."
        )


def grid_points(size_px: tuple[int, int], side: int) -> NDArray[np.float32]:
    """Return the centres (n, 2) x, y of `side` x `side` cells of a picture (h_px, w_px)."""
    height, width = size_px
    centres = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(centres * width, centres * height)
    return np.asarray(np.stack([x.ravel(), y.ravel()], axis=1), dtype=np.float32)


@torch.inference_mode()
def attention_points(
    model: SegSam, features: ImageFeatures, categories: Sequence[int], size_px: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the peaks of some categories' presence attention in a picture (h_px, w_px).

    Shape (n, 2) x, y in model pixels; empty without a presence branch.
    """
    attention = model.presence_attention(features)
    if attention is None or not categories:
        return np.zeros((0, 2), np.float32)
    maps = attention[0, list(categories)].float()
    cell = model.host.facts.input_size / maps.shape[-1]
    rows, columns = (max(1, int(np.ceil(side / cell))) for side in size_px)
    peaks = maps[:, :rows, :columns].flatten(1).argmax(dim=1).cpu().numpy()
    y, x = np.divmod(peaks, columns)
    points = (np.stack([x, y], axis=1) + 0.5) * cell
    limits = np.array([size_px[1] - 1, size_px[0] - 1])
    return np.asarray(np.minimum(points, limits), dtype=np.float32)


@torch.inference_mode()
def probe(model: SegSam, features: ImageFeatures, points_px: NDArray[np.float32]) -> list[Probe]:
    """Decode n points (n, 2) x, y in model pixels of one image; empty masks are left out.

    Raises:
        PromptError: a checkpoint without trained semantics.
    """
    require_semantics(model)
    device = features.embedding.device
    found: list[Probe] = []
    for first in range(0, len(points_px), _BATCH_SIZE):
        part = points_px[first : first + _BATCH_SIZE]
        points = torch.from_numpy(part).to(device)[:, None]
        labels = torch.ones(points.shape[:2], dtype=torch.int64, device=device)
        decoded = model.decode(features, PromptTensors(points, labels), semantic=True)
        found += _probes(model, features, decoded, part)
    return found


def best_by_category(probes: Iterable[Probe]) -> dict[int, Probe]:
    """Return the most certain probe of each category."""
    best: dict[int, Probe] = {}
    for one in probes:
        current = best.get(one.category)
        if current is None or one.certainty > current.certainty:
            best[one.category] = one
    return best


def _probes(
    model: SegSam, features: ImageFeatures, decoded: Decoded, points_px: NDArray[np.float32]
) -> list[Probe]:
    agreed = agreements(decoded)
    if decoded.class_logits is None or agreed is None:
        return []
    agreed_list = agreed.tolist()
    scores = (decoded.class_logits / model.card.temperature).softmax(dim=1).cpu().numpy()
    distances = example_distances(model, features, decoded.binary_logits)
    confidences = name_confidences(model, scores, distances)
    best, masks = confidences.argmax(axis=1), (decoded.binary_logits[:, 0] > 0).cpu().numpy()
    predicted_iou = decoded.predicted_iou[:, 0].tolist()
    return [
        Probe(
            (float(point[0]), float(point[1])),
            masks[row],
            int(best[row]),
            float(confidences[row, best[row]]),
            agreed_list[row],
            predicted_iou[row],
            float(scores[row, 1:].max()),
        )
        for row, point in enumerate(points_px)
        if masks[row].any()
    ]
