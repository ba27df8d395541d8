"""Adaptation of the mask decoder to one object: some steps on the slices that were confirmed.

    lessons (features, mask) --box prompts--> a copy of the mask decoder --loss--> other weights

The image encoder, the prompt encoder and the text enhancement stay as they are, so embeddings stay
cached. The parent model is only read. Random numbers come from a generator of their own.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segsam.model import BoxKind, ImageFeatures, PromptTensors, SegSam
from segsam.prediction.simulated_boxes import clip_box, jitter, neighbours_box, tight_box

Mask: TypeAlias = NDArray[np.bool_]
Box: TypeAlias = tuple[NDArray[np.float32], BoxKind]
"""(4,) x0, y0, x1, y1 in model pixels, and its kind."""
Weights: TypeAlias = Mapping[str, Tensor]
"""State of a mask decoder, which is only read."""

LESSONS_PER_STEP = 3
_JITTER_PX = 5.0
_NEIGHBOUR = 0.1
"""Mean move of a side from one slice to the next, as a share of the box (`neighbours_box`)."""
_BCE_WEIGHT = 5.0


@dataclass(frozen=True, eq=False)
class Lesson:
    """Confirmed slice as an example.

    `features` are those of the slice. `mask` (h_px, w_px) is what was confirmed, in model pixels;
    `boxed` is the mask from which boxes are made: the same, or that of the nearest slice with the
    object if this one is confirmed as empty.
    """

    features: ImageFeatures
    mask: NDArray[np.bool_]
    boxed: NDArray[np.bool_]


@dataclass(frozen=True)
class Course:
    """Length and rate of an adaptation; the rate falls as a cosine from `rate` to 0."""

    steps: int
    rate: float = 2e-4


def adapt(
    model: SegSam,
    lessons: Sequence[Lesson],
    course: Course,
    *,
    start: Weights | None = None,
    seed: int = 0,
    after_step: Callable[[], None] = lambda: None,
) -> Weights:
    """Return weights of the model's mask decoder that were adapted to the lessons.

    Args:
        model: the parent; it is not changed.
        lessons: at least one, in an order that does not depend on how the volume is stored.
        course: steps and rate.
        start: weights to start from; the parent's if None.
        seed: of the simulated boxes.
        after_step: called after each step; may raise to end the adaptation.
    """
    rng = np.random.default_rng(seed)
    with torch.inference_mode(False), torch.enable_grad():
        learner = with_weights(model, start)
        weights = [each.requires_grad_(True) for each in learner.host.mask_decoder.parameters()]
        optimiser = torch.optim.Adam(weights, course.rate)
        examples = [_detached(lesson) for lesson in lessons]
        each = min(LESSONS_PER_STEP, len(examples))
        for step in range(course.steps):
            rate = course.rate * (0.5 + 0.5 * math.cos(math.pi * step / course.steps))
            optimiser.param_groups[0]["lr"] = rate
            for number in range(each):
                turn, place = divmod(step * each + number, len(examples))
                box = _box(examples[place], rng, is_drawn=(turn + place) % 2 == 0)
                _add_gradients(_loss(learner, examples[place], box), weights)
            optimiser.step()
            optimiser.zero_grad()
            after_step()
    return _frozen(learner.host.mask_decoder.state_dict())


def with_weights(model: SegSam, weights: Weights | None) -> SegSam:
    """Return the model with a copy of its mask decoder of other weights, or of the same if None."""
    decoder = copy.deepcopy(model.host.mask_decoder).eval()
    for parameter in decoder.parameters():
        parameter.requires_grad_(False)
    if weights is not None:
        decoder.load_state_dict(weights)
    return model.with_mask_decoder(decoder)


def mixed(weights: Sequence[Weights]) -> Weights:
    """Return the mean of several weights."""
    return _frozen(
        {name: torch.stack([each[name] for each in weights]).mean(dim=0) for name in weights[0]}
    )


def towards(
    model: SegSam, weights: Weights, share: float, *, start: Weights | None = None
) -> Weights:
    """Return weights that lie a share (0 to 1) of the way from those that were started from, the
    parent's if None, to adapted ones.
    """
    first = model.host.mask_decoder.state_dict() if start is None else start
    return _frozen({name: torch.lerp(first[name], weights[name], share) for name in weights})


def picture_logits(
    model: SegSam, features: ImageFeatures, prompts: PromptTensors, size_px: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return logits (P, h_px, w_px) of a slice's picture, and predicted IoU (P,)."""
    decoded = model.decode_masks_alone(features, prompts)
    side = model.host.facts.input_size
    logits = F.interpolate(
        decoded.binary_logits.float(), (side, side), mode="bilinear", align_corners=False
    )
    height, width = size_px
    return logits[:, 0, :height, :width], decoded.predicted_iou[:, 0].float()


def box_tensors(
    boxes: Sequence[NDArray[np.float32]], kinds: Sequence[BoxKind], device: torch.device
) -> PromptTensors:
    """Return boxes (4,) in model pixels as prompts, each of its kind."""
    return PromptTensors(
        boxes_px=torch.from_numpy(np.stack(boxes)).to(device),
        box_kinds=torch.tensor([int(kind) for kind in kinds], device=device),
    )


def _add_gradients(loss: Tensor, weights: Sequence[Tensor]) -> None:
    """Add the gradients of the copied weights alone: what is shared with the parent gets none."""
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    for weight, gradient in zip(weights, gradients, strict=True):
        if gradient is not None:
            weight.grad = gradient if weight.grad is None else weight.grad + gradient


def _loss(learner: SegSam, lesson: Lesson, box: Box) -> Tensor:
    """Return the loss of one box: cross-entropy, Dice, and the error of the predicted IoU."""
    device, mask = lesson.features.embedding.device, lesson.mask
    height, width = mask.shape
    logits, iou = picture_logits(
        learner, lesson.features, box_tensors([box[0]], [box[1]], device), (height, width)
    )
    true = torch.from_numpy(mask).to(device).float()[None]
    probability = logits.sigmoid()
    both, total = (probability * true).sum(), (probability + true).sum()
    loss = _BCE_WEIGHT * F.binary_cross_entropy_with_logits(logits, true)
    loss = loss + 1 - (2 * both + 1) / (total + 1)
    with torch.no_grad():
        found = (logits > 0).float()
        shared = (found * true).sum()
        true_iou = (shared + 1) / ((found + true).sum() - shared + 1)
    return loss + F.mse_loss(iou, true_iou[None])


def _box(lesson: Lesson, rng: np.random.Generator, *, is_drawn: bool) -> Box:
    """Return a box as a person draws it, or as following makes it from a neighbouring slice."""
    height, width = lesson.mask.shape
    tight = tight_box(lesson.boxed)
    if is_drawn:
        drawn = clip_box(jitter(tight, rng, _JITTER_PX), (height, width))
        return drawn.astype(np.float32), BoxKind.DRAWN
    box = neighbours_box(tight.astype(np.float32), rng, _NEIGHBOUR, (height, width))
    return box, BoxKind.NEIGHBOUR


def _detached(lesson: Lesson) -> Lesson:
    """Return a lesson whose tensors may be used with gradients: features are made without."""
    features = lesson.features
    presence, detail = features.presence_logits, features.detail
    return Lesson(
        ImageFeatures(
            features.embedding.clone(),
            None if presence is None else presence.clone(),
            None if detail is None else detail.clone(),
        ),
        lesson.mask,
        lesson.boxed,
    )


def _frozen(state: Mapping[str, Tensor]) -> Weights:
    return MappingProxyType({name: value.detach().clone() for name, value in state.items()})
