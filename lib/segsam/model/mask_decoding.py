"""SAM's mask decoder, run on its own weights in the memory order that suits a CPU.

The arithmetic is that of `MaskDecoder.predict_masks` (segment-anything, modeling/mask_decoder.py);
results differ by rounding, below 1e-6 of the largest value. Three things differ: the channels of a
pixel stay side by side in memory throughout; a transposed convolution of stride 2 is computed as
one matrix product; and only the masks that are requested are drawn. For one prompt on a 64 x 64
grid this halves the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.two_way import ImageSource, SharedImage, two_way


def decode_masks(
    decoder: Any, source: ImageSource, image_pe: Tensor, prompt_tokens: Tensor, *, multimask: bool
) -> tuple[Tensor, Tensor]:
    """Decode the masks of P prompts of one image.

    Args:
        decoder: SAM's `MaskDecoder`.
        source: image embedding plus dense prompt.
        image_pe: positions of the grid, (1, C, h, w).
        prompt_tokens: (P, N, C).
        multimask: three masks for an ambiguous prompt instead of one.

    Returns:
        logits (P, M, 4h, 4w) and predicted IoU (P, M); M is 1 or 3.
    """
    tokens, upscaled = attend_and_upscale(decoder, source, image_pe, prompt_tokens)
    return draw_masks(decoder, tokens, upscaled, multimask=multimask)


def draw_masks(
    decoder: Any, tokens: Tensor, upscaled: Tensor, *, multimask: bool
) -> tuple[Tensor, Tensor]:
    """Draw the masks from the output of `attend_and_upscale`; result as of `decode_masks`."""
    # SAM has four mask tokens: the first for a single mask, the others for the three candidates.
    drawn = range(1, decoder.num_mask_tokens) if multimask else range(1)
    kernels = [decoder.output_hypernetworks_mlps[mask](tokens[:, 1 + mask]) for mask in drawn]
    logits = torch.einsum("pmc,pyxc->pmyx", torch.stack(kernels, dim=1), upscaled)
    iou: Tensor = decoder.iou_prediction_head(tokens[:, 0])
    return logits, iou[:, drawn.start : drawn.stop]


def best_mask(logits: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the mask of the highest predicted IoU.

    Masks (P, M, 4h, 4w) and predicted IoU (P, M) -> mask (P, 1, 4h, 4w) and its IoU (P, 1).
    """
    best = iou.argmax(dim=1, keepdim=True)
    chosen = logits.take_along_dim(best[:, :, None, None], dim=1)
    return chosen, iou.take_along_dim(best, dim=1)


def attend_and_upscale(
    decoder: Any, source: ImageSource, image_pe: Tensor, prompt_tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Run SAM's `MaskDecoder` up to the drawing of masks; arguments as of `decode_masks`.

    Returns:
        tokens (P, 1 + num_mask_tokens + N, C), the decoder's own before the prompts', and the
        upscaled embedding (P, 4h, 4w, C / 8).
    """
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(len(prompt_tokens), -1, -1), prompt_tokens], dim=1)
    tokens, pixels = refine(decoder.transformer, source, image_pe, tokens)
    return tokens, upscale(decoder.output_upscaling, pixels)


def refine(
    transformer: nn.Module, source: ImageSource, image_pe: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Run two-way attention between tokens (P, N, C) and image; see `two_way`.

    Returns:
        tokens (P, N, C) and pixels (P, h, w, C).
    """
    _, dim, height, width = image_pe.shape
    if not isinstance(source, SharedImage):
        source = source.contiguous(memory_format=torch.channels_last)
    image_pe = image_pe.contiguous(memory_format=torch.channels_last)
    refined, pixels = two_way(transformer, source, image_pe, tokens)
    return refined, pixels.reshape(len(tokens), height, width, dim)


def upscale(
    upscaling: nn.Sequential, pixels: Tensor, finer: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Run SAM's upscaling to four times the size: (P, h, w, C) -> (P, 4h, 4w, C / 8).

    `finer` are maps of the image that SAM 2 adds on the way: (1, C / 8, 4h, 4w), which comes last,
    and (1, C / 4, 2h, 2w).
    """
    norm: Any = upscaling[1]
    pixels = _double(upscaling[0], pixels)
    if finer is not None:
        pixels = pixels + finer[1].permute(0, 2, 3, 1)
    pixels = F.layer_norm(pixels, norm.weight.shape, norm.weight, norm.bias, norm.eps)
    pixels = _double(upscaling[3], F.gelu(pixels))
    if finer is not None:
        pixels = pixels + finer[0].permute(0, 2, 3, 1)
    return F.gelu(pixels)


def _double(convolution: Any, pixels: Tensor) -> Tensor:
    """Run a transposed convolution of kernel 2 and stride 2 as one matrix product.

    Kernel and stride are equal, so the outputs do not overlap: each pixel becomes its own 2 x 2
    block, (P, h, w, C) -> (P, 2h, 2w, outputs).
    """
    prompts, height, width, dim = pixels.shape
    outputs: int = convolution.out_channels
    kernel = convolution.weight.permute(0, 2, 3, 1).reshape(dim, 4 * outputs)
    blocks: Tensor = pixels @ kernel + convolution.bias.repeat(4)
    blocks = blocks.view(prompts, height, width, 2, 2, outputs).transpose(2, 3)
    return blocks.reshape(prompts, 2 * height, 2 * width, outputs)
