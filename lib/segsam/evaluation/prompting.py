"""Simulated prompts of an evaluation, the same for every model.

An object's prompt follows from the seed and from the object (data set, case, slice, label) alone,
so it does not depend on the order or the choice of cases. It is drawn on a slice of 256 pixels
whatever the model's input size, and scaled for a larger input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsam.errors import EvaluationError
from segsam.imaging.slices import SliceView
from segsam.model import PromptTensors
from segsam.prediction.simulated_boxes import clip_box, jitter, tight_box
from segsam.prompting.prompts import Box, Point
from segsam.training.prompt_simulation import inner_points

PromptKind: TypeAlias = Literal["box", "point"]
SIDE_PX = 256
"""The longer side of the slice on which prompts are drawn, in pixels."""
JITTER_PX = 5.0
"""Largest move of each side of a box on such a slice."""


def prompt_kind(word: str) -> PromptKind:
    """Return a kind of prompt by its name; raises EvaluationError for another word."""
    for kind in get_args(PromptKind):
        if word == kind:
            return kind  # type: ignore[no-any-return]
    raise EvaluationError(f"Expected box or point as the prompt, got {word!r}.")


def object_rng(seed: int, slice_name: str, label: int) -> np.random.Generator:
    """Return the random numbers of one object; `slice_name` is data set/case/index."""
    digest = hashlib.sha256(f"{seed}/{slice_name}/{label}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def simulated_box(
    mask: NDArray[np.bool_], size_px: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the tight box of a mask, jittered, (4,) x0, y0, x1, y1 in pixels.

    Each side moves by up to `JITTER_PX`, but by at most half of the box, and stays within the
    picture.

    Args:
        mask: not empty, (height, width) as the labels are stored, y down, x right.
        size_px: (height, width) of the slice on which the box is drawn.
        rng: of the object.
    """
    box = _scaled_box(tight_box(mask), (mask.shape[0], mask.shape[1]), size_px)
    return clip_box(jitter(box, rng, JITTER_PX), size_px)


def simulated_point(
    mask: NDArray[np.bool_], size_px: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a point (2,) x, y in pixels inside a mask; arguments as of `simulated_box`.

    It is drawn evenly from the mask at that size, eroded by one pixel; from the whole mask if
    nothing is left; and at the stored size if the object vanishes in resizing.
    """
    height, width = size_px
    stored = mask.astype(np.uint8)
    small = cv2.resize(stored, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) > 0
    if small.any():
        return np.asarray(inner_points(small, rng, 1)[0], dtype=np.float64)
    scale = np.array([width / mask.shape[1], height / mask.shape[0]])
    return np.asarray(inner_points(mask, rng, 1)[0] * scale, dtype=np.float64)


def prompt_tensors(
    kind: PromptKind,
    masks: Sequence[NDArray[np.bool_]],
    rngs: Sequence[np.random.Generator],
    view: SliceView,
) -> PromptTensors:
    """Return one prompt for each of P masks (height, width) of a slice, in the model's pixels."""
    drawn_px, size_px = drawing_size(view), view.size_px
    if kind == "box":
        boxes = [
            _scaled_box(simulated_box(mask, drawn_px, rng), drawn_px, size_px)
            for mask, rng in zip(masks, rngs, strict=True)
        ]
        return PromptTensors(boxes_px=torch.from_numpy(np.stack(boxes).astype(np.float32)))
    scale = np.array([size_px[1] / drawn_px[1], size_px[0] / drawn_px[0]])
    points = [
        (simulated_point(mask, drawn_px, rng) + 0.5) * scale - 0.5
        for mask, rng in zip(masks, rngs, strict=True)
    ]
    points_px = np.maximum(np.stack(points)[:, None], 0).astype(np.float32)
    return PromptTensors(
        points_px=torch.from_numpy(points_px),
        point_labels=torch.ones(len(masks), 1, dtype=torch.int64),
    )


def volume_prompt(
    kind: PromptKind,
    mask: NDArray[np.bool_],
    rng: np.random.Generator,
    view: SliceView,
    index: int,
) -> Box | Point:
    """Return the same prompt in whole voxels, as a person would draw it on slice `index`."""
    drawn_px = drawing_size(view)
    scale = np.array([view.width / drawn_px[1], view.height / drawn_px[0]])
    last = np.array([view.width - 1, view.height - 1])
    if kind == "point":
        voxel = np.floor((simulated_point(mask, drawn_px, rng) + 0.5) * scale)
        x, y = np.clip(voxel, 0, last).astype(int).tolist()
        return Point(view.corners_ijk((x, y, x, y), index)[0])
    box = simulated_box(mask, drawn_px, rng)
    low = np.clip(np.round(box[:2] * scale), 0, last)
    high = np.clip(np.round((box[2:] + 1) * scale - 1), low, last)
    left, top, right, bottom = np.concatenate([low, high]).astype(int).tolist()
    return Box(*view.corners_ijk((left, top, right, bottom), index))


def drawing_size(view: SliceView) -> tuple[int, int]:
    """Return the (height, width) of a slice of this view on which prompts are drawn, in pixels."""
    if view.input_size == SIDE_PX:
        return view.size_px
    height, width = view.size_px
    scale = SIDE_PX / view.input_size
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def _scaled_box(
    box: NDArray[np.float64], drawn_px: tuple[int, int], size_px: tuple[int, int]
) -> NDArray[np.float64]:
    """Scale a box of whole pixels by their outer edges, because pixels are areas."""
    scale = np.array([size_px[1] / drawn_px[1], size_px[0] / drawn_px[0]])
    low = box[:2] * scale
    return np.concatenate([low, np.maximum(low, (box[2:] + 1) * scale - 1)])
