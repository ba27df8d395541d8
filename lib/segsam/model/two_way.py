"""SAM's two-way transformer on its own weights, with the image projected once for all prompts.

The arithmetic is that of `TwoWayTransformer` (segment-anything, modeling/transformer.py). Until
tokens have looked at it, the image is the same for every prompt: what the first layer makes of it
(keys and values for the tokens, queries of its own) is computed for the image and not for each
prompt. A linear layer of joined parts is the joined linear layers, which serves where tokens look
at an image and at prompts together.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def two_way(
    transformer: Any, source: Tensor, image_pe: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Tokens and image refine each other.

    Args:
        transformer: SAM's `TwoWayTransformer`.
        source: image embedding plus dense prompt, (1, C, h, w) if all prompts share it, else
            (P, C, h, w).
        image_pe: positions of the grid, (1, C, h, w).
        tokens: (P, N, C).

    Returns:
        tokens (P, N, C) and pixels (P, h * w, C).
    """
    queries, keys = tokens, source.flatten(2).transpose(1, 2)
    places = image_pe.flatten(2).transpose(1, 2)
    for layer in transformer.layers:
        queries, keys = _layer(layer, queries, keys, tokens, places)
    last = transformer.final_attn_token_to_image
    queries = queries + attended(last, queries + tokens, (keys + places, keys))
    return transformer.norm_final_attn(queries), keys


def attended(attention: Any, queries: Tensor, *parts: tuple[Tensor, Tensor]) -> Tensor:
    """SAM's `Attention` of queries over one or more parts, each with keys and values (b, n, C).

    Whatever has a first side of 1 is projected once, and then shared by all of the P others.
    """
    asked = _heads(attention, attention.q_proj(queries))
    keys = _joined([_heads(attention, attention.k_proj(keys)) for keys, _ in parts])
    values = _joined([_heads(attention, attention.v_proj(values)) for _, values in parts])
    prompts = max(len(asked), len(keys))
    asked, keys, values = (one.expand(prompts, -1, -1, -1) for one in (asked, keys, values))
    mixed = F.scaled_dot_product_attention(asked, keys, values)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def _layer(
    layer: Any, queries: Tensor, keys: Tensor, tokens: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """`TwoWayAttentionBlock`; `keys` are (1, h * w, C) before the first, (P, h * w, C) after it."""
    if layer.skip_first_layer_pe:
        queries = attended(layer.self_attn, queries, (queries, queries))
    else:
        placed = queries + tokens
        queries = queries + attended(layer.self_attn, placed, (placed, queries))
    queries = layer.norm1(queries)
    seen = keys + places
    queries = queries + attended(layer.cross_attn_token_to_image, queries + tokens, (seen, keys))
    queries = layer.norm2(queries)
    queries = layer.norm3(queries + layer.mlp(queries))
    answer = attended(layer.cross_attn_image_to_token, seen, (queries + tokens, queries))
    return queries, layer.norm4(keys + answer)


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
