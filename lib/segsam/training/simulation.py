"""What an annotator might have drawn: a box that is a little off, points inside, and clicks into
what came out wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import BoxKind, PromptTensors
from segsam.prediction.propagation import MARGIN_PX

_MOST_INWARDS = 0.45
_OUTWARDS = np.array([-1, -1, 1, 1])


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
    moved = box + rng.uniform(-1, 1, 4) * reach
    return _inside(moved, size_px or (mask.shape[0], mask.shape[1]))


def loosened(
    box: NDArray[np.float32],
    rng: np.random.Generator,
    most: float,
    size_px: tuple[int, int],
) -> NDArray[np.float32]:
    """A box (4,) with each side moved outwards by up to `most` of the box, inside a picture (h, w).

    So is the section of a 3D box on nearly every slice that it spans.
    """
    sides = np.tile(box[2:] - box[:2], 2)
    return _inside(box + rng.uniform(0, most, 4) * sides * _OUTWARDS, size_px)


def neighbours_box(
    box: NDArray[np.float32],
    rng: np.random.Generator,
    by: float,
    size_px: tuple[int, int],
) -> NDArray[np.float32]:
    """A tight box (4,) as propagation would make it of the neighbouring slice's mask, inside a
    picture (h, w).

    From one slice to the next, each side of an object's box moves by a Laplace-distributed share of
    the box, about 0.1 in the mean, in hearts, hippocampi and tumours alike (`docs/training.md`);
    then propagation widens it. A side moves inwards by less than half of the box.
    """
    sides = np.tile(box[2:] - box[:2], 2)
    shares = np.clip(rng.laplace(0, by, 4), -_MOST_INWARDS, 1)
    return _inside(box + (shares * sides + MARGIN_PX) * _OUTWARDS, size_px)


def _inside(box: NDArray[np.float64], size_px: tuple[int, int]) -> NDArray[np.float32]:
    """A box (4,) within a picture (h, w)."""
    height, width = size_px
    limits = np.array([width - 1, height - 1, width - 1, height - 1])
    return np.asarray(np.clip(box, 0, limits), dtype=np.float32)


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


def error_points(
    found: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    rng: np.random.Generator,
    count: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`count` corrective clicks (count, 2) x, y and their labels (count,), drawn evenly from where
    masks (y, x) differ: 1 where something is missing, 0 where there is too much (as SAM-Med2D's
    code). Of a perfect mask, clicks inside the object.
    """
    rows, columns = np.nonzero(found != wanted)
    if not len(rows):
        return inner_points(wanted, rng, count), np.ones(count, dtype=np.int64)
    chosen = rng.integers(len(rows), size=count)
    rows, columns = rows[chosen], columns[chosen]
    points = np.stack([columns, rows], axis=1).astype(np.float32)
    return points, wanted[rows, columns].astype(np.int64)


def corrective_prompts(
    before: PromptTensors,
    found: Sequence[NDArray[np.bool_]],
    wanted: Sequence[NDArray[np.bool_]],
    rng: np.random.Generator,
    *,
    count: int,
    size_px: tuple[int, int],
) -> PromptTensors:
    """The prompts of the round before and `count` clicks into the error of each object.

    Earlier boxes and clicks stay, as they do when a person corrects. Clicks fall into the picture
    proper, `size_px` (h, w), not into the padding.
    """
    height, width = size_px
    drawn = [
        error_points(one[:height, :width], other[:height, :width], rng, count)
        for one, other in zip(found, wanted, strict=True)
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
    size_px: tuple[int, int] | None = None,
    *,
    kind: BoxKind = BoxKind.DRAWN,
    by: float = 0.0,
) -> PromptTensors:
    """One box for each mask: jittered; those of a section are `loosened` by that much afterwards,
    those of a neighbour are tight ones that `neighbours_box` has moved.
    """
    size = size_px or (masks[0].shape[0], masks[0].shape[1])
    jitter_px = 0 if kind is BoxKind.NEIGHBOUR else jitter_px
    boxes = [jittered_box(mask, rng, jitter_px, size) for mask in masks]
    if kind is not BoxKind.DRAWN:
        change = loosened if kind is BoxKind.SECTION else neighbours_box
        boxes = [change(box, rng, by, size) for box in boxes]
    kinds = torch.full((len(boxes),), int(kind), dtype=torch.int64)
    return PromptTensors(boxes_px=torch.from_numpy(np.stack(boxes)), box_kinds=kinds)


def point_prompts(
    masks: list[NDArray[np.bool_]], rng: np.random.Generator, count: int
) -> PromptTensors:
    """`count` positive points for each mask."""
    points = np.stack([inner_points(mask, rng, count) for mask in masks])
    labels = torch.ones(points.shape[:2], dtype=torch.int64)
    return PromptTensors(points_px=torch.from_numpy(points), point_labels=labels)
