"""SAM's ViT, shared by the hosts: the package's own layers, run block by block.

So a host can add adapters to a block, or read maps between blocks. Parameters and their names are
those of `ImageEncoderViT` in segment-anything (Kirillov et al., 2023, section A; Apache-2.0).

The arithmetic is the same up to rounding, with one saving. SAM pads windows that reach over the
edge of the grid with zeros. The key and value of a zero are the bias of the projection, and its
output is cut off again, so padding need not be multiplied by any weight. At 256 px (a 16 x 16 grid
under windows of 14) that is two thirds of the tokens of every windowed block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.hosts.base import Host
from segsam.model.hosts.preparation import normalise_by_imagenet
from segsam.model.sam import ImageEncoderViT, build_mask_decoder, build_prompt_encoder


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
    """Blocks with attention over the whole grid; the others attend within windows."""
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
        """Encode prepared images (B, 3, S, S): embedding (B, C, h, w)."""
        tokens = self.embed(images)
        for block in self.blocks:
            tokens = self.run_block(block, tokens)
        return self.finish(tokens)

    def embed(self, images: Tensor) -> Tensor:
        """Return patches plus their positions, (B, h, w, dim)."""
        tokens: Tensor = self.patch_embed(images)
        return tokens + self.positions()

    def positions(self) -> Tensor:
        """Return the absolute positions of the grid, (1, h, w, dim)."""
        positions: Tensor = self.pos_embed
        return positions

    def run_block(self, block: Any, tokens: Tensor) -> Tensor:
        """Run one transformer block on (B, h, w, dim)."""
        tokens = tokens + attend(block, block.norm1(tokens))
        out: Tensor = tokens + block.mlp(block.norm2(tokens))
        return out

    def finish(self, tokens: Tensor) -> Tensor:
        """Run the neck: (B, h, w, dim) -> (B, C, h, w)."""
        embedding: Tensor = self.neck(tokens.permute(0, 3, 1, 2))
        return embedding


class AdaptedTransformer(VisionTransformer):
    """SAM's ViT, frozen, with adapters in every block that train."""

    def __init__(self, sizes: VitSizes, adapters: Mapping[str, Callable[[], nn.Module]]) -> None:
        """`adapters` are built for every block, under their names; `run_block` uses them."""
        super().__init__(sizes)
        self.requires_grad_(False)
        for block in self.blocks:
            for name, build in adapters.items():
                block.add_module(name, build())


def attend(block: Any, tokens: Tensor) -> Tensor:
    """Run the attention of SAM's `block`, windowed or global, on normalised tokens (B, h, w, dim).

    A grid that is no multiple of the window is cut into up to four parts, so that all windows of a
    part are cut off in the same way (or not at all).
    """
    attention, window = block.attn, block.window_size
    qkv = attention.qkv(tokens)
    if not window:
        mixed = _mix(attention, qkv, qkv.shape[1:3])
    else:
        bands = [
            torch.cat(
                [_mix_windows(attention, part, window) for part in _split(band, window, 2)], 2
            )
            for band in _split(qkv, window, 1)
        ]
        mixed = torch.cat(bands, 1)
    out: Tensor = attention.proj(mixed)
    return out


def _split(grid: Tensor, window: int, axis: int) -> tuple[Tensor, ...]:
    """Split a grid along an axis into the part under whole windows and the rest, if not empty."""
    length = grid.shape[axis]
    rest = length % window
    pieces = [cells for cells in (length - rest, rest) if cells]
    return tuple(grid.narrow(axis, sum(pieces[:k]), cells) for k, cells in enumerate(pieces))


def _mix_windows(attention: Any, qkv: Tensor, window: int) -> Tensor:
    """Run `_mix` on all windows of a part of the grid: (B, y, x, 3 * dim) -> (B, y, x, dim)."""
    batch, height, width, channels = qkv.shape
    y, x = min(height, window), min(width, window)
    cut = qkv.reshape(batch, height // y, y, width // x, x, channels).transpose(2, 3)
    mixed = _mix(attention, cut.reshape(-1, y, x, channels), (window, window))
    mixed = mixed.view(batch, height // y, width // x, y, x, -1).transpose(2, 3)
    return mixed.reshape(batch, height, width, -1)


def _mix(attention: Any, qkv: Tensor, sides: Sequence[int]) -> Tensor:
    """Run attention with relative positions: (n, y, x, 3 * dim) -> (n, y, x, dim).

    `sides` are those of the whole window, of which y rows and x columns lie on the grid.
    """
    n, height, width, channels = qkv.shape
    heads, dim = attention.num_heads, channels // 3
    q = qkv[..., :dim].reshape(n, height, width, heads, -1).permute(0, 3, 1, 2, 4)
    filled = _fill(qkv[..., dim:], attention.qkv.bias[dim:], sides)
    k, v = filled.reshape(n, sides[0] * sides[1], 2, heads, -1).permute(2, 0, 3, 1, 4)
    bias = _position_bias(attention, q, sides)
    mixed = F.scaled_dot_product_attention(q.flatten(2, 3), k, v, attn_mask=bias)
    return mixed.transpose(1, 2).reshape(n, height, width, dim)


def _fill(grid: Tensor, filling: Tensor, sides: Sequence[int]) -> Tensor:
    """Fill (n, y, x, c) up to (n, *sides, c) at the bottom and right with `filling` (c,)."""
    n, height, width, channels = grid.shape
    if width < sides[1]:
        grid = torch.cat([grid, filling.expand(n, height, sides[1] - width, channels)], dim=2)
    if height < sides[0]:
        grid = torch.cat([grid, filling.expand(n, sides[0] - height, sides[1], channels)], dim=1)
    return grid


def _position_bias(attention: Any, q: Tensor, sides: Sequence[int]) -> Tensor:
    """Compute the attention bias of each query for the row and the column of each key.

    Queries (n, heads, y, x, c) -> (n, heads, y * x, keys).
    """
    n, heads, height, width, _ = q.shape
    row_table = _relative_positions(attention.rel_pos_h, sides[0])[:height]
    column_table = _relative_positions(attention.rel_pos_w, sides[1])[:width]
    rows = torch.einsum("nhyxc,ykc->nhyxk", q, row_table)
    columns = torch.einsum("nhyxc,xkc->nhyxk", q, column_table)
    bias = rows[..., :, None] + columns[..., None, :]
    return bias.reshape(n, heads, height * width, sides[0] * sides[1])


def _relative_positions(table: Tensor, length: int) -> Tensor:
    """Return the rows of `table` (2 * length - 1, c) by offset: (query, key, c), `length` each."""
    position = torch.arange(length, device=table.device)
    return table[position[:, None] - position + length - 1]


class VitHost(Host):
    """A host with an encoder on ViT, SAM's prompt encoder, mask decoder and normalisation."""

    def __init__(self, sizes: VitSizes, image_encoder: nn.Module) -> None:
        super().__init__()
        self.facts = replace(
            self.facts, input_size=sizes.input_size, grid=sizes.grid, embed_dim=sizes.embed_dim
        )
        self.image_encoder = image_encoder
        self.prompt_encoder = build_prompt_encoder(sizes.embed_dim, sizes.grid, sizes.input_size)
        self.mask_decoder = build_mask_decoder(sizes.embed_dim, sizes.decoder_mlp)

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Normalise a resized slice (h_px, w_px, 3), then pad it to float32 (3, S, S)."""
        return normalise_by_imagenet(image, self.facts.input_size)
