"""Normalisation of a resized slice by a host's published rule, then padding to a square.

Slices arrive with their aspect ratio kept, the longest side as long as the input
(`imaging.slices`). They are normalised first and then padded with zeros at the bottom and on the
right. Some hosts were published with another rule (stretched to a square, centred); their
`HostFacts.preparation` says so. Here all hosts keep aspect ratio and corner, so that the position
of a voxel in the input is exact and the same for every host.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Mean and standard deviation of ImageNet in 8-bit RGB, as SAM has them."""


def normalise_by_imagenet(image: NDArray[np.uint8], size: int) -> Tensor:
    """Subtract ImageNet's mean and divide by its deviation, channel by channel (SAM's rule).

    A slice (h_px, w_px, 3) -> float32 (3, size, size), padded with zeros.
    """
    mean = np.array(PIXEL_MEAN, dtype=np.float32)
    std = np.array(PIXEL_STD, dtype=np.float32)
    return _pad((image.astype(np.float32) - mean) / std, size)


def normalise_min_max(image: NDArray[np.uint8], size: int) -> Tensor:
    """Map minimum to maximum over all values onto [0, 1] (MedSAM's rule); constants become 0.

    A slice (h_px, w_px, 3) -> float32 (3, size, size), padded with zeros.
    """
    values = image.astype(np.float32)
    low, high = values.min(), values.max()
    return _pad((values - low) / np.clip(high - low, 1e-8, None), size)


def _pad(values: NDArray[np.float32], size: int) -> Tensor:
    height, width, _ = values.shape
    padded = np.zeros((size, size, 3), dtype=np.float32)
    padded[:height, :width] = values
    return torch.from_numpy(padded.transpose(2, 0, 1).copy())
