"""SAM's two-way transformer on its own weights, with the image projected once for all prompts.

The arithmetic is that of `TwoWayTransformer` (segment-anything, modeling/transformer.py). Until
tokens have looked at it, the image is the same for every prompt: what the first layer makes of it
(keys and values for the tokens, queries of its own) is computed for the image and not for each
prompt, and kept with an `Untouched` image from one click to the next. A linear layer of joined
parts is the joined linear layers, which serves where tokens look at an image and at prompts
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Side(NamedTuple):
    """What can be attended to: keys and values by heads, each (b, heads, n, c / heads)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False)
class Look:
    """The image in one layer, before it meets that layer's tokens."""

    pixels: Tensor
    """(b, h * w, C)."""
    side: Side
    """What tokens attend to."""
    asked: Tensor
    """Queries of the pixels by heads, (b, heads, h * w, c / heads)."""


class Untouched:
    """An image that no prompt has touched: the embedding with the dense prompt that all share.

    It remembers what the first layer of each transformer makes of it, so the weights of those
    layers (`first_weights`) must not change as long as it is in use.
    """

    def __init__(self, source: Tensor, image_pe: Tensor) -> None:
        """`source` and positions, each (1, C, h, w)."""
        self.source = source.contiguous(memory_format=torch.channels_last)
        self.image_pe = image_pe
        self._looks: dict[int, Look] = {}

    def first(self, transformer: Any) -> Look:
        """What the first layer of a transformer of the same model makes of it."""
        found = self._looks.get(id(transformer))
        if found is None:
            places = self.image_pe.contiguous(memory_format=torch.channels_last)
            found = _look(transformer.layers[0], _rows(self.source), _rows(places))
            self._looks[id(transformer)] = found
        return found


Source = Tensor | Untouched
"""Image embedding plus dense prompt: (P, C, h, w), or what all prompts share, (1, C, h, w)."""


def first_weights(transformer: Any) -> Iterator[nn.Parameter]:
    """The weights that `Untouched.first` depends on."""
    layer = transformer.layers[0]
    to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
    for part in (to_image.k_proj, to_image.v_proj, to_tokens.q_proj):
        yield from part.parameters()


def two_way(
    transformer: Any, source: Source, image_pe: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Tokens and image refine each other.

    Args:
        transformer: SAM's `TwoWayTransformer`.
        source: image embedding plus dense prompt.
        image_pe: positions of the grid, (1, C, h, w).
        tokens: (P, N, C).

    Returns:
        tokens (P, N, C) and pixels (P, h * w, C).
    """
    queries, places = tokens, _rows(image_pe)
    if isinstance(source, Untouched):
        look = source.first(transformer)
    else:
        look = _look(transformer.layers[0], _rows(source), places)
    pixels = look.pixels
    for number, layer in enumerate(transformer.layers):
        if number:
            look = _look(layer, pixels, places)
        queries, pixels = _layer(layer, queries, tokens, look)
    last = transformer.final_attn_token_to_image
    seen = side_of(last, pixels + places, pixels)
    queries = queries + attended(last, queries + tokens, seen)
    return transformer.norm_final_attn(queries), pixels


def side_of(attention: Any, keys: Tensor, values: Tensor) -> Side:
    """What SAM's `Attention` makes of keys and values (b, n, C)."""
    keys, values = attention.k_proj(keys), attention.v_proj(values)
    return Side(_heads(attention, keys), _heads(attention, values))


def attended(attention: Any, queries: Tensor, *sides: Side) -> Tensor:
    """SAM's `Attention` of queries (b, n, C) over one or more sides.

    Whatever has a first side of 1 is shared by all of the P others.
    """
    return _mixed(attention, _heads(attention, attention.q_proj(queries)), *sides)


def _mixed(attention: Any, asked: Tensor, *sides: Side) -> Tensor:
    keys = _joined([side.keys for side in sides])
    values = _joined([side.values for side in sides])
    prompts = max(len(asked), len(keys))
    asked, keys, values = (one.expand(prompts, -1, -1, -1) for one in (asked, keys, values))
    mixed = F.scaled_dot_product_attention(asked, keys, values)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def _look(layer: Any, pixels: Tensor, places: Tensor) -> Look:
    seen, to_tokens = pixels + places, layer.cross_attn_image_to_token
    side = side_of(layer.cross_attn_token_to_image, seen, pixels)
    return Look(pixels, side, _heads(to_tokens, to_tokens.q_proj(seen)))


def _layer(layer: Any, queries: Tensor, tokens: Tensor, look: Look) -> tuple[Tensor, Tensor]:
    """`TwoWayAttentionBlock`: tokens (P, N, C) and pixels (P, h * w, C)."""
    own, to_tokens = layer.self_attn, layer.cross_attn_image_to_token
    if layer.skip_first_layer_pe:
        queries = attended(own, queries, side_of(own, queries, queries))
    else:
        placed = queries + tokens
        queries = queries + attended(own, placed, side_of(own, placed, queries))
    queries = layer.norm1(queries)
    queries = queries + attended(layer.cross_attn_token_to_image, queries + tokens, look.side)
    queries = layer.norm2(queries)
    queries = layer.norm3(queries + layer.mlp(queries))
    answer = _mixed(to_tokens, look.asked, side_of(to_tokens, queries + tokens, queries))
    return queries, layer.norm4(look.pixels + answer)


def _rows(grid: Tensor) -> Tensor:
    """(b, C, h, w) -> (b, h * w, C)."""
    return grid.flatten(2).transpose(1, 2)


def _heads(attention: Any, projected: Tensor) -> Tensor:
    """(b, n, c) -> (b, heads, n, c / heads)."""
    images, length, _ = projected.shape
    return projected.reshape(images, length, attention.num_heads, -1).transpose(1, 2)


def _joined(parts: list[Tensor]) -> Tensor:
    """Along the tokens, what is shared repeated for those that are not."""
    if len(parts) == 1:
        return parts[0]
    prompts = max(len(part) for part in parts)
    return torch.cat([part.expand(prompts, -1, -1, -1) for part in parts], dim=2)
