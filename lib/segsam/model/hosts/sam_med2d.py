"""SAM-Med2D: SAM's ViT-B at 256 px with a convolutional adapter beside the MLP of every block.

Cheng et al., "SAM-Med2D" (2023), https://github.com/OpenGVLab/SAM-Med2D, Apache-2.0. It is the
baseline of the paper's tables 4 and 8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.model.hosts.base import HostFacts
from segsam.model.hosts.preparing import standardised
from segsam.model.hosts.vit import VisionTransformer, VitHost, VitSizes, attend
from segsam.model.mask_decoding import best_mask
from segsam.model.two_way import Source


class Adapter(nn.Module):
    """Channels gated by their mean over the image, then a convolution to half the grid and back,
    added to the input and normalised.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.channel = nn.Sequential(
            nn.Linear(dim, dim // 4, bias=False),
            nn.ReLU(),
            nn.Linear(dim // 4, dim, bias=False),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(dim, dim, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(dim, dim, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, dim) -> the same shape; h and w even."""
        gated = tokens * self.channel(tokens.mean(dim=(1, 2), keepdim=True))
        spread = self.spatial(gated.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        out: Tensor = self.norm(tokens + spread)
        return out


class AdaptedTransformer(VisionTransformer):
    """SAM's ViT, frozen, with an adapter in every block that trains."""

    def __init__(self, sizes: VitSizes) -> None:
        super().__init__(sizes)
        self.requires_grad_(False)
        for block in self.blocks:
            block.add_module("Adapter", Adapter(sizes.dim))

    def run_block(self, block: Any, tokens: Tensor) -> Tensor:
        """One block on (B, h, w, dim): the adapter runs beside the MLP on the same input."""
        tokens = tokens + attend(block, block.norm1(tokens))
        normed = block.norm2(tokens)
        out: Tensor = tokens + block.mlp(normed) + block.Adapter(normed)
        return out


class SamMed2d(VitHost):
    """271,241,776 parameters, 180,504,576 of them adapters; the published 386 keys."""

    facts = HostFacts(
        name="sam_med2d",
        input_size=256,
        grid=16,
        embed_dim=256,
        prompts_trained=("point", "box", "mask"),
        normalisation="ImageNet mean and standard deviation of RGB, on channels in the order BGR "
        "(as published)",
        licence="Apache-2.0",
        source="https://github.com/OpenGVLab/SAM-Med2D",
        encoder="ViT-B/16 + adapters",
        frozen="SAM's own parameters of the image encoder",
        trained="adapters, prompt encoder and mask decoder",
        official_file="sam-med2d_b.pth",
        preparation="published with slices stretched to a square by their nearest pixels, or "
        "centred when small; here the aspect is kept and the rest padded with zeros at the bottom "
        "and on the right, so that geometry stays exact",
    )

    def __init__(self, sizes: VitSizes | None = None) -> None:
        """Random weights; `sizes` other than the published ones are for tests."""
        sizes = sizes or VitSizes(input_size=self.facts.input_size)
        super().__init__(sizes, AdaptedTransformer(sizes))

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Standardise a resized slice (h_px, w_px, 3), its channels reversed as its authors read
        them; zero-pad to float32 (3, S, S).
        """
        return standardised(image[..., ::-1], self.facts.input_size)

    def mask_prompt(self, logits: Tensor) -> Tensor:
        """Its earlier masks were probabilities in training, where SAM's are logits."""
        return logits.sigmoid()

    def decode_masks(
        self,
        source: Source,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        *,
        multimask: bool,
        detail: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Always three masks; for one, the best by its own estimate, as its authors do (SAM's
        single-mask token was not trained).
        """
        logits, iou = super().decode_masks(
            source, image_pe, prompt_tokens, multimask=True, detail=detail
        )
        if multimask:
            return logits, iou
        return best_mask(logits, iou)
