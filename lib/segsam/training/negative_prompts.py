"""Prompts with nothing to draw: boxes of objects that ended on the slice before, so that the end of
an object is learnt, and boxes on places without a label, which are none of the categories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import BoxKind, PromptTensors
from segsam.training.config import TrainConfig
from segsam.training.prompt_simulation import box_prompts
from segsam.training.samples import Sample
from segsam.training.targets import NO_CATEGORY

_PLACES = 20
"""Places that are tried for a box without a label, on an image that is full of them."""
_LABELLED_SHARE = 0.05
"""Largest share of such a box that may be labelled."""
_LOG_SIZES = (math.log(0.08), math.log(0.5))
"""Logarithms of the sides of such a box, as a share of the image's."""


@dataclass(frozen=True, eq=False)
class NegativePrompts:
    """Boxes with nothing to draw."""

    prompts: PromptTensors
    classes: tuple[int, ...]
    """What each asks for: k + 1 for category k, 0 if it is not known, or `NO_CATEGORY`."""
    has_masks: bool
    """True if the right mask is empty; False if there may be something without a label."""


def draw_negative_prompts(
    sample: Sample, config: TrainConfig, rng: np.random.Generator
) -> NegativePrompts | None:
    """Draw as many such boxes as an image has prompts, or None for an ordinary draw.

    No random number is used if a run has no such boxes, so that old runs repeat.
    """
    if sample.ended and (not sample.prompted or rng.random() < config.end_share):
        return _boxes_of_ended(sample, config, rng)
    if config.unlabelled_share and rng.random() < config.unlabelled_share:
        prompts = boxes_without_label(sample, config.prompts_per_image, rng)
        if prompts is not None:
            return NegativePrompts(prompts, (NO_CATEGORY,) * len(prompts), False)
    return None


def boxes_without_label(
    sample: Sample, count: int, rng: np.random.Generator
) -> PromptTensors | None:
    """Draw up to `count` boxes with next to no label in them; None on an image that is full."""
    labelled = sample.labels > 0
    boxes = [_free_box(labelled, rng) for _ in range(count)]
    free = [box for box in boxes if box is not None]
    if not free:
        return None
    kinds = torch.full((len(free),), int(BoxKind.DRAWN), dtype=torch.int64)
    return PromptTensors(boxes_px=torch.from_numpy(np.stack(free)), box_kinds=kinds)


def _boxes_of_ended(
    sample: Sample, config: TrainConfig, rng: np.random.Generator
) -> NegativePrompts:
    """Box objects as propagation does that has just passed their ends."""
    ended = sample.ended_objects()
    drawn = [ended[index] for index in rng.choice(len(ended), config.prompts_per_image)]
    masks = [one.mask for one in drawn]
    height, width = sample.labels.shape
    prompts = box_prompts(
        masks, rng, 0.0, (height, width), kind=BoxKind.NEIGHBOUR, by=config.neighbour_by
    )
    return NegativePrompts(prompts, tuple(sample.classes[one.value] for one in drawn), True)


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
