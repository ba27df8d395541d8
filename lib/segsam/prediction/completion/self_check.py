"""Self-check of an adaptation: slices that it has not learnt from are drawn with and without it.

Two halves of the confirmed slices, in turns along the axis, are each learnt from and tested on the
other. With three slices that leaves each out once; with two, one teaches and the other one tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import BoxKind, SegSam
from segsam.prediction.completion.adaptation import Lesson, box_tensors, picture_logits
from segsam.prediction.completion.shapes import Shape
from segsam.prediction.propagation import MARGIN_PX, dice
from segsam.prediction.simulated_boxes import clip_box, tight_box

USUAL_SHAPE_WEIGHT = 0.5
SHAPE_WEIGHTS = (USUAL_SHAPE_WEIGHT, 0.0)
"""Weights of the interpolated shape, of which the self-check chooses one."""
_WITHOUT_SHAPE = 0.03
"""Gain in Dice from which the shape is left out. It is tested between slices that are twice as far
apart as those between which it is used, so it is better than it seems."""


@dataclass(frozen=True, eq=False)
class Test:
    """Confirmed slice that is drawn as if it were not confirmed.

    `shape` (h_px, w_px) is interpolated from its neighbours among the confirmed slices; None for
    the outermost, which are prompted by their own box, widened as following does it.
    """

    lesson: Lesson
    shape: Shape | None


@dataclass(frozen=True)
class Score:
    """Dice of left-out slices: with each weight of the shape, between others; by a box alone."""

    between: Mapping[float, tuple[float, ...]]
    boxed: tuple[float, ...]

    @classmethod
    def joined(cls, scores: Iterable[Score]) -> Score:
        """Return the score of the slices of all."""
        each = list(scores)
        between = {
            weight: tuple(dice for one in each for dice in one.between[weight])
            for weight in SHAPE_WEIGHTS
        }
        return cls(between, tuple(dice for one in each for dice in one.boxed))

    @property
    def shape_weight(self) -> float:
        """The weight of the shape to use: the usual one, or none where that is clearly better."""
        usual, without = (self.between[weight] for weight in SHAPE_WEIGHTS)
        is_better = bool(usual) and np.mean(without) >= np.mean(usual) + _WITHOUT_SHAPE
        return 0.0 if is_better else USUAL_SHAPE_WEIGHT

    @property
    def mean(self) -> float:
        """Mean Dice over all slices with this weight of the shape; 0 without any."""
        values = self.between[self.shape_weight] + self.boxed
        return float(np.mean(values)) if values else 0.0


@torch.inference_mode()
def score(model: SegSam, tests: Sequence[Test]) -> Score:
    """Draw slices with a model and return how well they agree with what was confirmed."""
    between: dict[float, tuple[float, ...]] = dict.fromkeys(SHAPE_WEIGHTS, ())
    boxed: tuple[float, ...] = ()
    for test in tests:
        true = test.lesson.mask
        box, kind = _box(test)
        prompts = box_tensors([box], [kind], test.lesson.features.embedding.device)
        height, width = true.shape
        found, _ = picture_logits(model, test.lesson.features, prompts, (height, width))
        logits = found[0].cpu().numpy()
        if test.shape is None:
            boxed += (dice(logits > 0, true),)
            continue
        for weight in SHAPE_WEIGHTS:
            between[weight] += (dice(logits + weight * test.shape > 0, true),)
    return Score(between, boxed)


def _box(test: Test) -> tuple[NDArray[np.float32], BoxKind]:
    height, width = test.lesson.mask.shape
    if test.shape is not None and (test.shape > 0).any():
        return tight_box(test.shape > 0).astype(np.float32), BoxKind.DRAWN
    tight = tight_box(test.lesson.boxed)
    wide = clip_box(tight + MARGIN_PX * np.array([-1, -1, 1, 1]), (height, width))
    return wide.astype(np.float32), BoxKind.NEIGHBOUR
