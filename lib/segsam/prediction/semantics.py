"""Readings of the semantic decoder's logits for prompted objects: category scores, the pixels of
one category, and agreement of the two decoders.

No function here draws a map of all categories unless the head itself draws one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segsam.model import Decoded, ImageFeatures, SegSam
from segsam.model.memory import describe_images, describe_objects

_LARGEST_LOG_PROBABILITY = -1e-6
"""Above it, 1 - p rounds to 0 in single precision and the log-odds would be infinite."""
_SMALLEST_UNION = 1e-6


def category_logits(decoded: Decoded, category: int, temperature: float = 1.0) -> Tensor:
    """Return log-odds (P, 1, m, m) that a pixel belongs to one category (index from 0).

    If the head draws mask and class apart, this is the mask multiplied by the probability of the
    class.

    Raises:
        ValueError: without semantics.
    """
    if decoded.class_logits is None:
        raise ValueError("Expected the output of a semantic decoder, got a mask alone.")
    if decoded.dense_logits is not None:
        logits, channel = decoded.dense_logits, category + 1
        others = torch.cat([logits[:, :channel], logits[:, channel + 1 :]], dim=1)
        return logits[:, channel : channel + 1] - others.logsumexp(dim=1, keepdim=True)
    if decoded.object_logits is None:
        raise ValueError("Expected a map or a mask of the semantic decoder, got neither.")
    log_class = (decoded.class_logits / temperature).log_softmax(dim=1)[:, category + 1]
    log_p = F.logsigmoid(decoded.object_logits) + log_class[:, None, None, None]
    return log_p - torch.log(-torch.expm1(log_p.clamp(max=_LARGEST_LOG_PROBABILITY)))


def class_scores(decoded: Decoded, temperature: float = 1.0) -> NDArray[np.float32] | None:
    """Return the probabilities (K + 1,) of the object's category, averaged over the prompts.

    Index 0, "no object", keeps its share. It is never given as a name, but it lowers the confidence
    of every name where the model sees no object. None without semantics.
    """
    if decoded.class_logits is None:
        return None
    scores = (decoded.class_logits / temperature).softmax(dim=1).mean(dim=0)
    return np.asarray(scores.cpu().numpy(), dtype=np.float32)


def descriptions(
    model: SegSam, features: ImageFeatures, mask_logits: Tensor
) -> NDArray[np.float32] | None:
    """Return the descriptions (P, D) of objects with masks (P, 1, m, m) on one image; None without
    a memory of examples, to which they could be compared.
    """
    if model.memory is None:
        return None
    return np.asarray(describe_objects(features, mask_logits).cpu().numpy(), dtype=np.float32)


def distances_to_examples(
    model: SegSam, described: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    """Return the distances (P, K) of described objects (P, D) to the nearest examples of each
    category; None without a memory of examples.
    """
    if model.memory is None or described is None:
        return None
    distances = model.memory.distances(torch.from_numpy(described))
    return np.asarray(distances.numpy(), dtype=np.float32)


def example_distances(
    model: SegSam, features: ImageFeatures, mask_logits: Tensor
) -> NDArray[np.float32] | None:
    """Return `distances_to_examples` of objects with masks (P, 1, m, m) on one image."""
    return distances_to_examples(model, descriptions(model, features, mask_logits))


def image_distances(model: SegSam, features: ImageFeatures) -> NDArray[np.float32] | None:
    """Return the distances (K,) of one image to the nearest images that show each category; None
    without a memory of examples.
    """
    if model.memory is None:
        return None
    described = describe_images(features)
    return np.asarray(model.memory.image_distances(described.cpu())[0].numpy(), dtype=np.float32)


def agreement(decoded: Decoded) -> float | None:
    """Return the soft IoU, 0 to 1, of the two decoders' masks over all prompts.

    The semantic mask has its labels stripped off: this is the paper's cross-mask alignment (section
    3.3). None without semantics.
    """
    sums = _intersection_and_union(decoded)
    if sums is None:
        return None
    intersection, union = (each.sum() for each in sums)
    return float(intersection / union.clamp(min=_SMALLEST_UNION))


def agreements(decoded: Decoded) -> Tensor | None:
    """Return the soft IoU of the two decoders' masks for each prompt, (P,)."""
    sums = _intersection_and_union(decoded)
    return None if sums is None else sums[0] / sums[1].clamp(min=_SMALLEST_UNION)


def _intersection_and_union(decoded: Decoded) -> tuple[Tensor, Tensor] | None:
    """Return the soft intersection and union of the two decoders' masks, (P,) each."""
    stripped = decoded.stripped_logits()
    if stripped is None:
        return None
    semantic, binary = stripped.float().sigmoid(), decoded.binary_logits.float().sigmoid()
    both = semantic * binary
    return both.flatten(1).sum(1), (semantic + binary - both).flatten(1).sum(1)
