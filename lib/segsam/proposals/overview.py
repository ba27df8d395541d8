"""Overview of a case for active learning, from a few of its slices: how much the two decoders
disagree about it, and its mean image embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import ImageFeatures, SegSam
from segsam.proposals.probing import Probe, clamped, grid_points, probe

SLICES = 3
"""Slices of a volume that an overview uses, evenly spread over its middle half."""
GRID = 4
"""Points per side on each of them."""


@dataclass(frozen=True, eq=False)
class Overview:
    """Disagreement of the two decoders, and mean embedding of a case.

    `disagreement` is 0 (the decoders always agree) to 1; None if the semantic decoder is not
    trained. `embedding` is float32 (C,), of length 1.
    """

    disagreement: float | None
    embedding: NDArray[np.float32]


def sampled_slices(depth: int) -> tuple[int, ...]:
    """Return at most `SLICES` of `depth` slices, evenly spread over the middle half."""
    first, last = (depth - 1) / 4, 3 * (depth - 1) / 4
    return tuple(sorted(set(np.linspace(first, last, min(SLICES, depth)).round().astype(int))))


@torch.inference_mode()
def overview(
    model: SegSam,
    slices: Iterable[Callable[[], ImageFeatures]],
    size_px: tuple[int, int],
    *,
    grid: int = GRID,
) -> Overview:
    """Return the overview of a case from functions that return its slices' features.

    Each function is called once, just before the slice is used. `size_px` is (h_px, w_px).

    Raises:
        ValueError: no slice.
    """
    embeddings, disagreements = [], []
    for features_of_slice in slices:
        features = features_of_slice()
        embeddings.append(mean_embedding(features, size_px, model.host.facts.input_size))
        if model.card.semantic_is_trained:
            probes = probe(model, features, grid_points(size_px, grid))
            disagreements.append(mean_disagreement(probes))
    if not embeddings:
        raise ValueError("Expected at least one slice of a case, got none.")
    return Overview(
        float(np.mean(disagreements)) if disagreements else None,
        _normalised(np.mean(embeddings, axis=0)),
    )


def mean_disagreement(probes: Iterable[Probe]) -> float:
    """Return 1 minus the mean agreement of the two decoders; 1 if nothing was found.

    A probe's weight is the decoder's probability times its predicted IoU, so that probes of the
    background hardly count. The confidence of the name would also leave out what the checkpoint was
    never taught, and those cases are worth a label.
    """
    agreements, weights = [], []
    for one in probes:
        agreements.append(one.agreement)
        weights.append(one.probability * clamped(one.predicted_iou))
    if sum(weights) <= 0:
        return 1.0
    return 1.0 - float(np.average(agreements, weights=weights))


def mean_embedding(
    features: ImageFeatures, size_px: tuple[int, int], side_px: int
) -> NDArray[np.float32]:
    """Return the mean embedding (C,) of a picture (h_px, w_px) without its padding.

    `side_px` is the side of the padded square.
    """
    grid = features.embedding.shape[-1]
    rows, columns = (max(1, round(length * grid / side_px)) for length in size_px)
    mean = features.embedding[0, :, :rows, :columns].float().mean(dim=(1, 2))
    return np.asarray(mean.cpu().numpy(), dtype=np.float32)


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return (values / max(float(np.linalg.norm(values)), 1e-12)).astype(np.float32)
