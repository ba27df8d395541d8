"""Dice and cross-entropy for data sets that annotate only some of the classes."""

from __future__ import annotations

import torch
from monai.losses import DiceCELoss
from torch import Tensor

IGNORED = 255
"""Class number of a pixel that may be anything: it lies in a mask without a name."""
_CERTAIN = 50.0


def partial_loss(logits: Tensor, target: Tensor, competing: Tensor) -> Tensor:
    """Return Dice + cross-entropy (as nnU-Net) among the classes that each image annotates.

    An organ that a data set does not annotate may still be visible in its images. Its class is
    therefore left out of the softmax there. Images with the same competing classes share one Dice
    term, which makes it steadier for classes that are visible in few of them.

    Args:
        logits: (B, K + 1, H, W).
        target: (B, H, W) int64, class numbers among those that compete in the image, or `IGNORED`.
        competing: (B, K + 1) bool.
    """
    ignored = target == IGNORED
    if ignored.any():
        target = target.masked_fill(ignored, 0)
        logits = torch.where(ignored[:, None], _certain_background(logits), logits)
    groups, member = torch.unique(competing, dim=0, return_inverse=True)
    total = logits.new_zeros(())
    for group, allowed in enumerate(groups):
        rows, channels = (member == group).nonzero()[:, 0], allowed.nonzero()[:, 0]
        compact = torch.searchsorted(channels, target[rows])
        value = _dice_ce()(logits[rows][:, channels].float(), compact[:, None])
        total = total + value * (len(rows) / len(logits))
    return total


def _certain_background(logits: Tensor) -> Tensor:
    """Return logits (1, K + 1, 1, 1) of the background alone: no error, and no gradient."""
    certain = torch.full_like(logits[:1, :, :1, :1], -_CERTAIN)
    certain[:, 0] = _CERTAIN
    return certain.detach()


def _dice_ce() -> DiceCELoss:
    # Smoothed by one pixel, so that a class that no image shows does not dominate the loss.
    return DiceCELoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        batch=True,
        smooth_nr=1.0,
        smooth_dr=1.0,
    )
