"""What SAM-UNet is built of besides SAM: a residual branch, changes of shape, a fusing decoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segsam.model.mask_decoding import refine, upscale
from segsam.model.sam import MLP, LayerNorm2d
from segsam.model.two_way import Source

_SMALLEST = 1e-6


class NamedPromptEncoder(nn.Module):
    """SAM's prompt encoder under the name that the published file gives it."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.sam_prompt_encoder = encoder

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """As SAM's: prompt tokens (P, N, C) and the dense prompt (P, C, h, w)."""
        tokens, dense = self.sam_prompt_encoder(points, boxes, masks)
        return tokens, dense

    def get_dense_pe(self) -> Tensor:
        """Positions of the grid, (1, C, h, w)."""
        positions: Tensor = self.sam_prompt_encoder.get_dense_pe()
        return positions


class FusingDecoder(nn.Module):
    """SAM's two-way transformer and upscaling with one token of its own, and finer maps added.

    There is no head for the predicted IoU. To the semantic decoder it shows SAM's names, so that
    this one can start from it.
    """

    def __init__(self, sam_decoder: Any, dim: int) -> None:
        super().__init__()
        self.sam_mask_decoder = nn.ModuleDict(
            {
                "transformer": sam_decoder.transformer,
                "output_upscaling": sam_decoder.output_upscaling,
            }
        )
        self.med_token = nn.Embedding(1, dim)
        self.hf_mlp = MLP(dim, dim, dim // 8, 3)
        self.embedding_maskfeature = nn.Sequential(
            nn.Conv2d(dim // 8, dim // 4, 3, padding=1),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, dim // 8, 3, padding=1),
        )

    def forward(
        self, source: Source, image_pe: Tensor, prompt_tokens: Tensor, detail: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks of P prompts of one image.

        Args:
            source: image embedding plus dense prompt.
            image_pe: positions of the grid, (1, C, h, w).
            prompt_tokens: (P, N, C).
            detail: the finer maps, (1, C / 8, 4h, 4w).

        Returns:
            logits (P, 1, 4h, 4w), and (P, 1) what `expected_iou` makes of them.
        """
        own = self.med_token.weight.expand(len(prompt_tokens), -1, -1)
        tokens = torch.cat([own, prompt_tokens], dim=1)
        tokens, pixels = refine(self.transformer, source, image_pe, tokens)
        upscaled = upscale(self.output_upscaling, pixels).permute(0, 3, 1, 2)
        fused = self.embedding_maskfeature(upscaled) + detail
        logits = torch.einsum("pc,pcyx->pyx", self.hf_mlp(tokens[:, 0]), fused).unsqueeze(1)
        return logits, expected_iou(logits)

    @property
    def transformer(self) -> Any:
        """SAM's two-way transformer."""
        return self.sam_mask_decoder["transformer"]

    @property
    def output_upscaling(self) -> Any:
        """SAM's upscaling."""
        return self.sam_mask_decoder["output_upscaling"]

    @property
    def mask_tokens(self) -> nn.Embedding:
        """The one token."""
        return self.med_token

    @property
    def output_hypernetworks_mlps(self) -> list[Any]:
        """The one network from token to mask."""
        return [self.hf_mlp]


def expected_iou(logits: Tensor) -> Tensor:
    """The IoU that a mask's own probabilities promise: (P, 1, y, x) -> (P, 1), without gradient.

    Expected intersection of the thresholded mask with the object over their expected union, pixels
    taken as independent.
    """
    probability = logits.detach().sigmoid()
    inside = probability > 0.5
    intersection = (probability * inside).sum(dim=(2, 3))
    union = inside.sum(dim=(2, 3)) + (probability * ~inside).sum(dim=(2, 3))
    return intersection / union.clamp_min(_SMALLEST)


def residual_branch(
    blocks: tuple[int, int, int, int], *, bottlenecks: bool
) -> tuple[nn.ModuleDict, list[int]]:
    """A ResNet as stages 0 (to stride 4) to 4 (stride 32), and the widths of stages 1 to 4.

    torchvision is only imported here: it takes two seconds, and no other host needs it.
    """
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    block = Bottleneck if bottlenecks else BasicBlock
    parts = ResNet(block, list(blocks))
    stem = nn.Sequential(parts.conv1, parts.bn1, parts.relu, parts.maxpool)
    stages = {"stage0": stem} | {f"stage{n}": getattr(parts, f"layer{n}") for n in range(1, 5)}
    return nn.ModuleDict(stages), [width * block.expansion for width in (64, 128, 256, 512)]


def reshaper(width: int, dim: int, *, halvings: int) -> nn.Sequential:
    """A map of the branch in the ViT's shape: (B, width, y, x) -> (B, dim, y / 2^n, x / 2^n).

    Each halving of the sides doubles the width; -1 halvings double the sides and halve the width.
    """
    layers: list[nn.Module] = []
    for _ in range(halvings):
        layers += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)]
        layers += [LayerNorm2d(2 * width), nn.GELU()]
        width *= 2
    if halvings < 0:
        layers += [nn.ConvTranspose2d(width, width // 2, 2, stride=2)]
        layers += [LayerNorm2d(width // 2), nn.GELU()]
        width //= 2
    return _kaiming(nn.Sequential(*layers, nn.Conv2d(width, dim, 1)))


def drawn_up(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """To four times the size: (B, inputs, y, x) -> (B, outputs, 4y, 4x)."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, hidden, 2, stride=2),
        LayerNorm2d(hidden),
        nn.GELU(),
        nn.ConvTranspose2d(hidden, outputs, 2, stride=2),
    )


def _kaiming(layers: nn.Sequential) -> nn.Sequential:
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return layers
