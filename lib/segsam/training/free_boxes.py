"""Random boxes on places without a label."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PLACES = 20
"""Places that are tried for a box without a label, on an image that is full of them."""
_LABELLED_SHARE = 0.05
"""Largest share of such a box that may be labelled."""
_LOG_SIZES = (math.log(0.08), math.log(0.5))
"""Logarithms of the sides of such a box, as a share of the image's."""


def draw_free_boxes(
    labels: NDArray[np.uint8], count: int, rng: np.random.Generator
) -> Tensor | None:
    """Draw up to `count` boxes (n, 4) x0, y0, x1, y1 float32 with next to no label in them from a
    plane of labels (h_px, w_px); None if it is full, or for a count of 0.
    """
    boxes = [_free_box(labels > 0, rng) for _ in range(count)]
    free = [box for box in boxes if box is not None]
    return torch.from_numpy(np.stack(free)) if free else None


def _free_box(labelled: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Draw a box (4,) x0, y0, x1, y1 with next to no label in it from an image (h, w)."""
    sides = np.array(labelled.shape[::-1])
    for _ in range(_PLACES):
        extent = np.maximum(2, sides * np.exp(rng.uniform(_LOG_SIZES[0], _LOG_SIZES[1], 2))).astype(
            int
        )
        first = (rng.random(2) * (sides - extent).clip(0)).astype(int)
        last = np.minimum(first + extent, sides) - 1
        inside = labelled[first[1] : last[1] + 1, first[0] : last[0] + 1]
        if inside.size and inside.mean() <= _LABELLED_SHARE:
            return np.asarray(np.concatenate([first, last]), dtype=np.float32)
    return None
