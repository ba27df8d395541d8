"""TinyViT of LiteMedSAM: a stage of convolutions, three of windowed attention, and SAM's neck.

Wu et al., "TinyViT" (ECCV 2022), with two changes of LiteMedSAM: the patch embedding has stride 1
and the last stage does not shrink, so a 256 px image gives a 64 x 64 grid. Parameter names are
those of the published file. With patches of 2 x 2 pixels the same layers give a 32 x 32 grid, at a
quarter of the cost.

Activations are (b, c, y, x) tensors in channels-last memory: each pixel is a row of channels, as
1x1 convolutions and the linear layers of attention need it, without a transposed copy in between.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.sam import LayerNorm2d


class ConvNorm(nn.Module):
    """Convolution without bias and its batch normalisation; one convolution outside of training.

    The kernel of that one is computed from the current weights on each call (microseconds): nothing
    is cached, so nothing can be out of date after `load_state_dict`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        groups = outputs if depthwise else 1
        padding = (kernel - 1) // 2
        self.c = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, y, x) -> (b, outputs, y / stride, x / stride)."""
        if self.training:
            normed: Tensor = self.bn(self.c(x))
            return normed
        weight, bias = self.folded()
        return F.conv2d(x, weight, bias, self.c.stride, self.c.padding, groups=self.c.groups)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return kernel and bias of the convolution that equals convolution and normalisation."""
        mean, variance = self.bn.get_buffer("running_mean"), self.bn.get_buffer("running_var")
        scale = self.bn.weight * torch.rsqrt(variance + self.bn.eps)
        return self.c.weight * scale[:, None, None, None], self.bn.bias - mean * scale


class PatchEmbed(nn.Module):
    """Patches of pixels, side by side, through two layers (LiteMedSAM's are of one pixel)."""

    def __init__(self, dim: int, patch: int = 1) -> None:
        super().__init__()
        first = ConvNorm(3, dim // 2, kernel=patch, stride=patch)
        self.seq = nn.Sequential(first, nn.GELU(), ConvNorm(dim // 2, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, y, x) -> (b, dim, y / patch, x / patch)."""
        out: Tensor = self.seq(x)
        return out


class InvertedBottleneck(nn.Module):
    """MBConv block: widen, depthwise 3x3, narrow, add the input."""

    def __init__(self, dim: int, expansion: int = 4) -> None:
        super().__init__()
        hidden = dim * expansion
        self.conv1 = ConvNorm(dim, hidden)
        self.conv2 = ConvNorm(hidden, hidden, kernel=3, depthwise=True)
        self.conv3 = ConvNorm(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(b, dim, y, x) -> the same shape."""
        wide = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(wide))


class Downsample(nn.Module):
    """Change of width between stages, with a depthwise 3x3 that may halve the grid."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, kernel=3, stride=stride, depthwise=True)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, y, x) -> (b, outputs, y / stride, x / stride)."""
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learnt bias per head and offset (|dy|, |dx|)."""

    bias_index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        position = torch.arange(window * window)
        y, x = position // window, position % window
        offset = (y[:, None] - y).abs() * window + (x[:, None] - x).abs()
        self.register_buffer("bias_index", offset, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, y, x, c) -> the same shape; windows over the edge are padded with zeros."""
        b, height, width, c = x.shape
        w = self.window
        x = F.pad(x, (0, 0, 0, -width % w, 0, -height % w))
        rows, columns = x.shape[1] // w, x.shape[2] // w
        windows = x.view(b, rows, w, columns, w, c).transpose(2, 3).reshape(-1, w * w, c)
        windows = self._attend(windows)
        x = (
            windows.view(b, rows, columns, w, w, c)
            .transpose(2, 3)
            .reshape(b, rows * w, columns * w, c)
        )
        return x[:, :height, :width]

    def _attend(self, windows: Tensor) -> Tensor:
        """(n, t, c) -> the same shape; in `qkv`, query, key and value of a head are adjacent."""
        n, t, c = windows.shape
        qkv = self.qkv(self.norm(windows)).view(n, t, self.heads, 3, c // self.heads)
        q, k, v = qkv.permute(3, 0, 2, 1, 4)  # each (n, heads, t, c / heads)
        bias = self.attention_biases[:, self.bias_index]  # (heads, t, t)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.expand(n, -1, -1, -1))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, t, c))
        return out


class Mlp(nn.Module):
    """MLP of a block: normalise, widen, GELU, narrow."""

    def __init__(self, dim: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, dim * expansion)
        self.fc2 = nn.Linear(dim * expansion, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class AttentionBlock(nn.Module):
    """Windowed attention, a depthwise 3x3 that connects neighbouring windows, and an MLP."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.attn = WindowAttention(dim, heads, window)
        self.local_conv = ConvNorm(dim, dim, kernel=3, depthwise=True)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(b, dim, y, x) -> the same shape."""
        tokens = x.permute(0, 2, 3, 1)
        tokens = tokens + self.attn(tokens)
        tokens = self.local_conv(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        out: Tensor = tokens + self.mlp(tokens)
        return out.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Blocks of one width, then the change to the next."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(b, dim, y, x) -> (b, next dim, y / stride, x / stride)."""
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.downsample(x)
        return out


class TinyViT(nn.Module):
    """LiteMedSAM's image encoder, 5,726,740 parameters: (b, 3, 256, 256) -> (b, 256, 64, 64)."""

    def __init__(self, patch: int = 1) -> None:
        super().__init__()
        dims = (64, 128, 160, 320)
        self.patch_embed = PatchEmbed(dims[0], patch)
        self.layers = nn.ModuleList(
            [
                Stage([InvertedBottleneck(64) for _ in range(2)], Downsample(64, 128, stride=2)),
                Stage(
                    [AttentionBlock(128, 4, 7) for _ in range(2)], Downsample(128, 160, stride=2)
                ),
                Stage(
                    [AttentionBlock(160, 5, 14) for _ in range(6)], Downsample(160, 320, stride=1)
                ),
                Stage([AttentionBlock(320, 10, 7) for _ in range(2)], nn.Identity()),
            ]
        )
        self.neck = nn.Sequential(
            nn.Conv2d(dims[-1], 256, 1, bias=False),
            LayerNorm2d(256),
            nn.Conv2d(256, 256, 3, padding=1, bias=False),
            LayerNorm2d(256),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(b, 3, y, x) in [0, 1] -> (b, 256, y / 4 / patch, x / 4 / patch)."""
        x = self.patch_embed(images.contiguous(memory_format=torch.channels_last))
        for stage in self.layers:
            x = stage(x)
        out: Tensor = self.neck(x)
        return out
