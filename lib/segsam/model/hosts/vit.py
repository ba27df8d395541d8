"""SAM's ViT as the hosts share it: the package's own layers, run here so that a host can put
adapters into a block or listen between blocks.

Parameters, and so their names, are those of `ImageEncoderViT` in segment-anything (Kirillov et al.,
2023, section A; Apache-2.0). The arithmetic is the same up to rounding, with one saving: windows
that overhang the grid are filled with zeros, whose query, key and value are just the bias of the
projection, so padding is never multiplied by a weight. At 256 px (a 16 x 16 grid under windows of
14) that is two thirds of the tokens of every windowed block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.hosts.base import Host
from segsam.model.hosts.preparing import standardised
from segsam.model.sam import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer


@dataclass(frozen=True)
class VitSizes:
    """Widths of a SAM host; the defaults are ViT-B's."""

    input_size: int = 1024
    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12
    window: int = 14
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks whose attention sees the whole grid."""
    embed_dim: int = 256
    """Channels of the image embedding and of the decoders."""
    decoder_mlp: int = 2048

    @property
    def grid(self) -> int:
        """Cells along a side of the image embedding."""
        return self.input_size // self.patch


class VisionTransformer(nn.Module):
    """SAM's image encoder: (B, 3, S, S) -> (B, C, S / 16, S / 16)."""

    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        parts = ImageEncoderViT(
            img_size=sizes.input_size,
            patch_size=sizes.patch,
            embed_dim=sizes.dim,
            depth=sizes.depth,
            num_heads=sizes.heads,
            out_chans=sizes.embed_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=sizes.window,
            global_attn_indexes=sizes.global_blocks,
        )
        self.sizes = sizes
        self.pos_embed = parts.pos_embed
        self.patch_embed = parts.patch_embed
        self.blocks = parts.blocks
        self.neck = parts.neck

    def forward(self, images: Tensor) -> Tensor:
        """Prepared images (B, 3, S, S) -> embedding (B, C, h, w)."""
        tokens = self.embed(images)
        for block in self.blocks:
            tokens = self.run_block(block, tokens)
        return self.finish(tokens)

    def embed(self, images: Tensor) -> Tensor:
        """Patches and their positions, (B, h, w, dim)."""
        tokens: Tensor = self.patch_embed(images)
        return tokens + self.positions()

    def positions(self) -> Tensor:
        """The absolute positions of the grid, (1, h, w, dim)."""
        positions: Tensor = self.pos_embed
        return positions

    def run_block(self, block: Any, tokens: Tensor) -> Tensor:
        """One transformer block on (B, h, w, dim)."""
        tokens = tokens + attend(block, block.norm1(tokens))
        out: Tensor = tokens + block.mlp(block.norm2(tokens))
        return out

    def finish(self, tokens: Tensor) -> Tensor:
        """The neck: (B, h, w, dim) -> (B, C, h, w)."""
        embedding: Tensor = self.neck(tokens.permute(0, 3, 1, 2))
        return embedding


def attend(block: Any, tokens: Tensor) -> Tensor:
    """The attention of SAM's `block`, windowed or global, on normalised tokens (B, h, w, dim)."""
    attention, window = block.attn, block.window_size
    batch, height, width, _ = tokens.shape
    qkv = attention.qkv(tokens)
    if not window:
        mixed = _mix(attention, qkv)
    else:
        windows, (rows, columns) = _windows(qkv, attention.qkv.bias, window)
        mixed = _mix(attention, windows)
        mixed = mixed.view(batch, rows, columns, window, window, -1).transpose(2, 3)
        mixed = mixed.reshape(batch, rows * window, columns * window, -1)[:, :height, :width]
    out: Tensor = attention.proj(mixed)
    return out


def _windows(qkv: Tensor, filling: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """(B, h, w, c) -> (B * rows * columns, window, window, c), what overhangs being `filling`."""
    batch, height, width, channels = qkv.shape
    rows, columns = -(-height // window), -(-width // window)
    below, right = rows * window - height, columns * window - width
    if right:
        qkv = torch.cat([qkv, filling.expand(batch, height, right, channels)], dim=2)
    if below:
        qkv = torch.cat([qkv, filling.expand(batch, below, columns * window, channels)], dim=1)
    cut = qkv.view(batch, rows, window, columns, window, channels).transpose(2, 3)
    return cut.reshape(-1, window, window, channels), (rows, columns)


def _mix(attention: Any, qkv: Tensor) -> Tensor:
    """Values mixed by attention with relative positions: (n, y, x, 3 * dim) -> (n, y, x, dim)."""
    n, height, width, _ = qkv.shape
    heads = attention.num_heads
    q, k, v = qkv.view(n, height * width, 3, heads, -1).permute(2, 0, 3, 1, 4)
    bias = _position_bias(attention, q.reshape(n, heads, height, width, -1))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return mixed.transpose(1, 2).reshape(n, height, width, -1)


def _position_bias(attention: Any, q: Tensor) -> Tensor:
    """What each query adds for the row and the column of each key: (n, heads, y, x, c) ->
    (n, heads, y * x, y * x).
    """
    n, heads, height, width, _ = q.shape
    rows = torch.einsum("nhyxc,ykc->nhyxk", q, _offsets(attention.rel_pos_h, height))
    columns = torch.einsum("nhyxc,xkc->nhyxk", q, _offsets(attention.rel_pos_w, width))
    bias = rows[..., :, None] + columns[..., None, :]
    return bias.reshape(n, heads, height * width, height * width)


def _offsets(table: Tensor, length: int) -> Tensor:
    """Rows of `table` (2 * length - 1, c) for each query and key, (length, length, c)."""
    place = torch.arange(length, device=table.device)
    return table[place[:, None] - place + length - 1]


def prompt_encoder(sizes: VitSizes) -> Any:
    """SAM's prompt encoder for these sizes."""
    return PromptEncoder(
        embed_dim=sizes.embed_dim,
        image_embedding_size=(sizes.grid, sizes.grid),
        input_image_size=(sizes.input_size, sizes.input_size),
        mask_in_chans=16,
    )


def mask_decoder(sizes: VitSizes) -> Any:
    """SAM's mask decoder for these sizes."""
    transformer = TwoWayTransformer(
        depth=2, embedding_dim=sizes.embed_dim, num_heads=8, mlp_dim=sizes.decoder_mlp
    )
    return MaskDecoder(transformer_dim=sizes.embed_dim, transformer=transformer)


class VitHost(Host):
    """A host of SAM's make: an encoder on ViT, SAM's prompt encoder and mask decoder, and SAM's
    normalisation.
    """

    def __init__(self, sizes: VitSizes, image_encoder: nn.Module) -> None:
        super().__init__()
        self.facts = replace(
            self.facts, input_size=sizes.input_size, grid=sizes.grid, embed_dim=sizes.embed_dim
        )
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder(sizes)
        self.mask_decoder = mask_decoder(sizes)

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Standardise a resized slice (h_px, w_px, 3); zero-pad to float32 (3, S, S)."""
        return standardised(image, self.facts.input_size)
