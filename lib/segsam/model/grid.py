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
        self.mix: nn.Conv2d | None = None
        if kind == "trained":
            self.mix = nn.Conv2d(dim, dim, kernel_size=factor, stride=factor)
            self._start_as_average()

    def forward(self, embedding: Tensor) -> Tensor:
        """See the class."""
        if self.mix is None:
            return F.avg_pool2d(embedding, self.factor)
        reduced: Tensor = self.mix(embedding)
        return reduced

    @torch.no_grad()
    def _start_as_average(self) -> None:
        if self.mix is None:
            return
        share = torch.eye(self.mix.out_channels) / self.factor**2
        self.mix.weight.copy_(share[:, :, None, None].expand_as(self.mix.weight))
        nn.init.zeros_(self.mix.bias)
