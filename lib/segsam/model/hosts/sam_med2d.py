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
from segsam.model.hosts.preparation import normalise_by_imagenet
from segsam.model.hosts.vit import AdaptedTransformer, VitHost, VitSizes, attend


class ConvolutionalAdapter(nn.Module):
    """Channels weighted by their mean over the image, then a convolution to half the grid and back.

    The result is added to the input and normalised.
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
        weighted = tokens * self.channel(tokens.mean(dim=(1, 2), keepdim=True))
        spread = self.spatial(weighted.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        out: Tensor = self.norm(tokens + spread)
        return out


class ConvolutionalTransformer(AdaptedTransformer):
    """SAM's ViT with a `ConvolutionalAdapter` in every block."""

    def __init__(self, sizes: VitSizes) -> None:
        super().__init__(sizes, {"Adapter": lambda: ConvolutionalAdapter(sizes.dim)})

    def run_block(self, block: Any, tokens: Tensor) -> Tensor:
        """Run one block on (B, h, w, dim): adapter and MLP read the same input."""
        tokens = tokens + attend(block, block.norm1(tokens))
        normed = block.norm2(tokens)
        out: Tensor = tokens + block.mlp(normed) + block.Adapter(normed)
        return out


class SamMed2d(VitHost):
    """271,241,776 parameters, 180,504,576 of them adapters; the published 386 keys.

    It always draws three masks, of which the best by its own estimate is used, as its authors do:
    SAM's token for a single mask was not trained.
    """

    always_multimask = True
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
        """Build it with random weights; `sizes` other than the published ones are for tests."""
        sizes = sizes or VitSizes(input_size=self.facts.input_size)
        super().__init__(sizes, ConvolutionalTransformer(sizes))

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Normalise a resized slice (h_px, w_px, 3), then pad it to float32 (3, S, S).

        Channels are reversed first: its authors read pictures as BGR.
        """
        return normalise_by_imagenet(image[..., ::-1], self.facts.input_size)

    def mask_prompt(self, logits: Tensor) -> Tensor:
        """Convert an earlier mask to probabilities, which it was trained with; SAM has logits."""
        return logits.sigmoid()
