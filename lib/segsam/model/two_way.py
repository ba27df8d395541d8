"""SAM's two-way transformer on its own weights, with the image projected once for all prompts.

The arithmetic is that of `TwoWayTransformer` (segment-anything, modeling/transformer.py), which
equation 5 of the paper reuses. SAM repeats the image for every prompt. But in the first layer the
image has not met any prompt token yet, so its keys, values and queries are the same for all
prompts: here they are computed once for an image, and a `SharedImage` stores them from one click
to the next.

A linear layer of concatenated tokens is the concatenation of linear layers. So tokens can attend to
the shared image and to their own prompt together, and the image is still projected only once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeysValues(NamedTuple):
    """Keys and values of an attention, split into heads: each (b, heads, n, c / heads)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False)
class ImageProjections:
    """Image at the input of one layer, with the layer's projections of it."""

    pixels: Tensor
    """(b, h * w, C)."""
    keys_values: KeysValues
    """Read by the tokens."""
    queries: Tensor
    """With them the pixels read the tokens; (b, heads, h * w, c / heads)."""


class SharedImage:
    """Image embedding plus the dense prompt that all prompts share, before any token changed it.

    It stores its projections by the first layer of each transformer. The weights of those layers
    (`first_layer_weights`) must not change while it is in use.
    """

    def __init__(self, source: Tensor, image_pe: Tensor) -> None:
        """`source` and positions are (1, C, h, w)."""
        self.source = source.contiguous(memory_format=torch.channels_last)
        self.image_pe = image_pe
        self._projections: dict[int, ImageProjections] = {}

    def first_layer(self, transformer: Any) -> ImageProjections:
        """Return the projections by the first layer of one of the model's transformers."""
        found = self._projections.get(id(transformer))
        if found is None:
            positions = self.image_pe.contiguous(memory_format=torch.channels_last)
            found = _project(transformer.layers[0], _pixels(self.source), _pixels(positions))
            self._projections[id(transformer)] = found
        return found


ImageSource: TypeAlias = Tensor | SharedImage
"""Image embedding plus dense prompt: (P, C, h, w), or (1, C, h, w) if all prompts share it."""


def first_layer_weights(transformer: Any) -> Iterator[nn.Parameter]:
    """Yield the weights that `SharedImage.first_layer` depends on."""
    layer = transformer.layers[0]
    to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
    for part in (to_image.k_proj, to_image.v_proj, to_tokens.q_proj):
        yield from part.parameters()


def layer_state(layer: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a two-way block under SAM's names; SAM 2 has others for the MLP."""
    return {
        key.replace("mlp.layers.0.", "mlp.lin1.").replace("mlp.layers.1.", "mlp.lin2."): value
        for key, value in layer.state_dict().items()
    }


def two_way(
    transformer: Any, source: ImageSource, image_pe: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Refine tokens by the image and the image by the tokens.

    Args:
        transformer: SAM's `TwoWayTransformer`.
        source: image embedding plus dense prompt.
        image_pe: positions of the grid, (1, C, h, w).
        tokens: (P, N, C).

    Returns:
        tokens (P, N, C) and pixels (P, h * w, C).
    """
    queries, positions = tokens, _pixels(image_pe)
    if isinstance(source, SharedImage):
        image = source.first_layer(transformer)
    else:
        image = _project(transformer.layers[0], _pixels(source), positions)
    pixels = image.pixels
    for number, layer in enumerate(transformer.layers):
        if number:  # from here on, pixels differ from prompt to prompt
            image = _project(layer, pixels, positions)
        queries, pixels = _layer(layer, queries, tokens, image)
    last = transformer.final_attn_token_to_image
    seen = keys_values(last, pixels + positions, pixels)
    queries = queries + attend(last, queries + tokens, seen)
    return transformer.norm_final_attn(queries), pixels


def keys_values(attention: Any, keys: Tensor, values: Tensor) -> KeysValues:
    """Project keys and values (b, n, C) by SAM's `Attention`."""
    keys, values = attention.k_proj(keys), attention.v_proj(values)
    return KeysValues(_split_heads(attention, keys), _split_heads(attention, values))


def attend(attention: Any, queries: Tensor, *seen: KeysValues) -> Tensor:
    """Run SAM's `Attention` of queries (b, n, C) over one or more sets of keys and values.

    Sets of batch size 1 are shared by all P prompts of the others.
    """
    return _attend_heads(attention, _split_heads(attention, attention.q_proj(queries)), *seen)


def _attend_heads(attention: Any, queries: Tensor, *seen: KeysValues) -> Tensor:
    """Run `attend` for queries that are projected already, (b, heads, n, c / heads)."""
    keys = _concatenate([each.keys for each in seen])
    values = _concatenate([each.values for each in seen])
    prompts = max(len(queries), len(keys))
    queries, keys, values = (one.expand(prompts, -1, -1, -1) for one in (queries, keys, values))
    mixed = F.scaled_dot_product_attention(queries, keys, values)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def _project(layer: Any, pixels: Tensor, positions: Tensor) -> ImageProjections:
    """Project pixels (b, h * w, C) for both cross-attentions of a layer.

    Positions are added to keys and queries, never to values (as in SAM).
    """
    placed, to_tokens = pixels + positions, layer.cross_attn_image_to_token
    seen = keys_values(layer.cross_attn_token_to_image, placed, pixels)
    return ImageProjections(pixels, seen, _split_heads(to_tokens, to_tokens.q_proj(placed)))


def _layer(
    layer: Any, queries: Tensor, tokens: Tensor, image: ImageProjections
) -> tuple[Tensor, Tensor]:
    """Run SAM's `TwoWayAttentionBlock`: tokens (P, N, C) and pixels (P, h * w, C).

    `tokens` are those at the transformer's input. SAM adds them to the queries of every layer, as
    the positional encoding of the prompts; the first layer's self-attention goes without.
    """
    own, to_tokens = layer.self_attn, layer.cross_attn_image_to_token
    if layer.skip_first_layer_pe:
        queries = attend(own, queries, keys_values(own, queries, queries))
    else:
        placed = queries + tokens
        queries = queries + attend(own, placed, keys_values(own, placed, queries))
    queries = layer.norm1(queries)
    to_image = layer.cross_attn_token_to_image
    queries = queries + attend(to_image, queries + tokens, image.keys_values)
    queries = layer.norm2(queries)
    queries = layer.norm3(queries + layer.mlp(queries))
    seen = keys_values(to_tokens, queries + tokens, queries)
    change = _attend_heads(to_tokens, image.queries, seen)
    return queries, layer.norm4(image.pixels + change)


def _pixels(grid: Tensor) -> Tensor:
    """(b, C, h, w) -> (b, h * w, C)."""
    return grid.flatten(2).transpose(1, 2)


def _split_heads(attention: Any, projected: Tensor) -> Tensor:
    """(b, n, c) -> (b, heads, n, c / heads)."""
    images, length, _ = projected.shape
    return projected.reshape(images, length, attention.num_heads, -1).transpose(1, 2)


def _concatenate(parts: list[Tensor]) -> Tensor:
    """Join parts along the tokens; parts of batch size 1 are repeated for every prompt."""
    if len(parts) == 1:
        return parts[0]
    prompts = max(len(part) for part in parts)
    return torch.cat([part.expand(prompts, -1, -1, -1) for part in parts], dim=2)
