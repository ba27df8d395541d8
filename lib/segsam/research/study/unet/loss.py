"""Dice and cross-entropy where labels are partial."""

from __future__ import annotations

import torch
from monai.losses import DiceCELoss
from torch import Tensor


def partial_loss(logits: Tensor, target: Tensor, competing: Tensor) -> Tensor:
    """Dice + cross-entropy (as nnU-Net) among the classes that were looked for in each image.

    An organ that a data set does not annotate may be in its images all the same, so its class
    neither wins nor loses there. Images with the same competitors share a Dice, which steadies it
    for classes that are in few of them.

    Args:
        logits: (B, K + 1, H, W).
        target: (B, H, W) int64, class numbers that compete in their image.
        competing: (B, K + 1) bool.
    """
    groups, member = torch.unique(competing, dim=0, return_inverse=True)
    total = logits.new_zeros(())
    for place, allowed in enumerate(groups):
        rows, channels = (member == place).nonzero()[:, 0], allowed.nonzero()[:, 0]
        compact = torch.searchsorted(channels, target[rows])
        value = _dice_ce()(logits[rows][:, channels].float(), compact[:, None])
        total = total + value * (len(rows) / len(logits))
    return total


def _dice_ce() -> DiceCELoss:
    # Smoothed by a pixel: a class that is in none of the images does not shout.
    return DiceCELoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        batch=True,
        smooth_nr=1.0,
        smooth_dr=1.0,
    )
