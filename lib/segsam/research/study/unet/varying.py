"""Slices varied at random by MONAI's transforms, as training a U-Net wants it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandGaussianNoised,
    RandScaleIntensityd,
)
from torch import Tensor

from segsam.research.study.unet.pictures import ClassSlice


class Varying:
    """Turned, scaled, shifted, brighter, noisier. Never mirrored: left and right have names."""

    def __init__(self) -> None:
        self._transform = Compose(
            [
                RandAffined(
                    keys=["picture", "target"],
                    prob=0.7,
                    rotate_range=0.26,
                    scale_range=0.2,
                    translate_range=16,
                    mode=["bilinear", "nearest"],
                    padding_mode="zeros",
                ),
                RandScaleIntensityd(keys=["picture"], factors=0.25, prob=0.3),
                RandAdjustContrastd(keys=["picture"], gamma=(0.7, 1.5), prob=0.3),
                RandGaussianNoised(keys=["picture"], std=0.05, prob=0.2),
            ]
        )

    def batch(self, slices: Sequence[ClassSlice], seed: int) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, 256, 256) float32 and class numbers (B, 256, 256) int64."""
        self._transform.set_random_state(seed=seed)
        varied = [
            self._transform({"picture": one.prepared(), "target": one.target()}) for one in slices
        ]
        pictures = [torch.as_tensor(np.asarray(one["picture"])) for one in varied]
        targets = [torch.as_tensor(np.asarray(one["target"]))[0] for one in varied]
        return torch.stack(pictures), torch.stack(targets).round().long()
