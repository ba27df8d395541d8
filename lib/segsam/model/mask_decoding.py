"""SAM's mask decoder, run on its own weights in the memory order that suits a CPU.

The arithmetic is that of `MaskDecoder.predict_masks` (segment-anything, modeling/mask_decoder.py);
results differ by rounding, below 1e-6 of the largest value. What differs is that a pixel's channels
stay side by side throughout, that a transposed convolution of stride 2 is one matrix product, and
that masks nobody asked for are not drawn. For one prompt on a 64 x 64 grid this halves the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.two_way import Source, Untouched, two_way


def decode_masks(
    decoder: Any, source: Source, image_pe: Tensor, prompt_tokens: Tensor, *, multimask: bool
) -> tuple[Tensor, Tensor]:
    """Masks of P prompts of one image.

    Args:
        decoder: SAM's `MaskDecoder`.
        source: image embedding plus dense prompt.
        image_pe: positions of the grid, (1, C, h, w).
        prompt_tokens: (P, N, C).
        multimask: three masks for an ambiguous prompt instead of one.

    Returns:
        logits (P, M, 4h, 4w) and predicted IoU (P, M); M is 1 or 3.
    """
    tokens, upscaled = attend(decoder, source, image_pe, prompt_tokens)
    drawn = range(1, decoder.num_mask_tokens) if multimask else range(1)
    kernels = [decoder.output_hypernetworks_mlps[mask](tokens[:, 1 + mask]) for mask in drawn]
    logits = torch.einsum("pmc,pyxc->pmyx", torch.stack(kernels, dim=1), upscaled)
    iou: Tensor = decoder.iou_prediction_head(tokens[:, 0])
    return logits, iou[:, drawn.start : drawn.stop]


def best_mask(logits: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
    """Of M masks (P, M, 4h, 4w) the one of the highest predicted IoU (P, M), each (P, 1, ...)."""
    best = iou.argmax(dim=1, keepdim=True)
    chosen = logits.take_along_dim(best[:, :, None, None], dim=1)
    return chosen, iou.take_along_dim(best, dim=1)


def attend(
    decoder: Any, source: Source, image_pe: Tensor, prompt_tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """The decoder up to its masks.

    Returns:
        tokens (P, 1 + num_mask_tokens + N, C), the decoder's own before the prompts', and the
        upscaled embedding (P, 4h, 4w, C / 8).
    """
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(len(prompt_tokens), -1, -1), prompt_tokens], dim=1)
    tokens, pixels = refine(decoder.transformer, source, image_pe, tokens)
    return tokens, upscale(decoder.output_upscaling, pixels)


def refine(
    transformer: nn.Module, source: Source, image_pe: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Two-way attention between tokens (P, N, C) and image, see `two_way`.

    Returns:
        tokens (P, N, C) and pixels (P, h, w, C).
    """
    _, dim, height, width = image_pe.shape
    if not isinstance(source, Untouched):
        source = source.contiguous(memory_format=torch.channels_last)
    image_pe = image_pe.contiguous(memory_format=torch.channels_last)
    refined, pixels = two_way(transformer, source, image_pe, tokens)
    return refined, pixels.reshape(len(tokens), height, width, dim)


def upscale(upscaling: nn.Sequential, pixels: Tensor) -> Tensor:
    """SAM's upscaling to four times the size: (P, h, w, C) -> (P, 4h, 4w, C / 8)."""
    norm: Any = upscaling[1]
    pixels = _doubled(upscaling[0], pixels)
    pixels = F.layer_norm(pixels, norm.weight.shape, norm.weight, norm.bias, norm.eps)
    return F.gelu(_doubled(upscaling[3], F.gelu(pixels)))


def _doubled(convolution: Any, pixels: Tensor) -> Tensor:
    """A transposed convolution of kernel and stride 2: each pixel becomes its own 2 x 2 block."""
    prompts, height, width, dim = pixels.shape
    outputs: int = convolution.out_channels
    kernel = convolution.weight.permute(0, 2, 3, 1).reshape(dim, 4 * outputs)
    blocks: Tensor = pixels @ kernel + convolution.bias.repeat(4)
    blocks = blocks.view(prompts, height, width, 2, 2, outputs).transpose(2, 3)
    return blocks.reshape(prompts, 2 * height, 2 * width, outputs)
