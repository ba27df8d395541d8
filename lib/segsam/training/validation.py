"""How good the binary decoder is on held-out slices, with simulated prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segsam.model import Decoded, SegSam
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.losses import hard_iou
from segsam.training.simulation import box_prompts, point_prompts
from segsam.training.targets import AnnotatedImage, annotate

NO_STEP = 2**31
"""Seeds what belongs to no step, in place of the step's number."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A slice ready to be learnt from."""

    key: str
    """Of its features in the store."""
    labels: NDArray[np.uint8]
    """(h_px, w_px), label values."""
    prompted: tuple[int, ...]
    classes: Mapping[int, int]
    """Of its data set."""

    def annotated(self, model: SegSam) -> tuple[AnnotatedImage, list[int]]:
        """Targets at the model's input size, and the label value of each mask."""
        side, categories = model.host.facts.input_size, len(model.categories)
        return annotate(self.labels, self.classes, side=side, categories=categories)


@torch.no_grad()
def validate(
    model: SegSam, store: EmbeddingStore, samples: Sequence[Sample], config: TrainConfig
) -> dict[str, float]:
    """Dice with boxes and with points, mean over the objects of at most
    `config.validation_slices` slices, in percent; nothing without samples.
    """
    if not samples:
        return {}
    count = min(len(samples), config.validation_slices)
    places = np.linspace(0, len(samples) - 1, count).round().astype(int)
    rng = np.random.default_rng([config.seed, NO_STEP])
    scores: dict[str, list[Tensor]] = {"box": [], "point": []}
    model.eval()
    for sample in (samples[place] for place in places):
        image, values = sample.annotated(model)
        wanted = image.masks[[values.index(value) for value in sample.prompted]]
        masks = [mask.numpy() for mask in wanted]
        features = store.features(sample.key)
        height, width = sample.labels.shape
        boxes = box_prompts(masks, rng, config.jitter_px, (height, width))
        scores["box"].append(_dice(model.decode_batch(features, boxes), wanted))
        points = point_prompts(masks, rng, config.points)
        scores["point"].append(_dice(model.decode_batch(features, points), wanted))
    model.train()
    return {
        f"validation_dsc_{kind}": round(float(torch.cat(each).mean()) * 100, 2)
        for kind, each in scores.items()
    }


def _dice(decoded: Decoded, wanted: Tensor) -> Tensor:
    """(P,) Dice at the targets' size (P, S, S)."""
    logits = F.interpolate(
        decoded.binary_logits, wanted.shape[-2:], mode="bilinear", align_corners=False
    )
    iou = hard_iou(logits > 0, wanted[:, None])
    return (2 * iou / (1 + iou))[:, 0]
