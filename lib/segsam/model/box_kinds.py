"""Boxes that were drawn around an object, and boxes that only follow from something else.

To SAM's prompt encoder a box is a box. But what a tight box asks ("what fills this?") is not what
a loose one asks ("which thing in here?"): a model that learns both from the same tokens does worse
on tight boxes, and one that learns tight ones alone does not follow objects from slice to slice
(`docs/training.md`). So the two corners of a box that may not fit are moved by what is learnt for
its kind.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor, nn

_SPEED = 20.0
"""Adam's steps are as long as its rate, whatever the gradient: at a decoder's rate what tells kinds
apart would grow by a tenth of a corner's own length in a thousand steps, too little to be heard."""
CORNERS = 2
"""Tokens of a box in SAM's prompt encoder, behind those of the points."""


class BoxKind(IntEnum):
    """How a box came about."""

    DRAWN = 0
    """Around the object, on this slice; may be a few pixels off."""
    SECTION = 1
    """Of a 3D box: not too small, and too large on nearly every slice."""
    NEIGHBOUR = 2
    """Around the mask of the neighbouring slice, widened: off to either side."""


class BoxKinds(nn.Module):
    """What is added to the corner tokens of boxes of each kind; nothing to those of drawn ones.

    Zero at first, so that a host is at first what it was.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offsets = nn.Parameter(torch.zeros(len(BoxKind) - 1, CORNERS, width))

    def forward(self, tokens: Tensor, kinds: Tensor) -> Tensor:
        """Tokens (P, N, C), of which the last two are a box's corners; kinds (P,) of `BoxKind`."""
        drawn = torch.zeros_like(self.offsets[:1])
        moved = tokens[:, -CORNERS:] + _SPEED * torch.cat([drawn, self.offsets])[kinds]
        return torch.cat([tokens[:, :-CORNERS], moved], dim=1)
