"""How well a mask fits, and what the model itself says that each pixel is; used by training and
evaluation alike, so that both mean the same by a score.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segsam.model.records import Decoded


def dice(found: Tensor, wanted: Tensor) -> Tensor:
    """Dice of boolean masks (P, ...) pair by pair, (P,) float32 in [0, 1]; 1 for two empty ones."""
    both = (found & wanted).flatten(1).sum(dim=1)
    sizes = found.flatten(1).sum(dim=1) + wanted.flatten(1).sum(dim=1)
    return torch.where(sizes > 0, 2 * both / sizes.clamp_min(1), 1.0)


def enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Low-resolution logits (P, C, h, w) at `size` (H, W) of the padded square, as SAM does."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)


def named_by_model(decoded: Decoded) -> Tensor:
    """The category that the model gives each prompted object: (P,) int64, k + 1 for category k.

    All categories of the checkpoint compete, "no object" does not.

    Raises:
        ValueError: when there are no semantics.
    """
    if decoded.class_logits is None:
        raise ValueError("Expected class logits of a semantic decoder, got none.")
    return decoded.class_logits[:, 1:].argmax(dim=1) + 1


def labelled_by_model(decoded: Decoded, size: tuple[int, int]) -> Tensor:
    """The class per pixel that the semantic decoder itself gives, without being told any category.

    For the head `maskcls` the pixels of its mask get the object's most probable category, for
    `dense` every pixel gets its most probable class.

    Args:
        decoded: for P prompts.
        size: (H, W) of the padded square, in model pixels.

    Returns:
        (P, H, W) int64: k + 1 for category k, 0 for the background.

    Raises:
        ValueError: when there are no semantics.
    """
    if decoded.object_logits is not None:
        inside = enlarged(decoded.object_logits, size)[:, 0] > 0
        return inside * named_by_model(decoded)[:, None, None]
    if decoded.semantic_logits is None:
        raise ValueError("Expected a semantic mask, got none.")
    return enlarged(decoded.semantic_logits, size).argmax(dim=1)
