"""The image encoder of `segsam_fast`: EfficientViT-B1 with a pyramid that ends on 32 x 32 cells.

Cai et al., "EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction" (ICCV
2023), as timm builds it; the way back up is a feature pyramid (Lin et al., CVPR 2017).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.sam import LayerNorm2d

_BACKBONE = "efficientvit_b1"
_FINEST, _OWN = 0, 1
"""Places of the levels with 4 and with 8 model pixels a cell; the output has the second's."""


class FastEncoder(nn.Module):
    """Images (B, 3, S, S) -> embedding (B, C, S / 8, S / 8).

    timm is only imported here: it takes two seconds, and no other host needs it.
    """

    def __init__(self, embed_dim: int = 256) -> None:
        import timm

        super().__init__()
        self.backbone = timm.create_model(_BACKBONE, pretrained=False, features_only=True)
        channels = self.backbone.feature_info.channels()
        self.finest = nn.Conv2d(channels[_FINEST], embed_dim, kernel_size=3, stride=2, padding=1)
        self.lateral = nn.ModuleList(
            nn.Conv2d(count, embed_dim, kernel_size=1) for count in channels[_OWN:]
        )
        self.mix = nn.Sequential(_Mix(embed_dim), _Mix(embed_dim))
        self.out = nn.Conv2d(embed_dim, embed_dim, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        levels = self.backbone(images)
        sides = [level.shape[-2:] for level in levels]
        merged = self.lateral[-1](levels[-1])
        for place in range(len(levels) - 2, _FINEST, -1):
            above = F.interpolate(merged, size=sides[place], mode="nearest")
            merged = above + self.lateral[place - _OWN](levels[place])
        embedding: Tensor = self.out(self.mix(merged + self.finest(levels[_FINEST])))
        return embedding


class _Mix(nn.Module):
    """A residual bottleneck (B, C, h, w) -> the same, which smooths what was put together."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            LayerNorm2d(dim),
            nn.Conv2d(dim, dim // 2, kernel_size=1),
            nn.GELU(),
            nn.Conv2d(dim // 2, dim // 2, kernel_size=3, padding=1),
            nn.GELU(),
            nn.Conv2d(dim // 2, dim, kernel_size=1),
        )

    def forward(self, values: Tensor) -> Tensor:
        mixed: Tensor = values + self.body(values)
        return mixed
