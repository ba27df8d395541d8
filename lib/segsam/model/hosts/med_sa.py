"""Med-SA, the Medical SAM Adapter: SAM's ViT-B with bottleneck adapters in every block.

Wu et al., "Medical SAM adapter: adapting segment anything model for medical image segmentation"
(2023). Its code is published under the GPL; this is written from a description of the method alone,
with the parameter names of the published files. Two things differ from the published code. SAM's
tables of relative positions are used; there they have another name, so SAM's values never load and
the tables stay at zero. Absolute positions stay at SAM's 64 x 64 and are resized on use.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.hosts.base import HostFacts
from segsam.model.hosts.vit import AdaptedTransformer, VitHost, VitSizes, attend

_MLP_SHARE = 0.5
"""Weight of the adapter beside the MLP."""


class BottleneckAdapter(nn.Module):
    """A bottleneck of a quarter of the width, with or without a residual connection."""

    def __init__(self, dim: int, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.D_fc1 = nn.Linear(dim, dim // 4)
        self.D_fc2 = nn.Linear(dim // 4, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., dim) -> the same shape."""
        out: Tensor = self.D_fc2(F.gelu(self.D_fc1(tokens)))
        return tokens + out if self.residual else out


class BottleneckTransformer(AdaptedTransformer):
    """SAM's ViT with adapters after the attention and beside the MLP.

    `Depth_Adapter` belongs to the method's branch for volumes. It is here so that published files
    load and are written completely; it is not used for slices and does not train.
    """

    def __init__(self, sizes: VitSizes, position_grid: int) -> None:
        build = partial(BottleneckAdapter, sizes.dim)
        super().__init__(
            sizes,
            {
                "MLP_Adapter": partial(build, residual=False),
                "Space_Adapter": partial(build, residual=True),
                "Depth_Adapter": partial(build, residual=True),
            },
        )
        positions = torch.zeros(1, position_grid, position_grid, sizes.dim)
        self.pos_embed = nn.Parameter(positions, requires_grad=False)
        for block in self.blocks:
            block.Depth_Adapter.requires_grad_(False)

    def positions(self) -> Tensor:
        """Return the absolute positions, resized to the grid if they have another size."""
        positions: Tensor = self.pos_embed
        grid = self.sizes.grid
        if positions.shape[1] == grid:
            return positions
        resized = F.interpolate(
            positions.permute(0, 3, 1, 2), (grid, grid), mode="bicubic", align_corners=False
        )
        return resized.permute(0, 2, 3, 1)

    def run_block(self, block: Any, tokens: Tensor) -> Tensor:
        """Run one block on (B, h, w, dim), with its two adapters."""
        tokens = tokens + block.Space_Adapter(attend(block, block.norm1(tokens)))
        normed = block.norm2(tokens)
        out: Tensor = tokens + block.mlp(normed) + _MLP_SHARE * block.MLP_Adapter(normed)
        return out


class MedSa(VitHost):
    """SAM at 256 px and 10,651,392 parameters of adapters, of which two thirds serve slices."""

    facts = HostFacts(
        name="med_sa",
        input_size=256,
        grid=16,
        embed_dim=256,
        prompts_trained=("point",),
        normalisation="ImageNet mean and standard deviation, RGB",
        licence="Apache-2.0 (written anew; the authors' own code is GPL-3.0)",
        source="arXiv 2304.12620",
        encoder="ViT-B/16 + adapters",
        frozen="SAM's own parameters of the image encoder",
        trained="adapters, prompt encoder and mask decoder",
    )

    def __init__(self, sizes: VitSizes | None = None, *, position_grid: int = 64) -> None:
        """Build it with random weights; sizes other than the published ones are for tests."""
        sizes = sizes or VitSizes(input_size=self.facts.input_size)
        super().__init__(sizes, BottleneckTransformer(sizes, position_grid))
