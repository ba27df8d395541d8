"""A model of two weights that draws what is brighter than a level, and a bright object for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.categories import Categories, Category
from segsam.imaging.volume import Volume
from segsam.model import PromptTensors, SegSam

from .conftest import TinyHost

SHAPE = (30, 28, 20)
CONFIRMED = (5, 9, 13)
PER_UNIT = 500.0
"""Levels per unit of the weight: Adam's steps are as long as its rate, 0.0002."""


def scene(seed: int = 0, *, bright: int = 150) -> tuple[Volume, NDArray[np.bool_]]:
    """A tube that runs obliquely from slice 3 to slice 16, in noise beside another structure."""
    i, j, k = np.indices(SHAPE)
    tube = np.hypot(i - 10 - 0.5 * k, j - 12) < 5
    tube &= (k >= 3) & (k <= 16)
    other = np.hypot(i - 4, j - 23) < 3
    noise = np.random.default_rng(seed).normal(0, 6, SHAPE)
    values = (60 + bright * tube - 50 * other + noise).astype(np.int16)
    return Volume.from_array(values, np.diag([-1.0, -1.0, 3.0, 1.0]), name="tube"), tube


def planes(mask: NDArray[np.bool_], *indices: int) -> dict[tuple[str, int], NDArray[np.bool_]]:
    return {("k", index): mask[..., index] for index in indices}


class Threshold(nn.Module):
    """A mask decoder of two weights: what is brighter than a level is the object. The rest is there
    because a mask decoder has it.
    """

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.transformer = decoder.transformer.requires_grad_(False)
        self.level = nn.Parameter(torch.tensor(0.5 / PER_UNIT))
        self.iou = nn.Parameter(torch.tensor(0.7))


class ThresholdHost(TinyHost):
    """A host that draws, in a box and a little around it, what is brighter than a level."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_decoder = Threshold(self.mask_decoder)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.image_encoder(images), images[:, :1]

    def encode_prompts(self, prompts: PromptTensors) -> tuple[Tensor, Tensor]:
        """The corners of the box, written into one token."""
        _, dense = super().encode_prompts(prompts)
        assert prompts.boxes_px is not None
        return nn.functional.pad(prompts.boxes_px, (0, 28))[:, None], dense

    def decode_masks(
        self, source: Any, image_pe: Tensor, prompt_tokens: Tensor, *, multimask: bool, detail: Any
    ) -> tuple[Tensor, Tensor]:
        y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
        left, top, right, bottom = (side[:, None, None] for side in prompt_tokens[:, 0, :4].T)
        inside = (x >= left - 1) & (x <= right + 1) & (y >= top - 1) & (y <= bottom + 1)
        logits = 20 * (detail[:, 0] - PER_UNIT * self.mask_decoder.level)
        logits = torch.where(inside, logits, -8.0)
        return logits[:, None], self.mask_decoder.iou.expand(len(logits), 1)


def threshold_model() -> SegSam:
    """Return a model on `ThresholdHost`, which takes half of the range as its level."""
    rng = np.random.default_rng(0)
    named = {"texture": "Grey.", "shape": "Round.", "position": "Inside."}
    items = tuple(Category(name, (9, 9, 9), **named) for name in ("liver", "spleen"))
    categories = Categories(items, rng.normal(size=(2, 12)).astype(np.float32), "made up")
    return SegSam(ThresholdHost(), categories)
