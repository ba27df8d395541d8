"""Dice of masks and the category of each pixel, read from the decoders' output.

Training and evaluation use the same functions, so that a score means the same in both.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segsam.model.tensors import Decoded


def dice(found: Tensor, reference: Tensor) -> Tensor:
    """Compute Dice of boolean masks (P, ...) pair by pair; 1 for two empty ones.

    Returns:
        (P,) float32 in [0, 1].
    """
    both = (found & reference).flatten(1).sum(dim=1)
    sizes = found.flatten(1).sum(dim=1) + reference.flatten(1).sum(dim=1)
    return torch.where(sizes > 0, 2 * both / sizes.clamp_min(1), 1.0)


def resize_logits(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize low-resolution logits (P, C, h, w) to `size` (H, W) of the padded square, as SAM."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)


def predicted_category(decoded: Decoded) -> Tensor:
    """Return the category of each prompted object: (P,) int64, k + 1 for category k.

    All categories of the checkpoint compete; "no object" does not, because a user who prompts means
    an object.

    Raises:
        ValueError: there are no semantics.
    """
    if decoded.class_logits is None:
        raise ValueError("Expected class logits of a semantic decoder, got none.")
    return decoded.class_logits[:, 1:].argmax(dim=1) + 1


def predicted_labels(decoded: Decoded, size: tuple[int, int]) -> Tensor:
    """Return the class that the semantic decoder gives each pixel, no category being given to it.

    With the head `maskcls`, the pixels of the mask get the object's most probable category; with
    `dense`, every pixel gets its most probable class.

    Args:
        decoded: output for P prompts.
        size: (H, W) of the padded square, in model pixels.

    Returns:
        (P, H, W) int64: k + 1 for category k, 0 for the background.

    Raises:
        ValueError: there are no semantics.
    """
    if decoded.object_logits is not None:
        inside = resize_logits(decoded.object_logits, size)[:, 0] > 0
        return inside * predicted_category(decoded)[:, None, None]
    if decoded.semantic_logits is None:
        raise ValueError("Expected a semantic mask, got none.")
    return resize_logits(decoded.semantic_logits, size).argmax(dim=1)
