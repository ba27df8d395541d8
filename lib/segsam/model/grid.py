"""Decoders on a coarser grid than the image encoder's: a quarter or a sixteenth of their cost.

LiteMedSAM's encoder answers on 64 x 64 cells, SAM-Med2D's (the paper's) on 16 x 16; attention and
upscaling cost as many times more as there are more cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.config import ReductionName


class GridReduction(nn.Module):
    """Image embedding (B, C, h, w) -> (B, C, h / factor, w / factor).

    `pooled` averages the cells of a block; `trained` begins as that average and learns what else of
    them to keep.
    """

    def __init__(self, dim: int, factor: int, kind: ReductionName) -> None:
        super().__init__()
        self.factor = factor
        self.mix = _average_to_begin_with(dim, factor) if kind == "trained" else None

    def forward(self, embedding: Tensor) -> Tensor:
        """See the class."""
        if self.mix is None:
            return F.avg_pool2d(embedding, self.factor)
        reduced: Tensor = self.mix(embedding)
        return reduced


@torch.no_grad()
def _average_to_begin_with(dim: int, factor: int) -> nn.Conv2d:
    mix = nn.Conv2d(dim, dim, kernel_size=factor, stride=factor)
    share = torch.eye(dim) / factor**2
    mix.weight.copy_(share[:, :, None, None].expand_as(mix.weight))
    if mix.bias is not None:
        mix.bias.zero_()
    return mix
