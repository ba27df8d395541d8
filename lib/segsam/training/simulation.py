"""What an annotator might have drawn: a box that is a little off, or points inside."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import PromptTensors


def jittered_box(
    mask: NDArray[np.bool_],
    rng: np.random.Generator,
    jitter_px: float,
    size_px: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """The tight box (4,) x0, y0, x1, y1 of a mask (y, x) that is not empty, each side moved.

    A side moves by up to `jitter_px`, and by at most half of the box, so that it never turns
    inside out; it stays within the picture, `size_px` (h, w), by default the mask's.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.array([columns[0], rows[0], columns[-1], rows[-1]], dtype=np.float64)
    sides = np.tile(box[2:] - box[:2], 2)
    reach = np.minimum(jitter_px, sides / 2)
    height, width = size_px or (mask.shape[0], mask.shape[1])
    moved = box + rng.uniform(-1, 1, 4) * reach
    limits = np.array([width - 1, height - 1, width - 1, height - 1])
    return np.asarray(np.clip(moved, 0, limits), dtype=np.float32)


def inner_points(
    mask: NDArray[np.bool_], rng: np.random.Generator, count: int
) -> NDArray[np.float32]:
    """`count` points (count, 2) x, y, drawn evenly from a mask that is not empty, off its edge
    where the object is thick enough.
    """
    padded = np.pad(mask.astype(np.uint8), 1)
    inner = cv2.erode(padded, np.ones((3, 3), dtype=np.uint8))[1:-1, 1:-1] > 0
    rows, columns = np.nonzero(inner if inner.any() else mask)
    chosen = rng.integers(len(rows), size=count)
    return np.asarray(np.stack([columns[chosen], rows[chosen]], axis=1), dtype=np.float32)


def box_prompts(
    masks: list[NDArray[np.bool_]],
    rng: np.random.Generator,
    jitter_px: float,
    size_px: tuple[int, int] | None = None,
) -> PromptTensors:
    """One box for each mask."""
    boxes = [jittered_box(mask, rng, jitter_px, size_px) for mask in masks]
    return PromptTensors(boxes_px=torch.from_numpy(np.stack(boxes)))


def point_prompts(
    masks: list[NDArray[np.bool_]], rng: np.random.Generator, count: int
) -> PromptTensors:
    """`count` positive points for each mask."""
    points = np.stack([inner_points(mask, rng, count) for mask in masks])
    labels = torch.ones(points.shape[:2], dtype=torch.int64)
    return PromptTensors(points_px=torch.from_numpy(points), point_labels=labels)
