"""SAM-UNet: a convolutional branch beside SAM's frozen ViT-B at 256 px, and a mask decoder that
reads several scales.

"SAM-UNet: enhancing zero-shot segmentation of SAM for universal medical images" (arXiv 2408.09886,
2024). Its code has no licence; this is written from a description of the method alone. Parameter
counts agree with the published ones (29.35 million trainable with ResNet-34, 51.76 with ResNet-50);
inside `resnet.stage*`, `adapters_*`, `embedding_encoder` and `embedding_maskfeature` the names are
ours, because the description has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from segsam.model.hosts.base import HostFacts
from segsam.model.hosts.vit import VisionTransformer, VitHost, VitSizes
from segsam.model.mask_decoding import refine, upscale
from segsam.model.sam import MLP, LayerNorm2d
from segsam.model.two_way import ImageSource

_SAM_PARTS = {
    "image_encoder": "sam_img_encoder",
    "prompt_encoder": "sam_prompt_encoder",
    "mask_decoder": "sam_mask_decoder",
}
"""Names of SAM's parts inside of this host's, as in the published file."""
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
        """Encode prompts as SAM does: tokens (P, N, C) and the dense prompt (P, C, h, w)."""
        tokens, dense = self.sam_prompt_encoder(points, boxes, masks)
        return tokens, dense

    def get_dense_pe(self) -> Tensor:
        """Return the positions of the grid, (1, C, h, w)."""
        positions: Tensor = self.sam_prompt_encoder.get_dense_pe()
        return positions


class FusingDecoder(nn.Module):
    """SAM's two-way transformer and upscaling, with one token of its own and finer maps added.

    There is no head for the predicted IoU. Its properties have the names of SAM's `MaskDecoder`,
    because the semantic decoder starts from them.
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
        self, source: ImageSource, image_pe: Tensor, prompt_tokens: Tensor, detail: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode the masks of P prompts of one image.

        Args:
            source: image embedding plus dense prompt.
            image_pe: positions of the grid, (1, C, h, w).
            prompt_tokens: (P, N, C).
            detail: the finer maps, (1, C / 8, 4h, 4w).

        Returns:
            logits (P, 1, 4h, 4w), and their `expected_iou` (P, 1).
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
        """The decoder's one token."""
        return self.med_token

    @property
    def output_hypernetworks_mlps(self) -> list[Any]:
        """The one network from token to mask."""
        return [self.hf_mlp]


class SamUnet(VitHost):
    """116.02 million parameters with ResNet-34, the branch that its authors trained.

    The branch's maps are added to the tokens before each block of global attention. The outputs of
    these blocks, except the last one, and the image embedding are upsampled to a quarter of the
    image's size and summed: this detail is added to the mask decoder's own map.
    """

    facts = HostFacts(
        name="sam_unet",
        input_size=256,
        grid=16,
        embed_dim=256,
        prompts_trained=("box",),
        normalisation="ImageNet mean and standard deviation, RGB",
        licence="Apache-2.0 (written anew; the authors' own code has no licence)",
        source="arXiv 2408.09886",
        encoder="ViT-B/16 + ResNet-34",
        frozen="SAM's ViT",
        trained="convolutional branch, its injections and bridges, prompt encoder, mask decoder",
    )
    shares_decoder = False
    bottlenecks = False
    """True for the blocks of ResNet-50, else those of ResNet-34."""

    def __init__(
        self,
        sizes: VitSizes | None = None,
        *,
        residual_blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
    ) -> None:
        """Build it with random weights, the branch included (its authors started from ImageNet's).

        Args:
            sizes: other than ViT-B's at 256 px are for tests; four blocks have global attention.
            residual_blocks: number in each of the four stages; the default is that of ResNet-34 and
                ResNet-50.
        """
        sizes = sizes or VitSizes(input_size=self.facts.input_size)
        vit, dim = VisionTransformer(sizes).requires_grad_(False), sizes.embed_dim
        super().__init__(sizes, nn.ModuleDict({"sam_img_encoder": vit}))
        self.prompt_encoder = NamedPromptEncoder(self.prompt_encoder)
        self.mask_decoder = FusingDecoder(self.mask_decoder, dim)
        self.resnet, widths = residual_branch(residual_blocks, bottlenecks=self.bottlenecks)
        self.adapters_in = nn.ModuleList(
            injection(width, sizes.dim, halvings=2 - stage) for stage, width in enumerate(widths)
        )
        self.adapters_bridge = nn.ModuleList(
            upsampler(sizes.dim, dim, dim // 8) for _ in sizes.global_blocks[:-1]
        )
        self.embedding_encoder = upsampler(dim, dim // 4, dim // 8)

    @property
    def sam_prompt_encoder(self) -> Any:
        """SAM's `PromptEncoder` inside of the `NamedPromptEncoder`."""
        return self.prompt_encoder.sam_prompt_encoder

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images (B, 3, S, S): embedding (B, C, h, w) and detail (B, C / 8, 4h, 4w)."""
        vit: Any = self.image_encoder.get_submodule("sam_img_encoder")
        tokens, maps = vit.embed(images), self._branch_maps(images)
        details: list[Tensor] = []
        for number, block in enumerate(vit.blocks):
            if number not in vit.sizes.global_blocks:
                tokens = vit.run_block(block, tokens)
                continue
            stage = vit.sizes.global_blocks.index(number)
            tokens = vit.run_block(block, tokens + maps[stage].permute(0, 2, 3, 1))
            if stage < len(self.adapters_bridge):
                details.append(self.adapters_bridge[stage](tokens.permute(0, 3, 1, 2)))
        embedding = vit.finish(tokens)
        return embedding, sum(details, start=self.embedding_encoder(embedding))

    def decode_masks(
        self,
        source: ImageSource,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        *,
        multimask: bool,
        detail: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode one mask a prompt, with `multimask` too: this decoder has no others.

        Raises:
            ValueError: no `detail` of `encode`.
        """
        if detail is None:
            raise ValueError("Expected the detail that SAM-UNet's encode gave, got None.")
        decoder: FusingDecoder = self.mask_decoder
        logits, iou = decoder(source, image_pe, prompt_tokens, detail)
        return logits, iou

    def name_for_sam(self, key: str) -> str | None:
        """Return this host's name for a parameter of SAM: a level deeper.

        Of SAM's mask decoder, only transformer and upscaling are used.
        """
        part, _, rest = key.partition(".")
        if part == "mask_decoder" and not rest.startswith(("transformer.", "output_upscaling.")):
            return None
        return f"{part}.{_SAM_PARTS[part]}.{rest}"

    def _branch_maps(self, images: Tensor) -> list[Tensor]:
        """Run the branch: its four maps in the ViT's shape, (B, dim, h, w) each."""
        maps: list[Tensor] = []
        x = self.resnet["stage0"](images)
        for stage, adapter in enumerate(self.adapters_in, start=1):
            x = self.resnet[f"stage{stage}"](x)
            maps.append(adapter(x))
        return maps


class SamUnet50(SamUnet):
    """SAM-UNet with ResNet-50, 138.43 million parameters."""

    facts = replace(SamUnet.facts, name="sam_unet50", encoder="ViT-B/16 + ResNet-50")
    bottlenecks = True


def expected_iou(logits: Tensor) -> Tensor:
    """Compute the IoU that a mask's own probabilities promise: (P, 1, y, x) -> (P, 1).

    It is the expected intersection of the thresholded mask with the object over their expected
    union, if pixels were independent. It stands in for SAM's predicted IoU and has no gradient.
    """
    probability = logits.detach().sigmoid()
    inside = probability > 0.5
    intersection = (probability * inside).sum(dim=(2, 3))
    union = inside.sum(dim=(2, 3)) + (probability * ~inside).sum(dim=(2, 3))
    return intersection / union.clamp_min(_SMALLEST)


def residual_branch(
    blocks: tuple[int, int, int, int], *, bottlenecks: bool
) -> tuple[nn.ModuleDict, list[int]]:
    """Build a ResNet as stages 0 (to stride 4) to 4 (stride 32); also the widths of stages 1 to 4.

    torchvision is imported here only: it takes two seconds, and no other host needs it.
    """
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    block = Bottleneck if bottlenecks else BasicBlock
    parts = ResNet(block, list(blocks))
    stem = nn.Sequential(parts.conv1, parts.bn1, parts.relu, parts.maxpool)
    stages = {"stage0": stem} | {f"stage{n}": getattr(parts, f"layer{n}") for n in range(1, 5)}
    return nn.ModuleDict(stages), [width * block.expansion for width in (64, 128, 256, 512)]


def injection(width: int, dim: int, *, halvings: int) -> nn.Sequential:
    """Build the change of a branch's map to the ViT's shape.

    (B, width, y, x) -> (B, dim, y / 2^n, x / 2^n). Each halving of the sides doubles the width;
    -1 halvings double the sides and halve the width.
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
    return _initialise(nn.Sequential(*layers, nn.Conv2d(width, dim, 1)))


def upsampler(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Build an upsampling to four times the size: (B, inputs, y, x) -> (B, outputs, 4y, 4x)."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, hidden, 2, stride=2),
        LayerNorm2d(hidden),
        nn.GELU(),
        nn.ConvTranspose2d(hidden, outputs, 2, stride=2),
    )


def _initialise(layers: nn.Sequential) -> nn.Sequential:
    """Draw the weights of convolutions by He's rule, set their biases to zero."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return layers
