"""Simulated prompts of an annotator: boxes that are a little off, points inside an object, and
clicks into the error of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import BoxKind, PromptTensors
from segsam.prediction.simulated_boxes import (
    clip_box,
    jitter,
    loosened,
    neighbours_box,
    tight_box,
)


def inner_points(
    mask: NDArray[np.bool_], rng: np.random.Generator, count: int
) -> NDArray[np.float32]:
    """Draw `count` points (count, 2) x, y evenly from a mask that is not empty, off its edge where
    the object is thick enough.
    """
    padded = np.pad(mask.astype(np.uint8), 1)
    inner = cv2.erode(padded, np.ones((3, 3), dtype=np.uint8))[1:-1, 1:-1] > 0
    rows, columns = np.nonzero(inner if inner.any() else mask)
    chosen = rng.integers(len(rows), size=count)
    return np.asarray(np.stack([columns[chosen], rows[chosen]], axis=1), dtype=np.float32)


def error_points(
    predicted: NDArray[np.bool_],
    true: NDArray[np.bool_],
    rng: np.random.Generator,
    count: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw corrective clicks evenly from where two masks (y, x) differ, or inside the object if
    they do not (as SAM-Med2D's code).

    Returns:
        Points (count, 2) x, y and labels (count,): 1 where something is missing, 0 where there is
        too much.
    """
    rows, columns = np.nonzero(predicted != true)
    if not len(rows):
        return inner_points(true, rng, count), np.ones(count, dtype=np.int64)
    chosen = rng.integers(len(rows), size=count)
    rows, columns = rows[chosen], columns[chosen]
    points = np.stack([columns, rows], axis=1).astype(np.float32)
    return points, true[rows, columns].astype(np.int64)


def corrective_prompts(
    before: PromptTensors,
    predicted: Sequence[NDArray[np.bool_]],
    true: Sequence[NDArray[np.bool_]],
    rng: np.random.Generator,
    *,
    count: int,
    size_px: tuple[int, int],
) -> PromptTensors:
    """Return the prompts of the previous round and `count` clicks into the error of each object.

    Earlier boxes and clicks stay, as they do when a person corrects. Clicks fall into the picture
    itself, `size_px` (height, width), not into its padding.
    """
    height, width = size_px
    drawn = [
        error_points(one[:height, :width], other[:height, :width], rng, count)
        for one, other in zip(predicted, true, strict=True)
    ]
    points = torch.from_numpy(np.stack([points for points, _ in drawn]))
    labels = torch.from_numpy(np.stack([labels for _, labels in drawn]))
    if before.points_px is not None and before.point_labels is not None:
        points = torch.cat([before.points_px, points], dim=1)
        labels = torch.cat([before.point_labels, labels], dim=1)
    return replace(before, points_px=points, point_labels=labels, mask_logits=None)


def box_prompts(
    masks: list[NDArray[np.bool_]],
    rng: np.random.Generator,
    jitter_px: float,
    size_px: tuple[int, int],
    *,
    kind: BoxKind = BoxKind.DRAWN,
    by: float = 0.0,
) -> PromptTensors:
    """Return one box per mask (y, x), jittered, inside a picture `size_px` (height, width).

    Boxes of the kind SECTION are also `loosened` by `by`; those of the kind NEIGHBOUR are tight
    ones moved by `neighbours_box`.
    """
    jitter_px = 0 if kind is BoxKind.NEIGHBOUR else jitter_px
    jittered = (jitter(tight_box(mask), rng, jitter_px) for mask in masks)
    boxes = [clip_box(box, size_px).astype(np.float32) for box in jittered]
    if kind is not BoxKind.DRAWN:
        change = loosened if kind is BoxKind.SECTION else neighbours_box
        boxes = [change(box, rng, by, size_px) for box in boxes]
    kinds = torch.full((len(boxes),), int(kind), dtype=torch.int64)
    return PromptTensors(boxes_px=torch.from_numpy(np.stack(boxes)), box_kinds=kinds)


def point_prompts(
    masks: list[NDArray[np.bool_]], rng: np.random.Generator, count: int
) -> PromptTensors:
    """Return `count` positive points per mask."""
    points = np.stack([inner_points(mask, rng, count) for mask in masks])
    labels = torch.ones(points.shape[:2], dtype=torch.int64)
    return PromptTensors(points_px=torch.from_numpy(points), point_labels=labels)
