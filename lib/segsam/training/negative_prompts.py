"""Prompts of nothing that is labelled: boxes of objects that ended on the slice before, so that the
end of an object is learnt; boxes on places without a label, which are none of the categories; and
such boxes with the mask that another model draws there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.model import BoxKind, PromptTensors
from segsam.training.config import TrainConfig
from segsam.training.free_boxes import draw_free_boxes
from segsam.training.prompt_simulation import box_prompts
from segsam.training.samples import Sample
from segsam.training.targets import NO_CATEGORY, NO_CLASS
from segsam.training.teacher_masks import TeacherMasks

ENDED, UNLABELLED, TAUGHT = "ended", "unlabelled", "taught"
"""Names of the losses of such prompts."""


@dataclass(frozen=True, eq=False)
class NegativePrompts:
    """Boxes of nothing that is labelled."""

    prompts: PromptTensors
    classes: tuple[int, ...]
    """What each asks for: k + 1 for category k, 0 if it is not known, or `NO_CATEGORY`."""
    masks: NDArray[np.bool_] | None
    """(n, h_px, w_px): what to draw, which may be nothing; None if there may be something without a
    label, whose mask is not known."""
    term: str
    """Name of their loss in the log."""


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
            return NegativePrompts(prompts, (NO_CATEGORY,) * len(prompts), None, UNLABELLED)
    if sample.taught is not None and rng.random() < config.teacher_share:
        return _boxes_of_teacher(sample, sample.taught, config.prompts_per_image, rng)
    return None


def boxes_without_label(
    sample: Sample, count: int, rng: np.random.Generator
) -> PromptTensors | None:
    """Draw up to `count` boxes with next to no label in them; None on an image that is full."""
    boxes_px = draw_free_boxes(sample.labels, count, rng)
    return None if boxes_px is None else _drawn(boxes_px)


def _drawn(boxes_px: Tensor) -> PromptTensors:
    """Return boxes as those that a person draws."""
    kinds = torch.full((len(boxes_px),), int(BoxKind.DRAWN), dtype=torch.int64)
    return PromptTensors(boxes_px=boxes_px, box_kinds=kinds)


def _boxes_of_teacher(
    sample: Sample, taught: TeacherMasks, count: int, rng: np.random.Generator
) -> NegativePrompts:
    """Draw boxes in which the teacher's masks are kept; what they show has no name."""
    chosen = rng.integers(len(taught.boxes_px), size=count)
    height, width = sample.labels.shape
    masks = taught.masks(chosen, (height, width))
    prompts = _drawn(taught.boxes_px[torch.from_numpy(chosen)])
    return NegativePrompts(prompts, (NO_CLASS,) * count, masks, TAUGHT)


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
    nothing = np.zeros((len(drawn), height, width), dtype=np.bool_)
    classes = tuple(sample.classes[one.value] for one in drawn)
    return NegativePrompts(prompts, classes, nothing, ENDED)
