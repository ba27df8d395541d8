"""Kinds of box: drawn around the object, or derived from a 3D box or from a neighbouring mask.

SAM's prompt encoder treats all boxes alike. But a tight box means "the object that fills this",
and a loose one "an object in here". A model that learns both from the same tokens does worse on
tight boxes; one that learns tight boxes alone does not follow objects from slice to slice
(`docs/training.md`). So the two corner tokens of a derived box get an offset that is learnt for its
kind. Not in the paper, where every box is drawn.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor, nn

_SCALE = 20.0
"""Factor on the learned offsets. Adam's steps are as long as its learning rate, whatever the
gradient: at a decoder's rate, an offset would reach a tenth of a corner token's length after a
thousand steps, which is too small to have an effect."""
CORNERS = 2
"""Number of tokens of a box in SAM's prompt encoder; they follow those of the points."""


class BoxKind(IntEnum):
    """Origin of a box."""

    DRAWN = 0
    """Drawn around the object on this slice; may be a few pixels off."""
    SECTION = 1
    """Section of a 3D box: never too small, too large on nearly every slice."""
    NEIGHBOUR = 2
    """Box around the mask of the neighbouring slice, widened: too small or too large."""


class BoxKinds(nn.Module):
    """Learned offsets of the corner tokens for each kind of box; drawn boxes have none.

    They start at zero, so that a new model gives the host's own results.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offsets = nn.Parameter(torch.zeros(len(BoxKind) - 1, CORNERS, width))

    def forward(self, tokens: Tensor, kinds: Tensor) -> Tensor:
        """Move tokens (P, N, C), whose last two are a box's corners, by their kinds (P,)."""
        drawn = torch.zeros_like(self.offsets[:1])
        moved = tokens[:, -CORNERS:] + _SCALE * torch.cat([drawn, self.offsets])[kinds]
        return torch.cat([tokens[:, :-CORNERS], moved], dim=1)
