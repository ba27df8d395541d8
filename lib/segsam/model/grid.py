"""Decoders on a coarser grid than the image encoder's, at a quarter or a sixteenth of their cost.

LiteMedSAM's encoder gives 64 x 64 cells, SAM-Med2D's (the paper's) 16 x 16. Attention and upscaling
cost in proportion to the number of cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.errors import CheckpointError
from segsam.model.config import ReductionName
from segsam.model.hosts.base import HostFacts


class GridReduction(nn.Module):
    """Reduction of an image embedding: (B, C, h, w) -> (B, C, h / factor, w / factor).

    `pooled` averages the cells of a block. `trained` is a convolution that starts as that average
    and learns what else of the cells to keep.
    """

    def __init__(self, dim: int, factor: int, kind: ReductionName) -> None:
        super().__init__()
        self.factor = factor
        self.mix = _averaging_convolution(dim, factor) if kind == "trained" else None

    def forward(self, embedding: Tensor) -> Tensor:
        """Reduce an embedding (B, C, h, w)."""
        if self.mix is None:
            return F.avg_pool2d(embedding, self.factor)
        reduced: Tensor = self.mix(embedding)
        return reduced


@torch.no_grad()
def _averaging_convolution(dim: int, factor: int) -> nn.Conv2d:
    convolution = nn.Conv2d(dim, dim, kernel_size=factor, stride=factor)
    share = torch.eye(dim) / factor**2
    convolution.weight.copy_(share[:, :, None, None].expand_as(convolution.weight))
    if convolution.bias is not None:
        convolution.bias.zero_()
    return convolution


def grid_reduction(facts: HostFacts, grid: int, kind: ReductionName) -> GridReduction | None:
    """Build the reduction from a host's grid to one of side `grid`; None if they are equal.

    A `grid` of 0 stands for the host's own.

    Raises:
        CheckpointError: a side that does not divide the host's.
    """
    own, requested = facts.grid, grid or facts.grid
    if requested == own:
        return None
    if requested < 1 or own % requested:
        raise CheckpointError(
            f"Expected a divisor of {own}, the grid of the host {facts.name!r}, as the "
            f"decoders' grid, got {requested}."
        )
    return GridReduction(facts.embed_dim, own // requested, kind)
