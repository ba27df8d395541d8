"""What a case is worth to an annotator, from a few of its slices: how much the decoders disagree
about it, and where it lies in the space of embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import ImageFeatures, SegSam
from segsam.proposals.probing import Probe, grid_points, probe

SLICES = 3
"""Slices of a volume that are looked at, evenly spread over its middle half."""
GRID = 4
"""Points a side on each."""


@dataclass(frozen=True, eq=False)
class Overview:
    """`doubt` is 0 (both decoders always agree) to 1; None of a checkpoint whose semantic decoder
    is not trained. `place` is float32 (C,), of length 1.
    """

    doubt: float | None
    place: NDArray[np.float32]


def looked_at(depth: int, count: int = SLICES) -> tuple[int, ...]:
    """At most `count` of `depth` slices, evenly spread over the middle half."""
    first, last = (depth - 1) / 4, 3 * (depth - 1) / 4
    return tuple(sorted(set(np.linspace(first, last, min(count, depth)).round().astype(int))))


@torch.inference_mode()
def overview(
    model: SegSam,
    slices: Iterable[Callable[[], ImageFeatures]],
    size_px: tuple[int, int],
    *,
    grid: int = GRID,
) -> Overview:
    """Of the slices (h_px, w_px) of one case, each asked for when its turn comes.

    Raises:
        ValueError: no slice.
    """
    places, doubts = [], []
    for ask in slices:
        features = ask()
        places.append(pooled(features, size_px, model.host.facts.input_size))
        if model.card.semantic_is_trained:
            doubts.append(disagreement(probe(model, features, grid_points(size_px, grid))))
    if not places:
        raise ValueError("Expected at least one slice of a case, got none.")
    return Overview(float(np.mean(doubts)) if doubts else None, _unit(np.mean(places, axis=0)))


def disagreement(probes: Iterable[Probe]) -> float:
    """1 minus the mean agreement of both decoders, each probe counting by how much the model takes
    it for an object (its confidence and predicted IoU); 1 where nothing was found.
    """
    rows = [
        (one.agreement, one.confidence * min(max(one.predicted_iou, 0.0), 1.0)) for one in probes
    ]
    weights = [weight for _, weight in rows]
    if sum(weights) <= 0:
        return 1.0
    return 1.0 - float(np.average([agreement for agreement, _ in rows], weights=weights))


def pooled(features: ImageFeatures, size_px: tuple[int, int], side_px: int) -> NDArray[np.float32]:
    """The mean embedding of the picture proper, without the padding, (C,)."""
    grid = features.embedding.shape[-1]
    rows, columns = (max(1, round(length * grid / side_px)) for length in size_px)
    mean = features.embedding[0, :, :rows, :columns].float().mean(dim=(1, 2))
    return np.asarray(mean.cpu().numpy(), dtype=np.float32)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return (values / max(float(np.linalg.norm(values)), 1e-12)).astype(np.float32)
