"""Decoders on a coarser grid than the image encoder's: a quarter or a sixteenth of their cost.

LiteMedSAM's encoder answers on 64 x 64 cells, SAM-Med2D's (the paper's) on 16 x 16; attention and
upscaling cost as many times more as there are more cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.errors import CheckpointError
from segsam.model.config import ReductionName
from segsam.model.hosts.base import HostFacts


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


def grid_reduction(facts: HostFacts, grid: int, kind: ReductionName) -> GridReduction | None:
    """What brings the embedding of a host to a grid of this side; None for its own, or for 0.

    Raises:
        CheckpointError: a side that does not divide the host's.
    """
    own, wanted = facts.grid, grid or facts.grid
    if wanted == own:
        return None
    if wanted < 1 or own % wanted:
        raise CheckpointError(
            f"Expected a divisor of {own}, the grid of the host {facts.name!r}, as the "
            f"decoders' grid, got {wanted}."
        )
    return GridReduction(facts.embed_dim, own // wanted, kind)
