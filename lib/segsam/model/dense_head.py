"""Dense semantic head: where in an image is each category, without any prompt?

The prompted decoders answer for one marked object. To find objects by search, each of many points
would have to be decoded. This head reads the image's embedding once and gives every category a map
of probabilities, from whose objects the prompted decoders are then given boxes.

    embedding (B, C, h, w), and where each cell lies --1 x 1--> width --+
    embeddings of the slices on both sides --1 x 1, mean, 1 x 1---------+--> width
      --3 x 3 blocks of growing dilation, the whole image's mean--> context
      --2 x 2 transposed--> (2h, 2w) --3 x 3, 1 x 1--> logits (B, K, 2h, 2w)

Both sides are read alike, so that the order in which a volume is stored cannot matter.

It is not in the paper. Its weights are trained on stored embeddings (`training.dense_training`),
and nothing of the other parts depends on it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WIDTH = 128
"""Channels on the embedding's grid; half as many on the finer one."""
_DILATIONS = (1, 2, 4, 1)
"""Of the blocks, which so see from 3 cells to the whole image."""
_GROUPS = 8
SIDES = 2
"""Slices that are read beside one."""
_SIDE_WIDTH = 48
"""Channels that are read of each."""
NEIGHBOUR_WEIGHTS = "dense_head.beside."
"""Beginning of the names of a model's weights that read the slices beside one."""
_RARE = -4.0
"""First bias of every category: nearly all pixels of an image are none of it."""


class DenseHead(nn.Module):
    """Maps of all categories from an image's embedding."""

    def __init__(self, categories: int, channels: int) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.Conv2d(channels + 2, _WIDTH, 1), _norm(_WIDTH), nn.GELU())
        self.beside = _Beside(channels)
        self.blocks = nn.ModuleList(_Block(_WIDTH, dilation) for dilation in _DILATIONS)
        self.whole = nn.Linear(_WIDTH, _WIDTH)
        self.finer = nn.Sequential(
            nn.ConvTranspose2d(_WIDTH, _WIDTH // 2, 2, stride=2),
            _norm(_WIDTH // 2),
            nn.GELU(),
            nn.Conv2d(_WIDTH // 2, _WIDTH // 2, 3, padding=1),
            _norm(_WIDTH // 2),
            nn.GELU(),
        )
        self.categories = nn.Conv2d(_WIDTH // 2, categories, 1)
        nn.init.constant_(self.categories.get_parameter("bias"), _RARE)

    def forward(self, embedding: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return logits (B, K, 2h, 2w) over the padded square of embeddings (B, C, h, w).

        `beside` (B, N, C, h, w) are the embeddings of up to two slices beside each, in any order,
        and zero where there is none, as is None.
        """
        logits: Tensor = self.categories(self.features(embedding, beside))
        return logits

    def features(self, embedding: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return what the last layer reads, (B, width / 2, 2h, 2w); arguments as of `forward`."""
        x: Tensor = self.read(torch.cat([embedding, _places(embedding)], dim=1))
        if beside is not None:
            x = x + self.beside(beside)
        for block in self.blocks:
            x = block(x)
        x = x + self.whole(x.mean(dim=(2, 3)))[:, :, None, None]
        finer: Tensor = self.finer(x)
        return finer


class _Beside(nn.Module):
    """What the slices beside one add to it: nothing until it is trained, or without any."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(channels, _SIDE_WIDTH, 1, bias=False)
        self.join = nn.Conv2d(_SIDE_WIDTH, _WIDTH, 1, bias=False)
        nn.init.zeros_(self.join.weight)

    def forward(self, beside: Tensor) -> Tensor:
        """Return (B, width, h, w) of the embeddings of the slices beside each, (B, N, C, h, w)."""
        count, sides = beside.shape[:2]
        read = F.gelu(self.read(beside.flatten(0, 1)))
        mean = read.reshape(count, sides, *read.shape[1:]).sum(dim=1) / SIDES
        joined: Tensor = self.join(mean)
        return joined


class _Block(nn.Module):
    """Two convolutions, the first one dilated, added to what they read."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norms = nn.ModuleList((_norm(width), _norm(width)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, h, w) of (B, width, h, w)."""
        change = F.gelu(self.norms[0](self.first(x)))
        return F.gelu(x + self.norms[1](self.second(change)))


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(_GROUPS, width)


def _places(embedding: Tensor) -> Tensor:
    """Return where each cell lies, (B, 2, h, w) x and y from -1 to 1: convolutions cannot tell left
    from right.
    """
    count, _, height, width = embedding.shape
    x = torch.linspace(-1, 1, width, device=embedding.device, dtype=embedding.dtype)
    y = torch.linspace(-1, 1, height, device=embedding.device, dtype=embedding.dtype)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows]).expand(count, -1, -1, -1)
