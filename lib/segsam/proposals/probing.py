"""One slice without an annotator: points are tried, and both decoders say what they make of them.

Points come from two sources: a regular grid over the picture, and the places where the CO-tokens of
the categories in question look (the peaks of their cross-attention). Each is decoded as an
annotator's click would be. What is an object shows in the answers: there the two decoders draw the
same (the paper's alignment), the mask decoder trusts its mask, and the class is certain; elsewhere
at least one of the three fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.errors import PromptError
from segsam.model import Decoded, ImageFeatures, PromptTensors, SegSam
from segsam.prediction.semantics import agreements

_AT_ONCE = 16
"""Points decoded together; more would only cost memory."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What both decoders say of one point of a slice.

    `mask` is bool (m, m) over the padded square; `category` an index into the checkpoint's.
    """

    point_px: tuple[float, float]
    mask: NDArray[np.bool_]
    category: int
    confidence: float
    agreement: float
    predicted_iou: float

    @property
    def certainty(self) -> float:
        """Name, agreement and quality together: one that fails is enough to doubt."""
        return certainty(self.confidence, self.agreement, self.predicted_iou)


def certainty(confidence: float, agreement: float, predicted_iou: float) -> float:
    """The product of the three, each in [0, 1]."""
    return confidence * agreement * min(max(predicted_iou, 0.0), 1.0)


def check_semantics(model: SegSam) -> None:
    """Refuse a checkpoint that can neither name nor compare; raises PromptError."""
    if not model.card.semantic_is_trained:
        raise PromptError(
            "Nothing can be segmented without prompts: this checkpoint has no trained semantic "
            "decoder that would say what is an object; mark the object, or take another checkpoint."
        )


def grid_points(size_px: tuple[int, int], side: int) -> NDArray[np.float32]:
    """The middles of `side` x `side` cells of a picture (h_px, w_px), (side * side, 2) x, y."""
    height, width = size_px
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at * width, at * height)
    return np.asarray(np.stack([x.ravel(), y.ravel()], axis=1), dtype=np.float32)


@torch.inference_mode()
def attention_points(
    model: SegSam, features: ImageFeatures, categories: Sequence[int], size_px: tuple[int, int]
) -> NDArray[np.float32]:
    """Where the CO-tokens of some categories look hardest in a picture (h_px, w_px), (n, 2) x, y;
    none without a presence branch.
    """
    looked = model.presence_attention(features)
    if looked is None or not categories:
        return np.zeros((0, 2), np.float32)
    maps = looked[0, list(categories)].float()
    cell = model.host.facts.input_size / maps.shape[-1]
    rows, columns = (max(1, int(np.ceil(side / cell))) for side in size_px)
    inside = maps[:, :rows, :columns].flatten(1).argmax(dim=1).cpu().numpy()
    y, x = np.divmod(inside, columns)
    points = (np.stack([x, y], axis=1) + 0.5) * cell
    limits = np.array([size_px[1] - 1, size_px[0] - 1])
    return np.asarray(np.minimum(points, limits), dtype=np.float32)


@torch.inference_mode()
def probe(model: SegSam, features: ImageFeatures, points_px: NDArray[np.float32]) -> list[Probe]:
    """What each of n points (n, 2) x, y in model pixels of one image gives; points that give an
    empty mask are left out.

    Raises:
        PromptError: a checkpoint without trained semantics.
    """
    check_semantics(model)
    device = features.embedding.device
    found: list[Probe] = []
    for first in range(0, len(points_px), _AT_ONCE):
        part = points_px[first : first + _AT_ONCE]
        points = torch.from_numpy(part).to(device)[:, None]
        labels = torch.ones(points.shape[:2], dtype=torch.int64, device=device)
        decoded = model.decode(features, PromptTensors(points, labels), semantic=True)
        found += _probes(decoded, part, model.card.temperature)
    return found


def best_of(probes: Iterable[Probe], *, least: float) -> dict[int, Probe]:
    """The most certain probe of each category, of those that are certain enough."""
    best: dict[int, Probe] = {}
    for one in probes:
        held = best.get(one.category)
        if one.certainty >= least and (held is None or one.certainty > held.certainty):
            best[one.category] = one
    return best


def _probes(decoded: Decoded, points_px: NDArray[np.float32], temperature: float) -> list[Probe]:
    agreed = agreements(decoded)
    if decoded.class_logits is None or agreed is None:
        return []
    shares = agreed.tolist()
    sure = (decoded.class_logits / temperature).softmax(dim=1)[:, 1:].max(dim=1)
    masks = (decoded.binary_logits[:, 0] > 0).cpu().numpy()
    trusted = decoded.predicted_iou[:, 0].tolist()
    return [
        Probe(
            (float(point[0]), float(point[1])),
            masks[row],
            int(sure.indices[row]),
            float(sure.values[row]),
            shares[row],
            trusted[row],
        )
        for row, point in enumerate(points_px)
        if masks[row].any()
    ]
