"""A resized slice as a host's input: its published normalisation, then padding to a square.

Slices arrive with their aspect kept, longest side as long as the input (`imaging.slices`), and are
padded with zeros at the bottom and on the right, after normalising. Some hosts were published with
another rule (stretched to a square, centred); their `HostFacts.preparation` says so. Aspect and
corner are kept for all, so that a voxel's place in the input is exact and the same for every host.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Of ImageNet in 8-bit RGB, as SAM has them."""


def standardised(image: NDArray[np.uint8], size: int) -> Tensor:
    """SAM's rule: channel by channel minus ImageNet's mean over its deviation; (3, size, size)."""
    mean = np.array(PIXEL_MEAN, dtype=np.float32)
    std = np.array(PIXEL_STD, dtype=np.float32)
    return _padded((image.astype(np.float32) - mean) / std, size)


def stretched(image: NDArray[np.uint8], size: int) -> Tensor:
    """MedSAM's rule: minimum to maximum over all values onto [0, 1]; (3, size, size)."""
    values = image.astype(np.float32)
    low, high = values.min(), values.max()
    return _padded((values - low) / np.clip(high - low, 1e-8, None), size)


def _padded(values: NDArray[np.float32], size: int) -> Tensor:
    height, width, _ = values.shape
    padded = np.zeros((size, size, 3), dtype=np.float32)
    padded[:height, :width] = values
    return torch.from_numpy(padded.transpose(2, 0, 1).copy())
