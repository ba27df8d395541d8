"""SAM-UNet: a convolutional branch beside SAM's frozen ViT-B at 256 px, and several scales in the
mask decoder.

"SAM-UNet: enhancing zero-shot segmentation of SAM for universal medical images" (arXiv 2408.09886,
2024). Its code has no licence; this is written from a description of the method alone. Parameter
counts agree with the published ones (29.35 million trainable with ResNet-34, 51.76 with ResNet-50);
inside `resnet.stage*`, `adapters_*`, `embedding_encoder` and `embedding_maskfeature` the names are
ours, as the description has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.model.hosts.base import Host, HostFacts
from segsam.model.hosts.preparing import standardised
from segsam.model.hosts.sam_unet_parts import (
    FusingDecoder,
    NamedPromptEncoder,
    drawn_up,
    reshaper,
    residual_branch,
)
from segsam.model.hosts.vit import VisionTransformer, VitSizes, mask_decoder, prompt_encoder
from segsam.model.two_way import Source

_SAMS_PARTS = {
    "image_encoder": "sam_img_encoder",
    "prompt_encoder": "sam_prompt_encoder",
    "mask_decoder": "sam_mask_decoder",
}


class SamUnet(Host):
    """116.02 million parameters with ResNet-34, the branch that its authors trained.

    The branch's maps are added to the tokens before each block of global attention. What these
    blocks give, the last one excepted, and the image embedding are drawn up to a quarter of the
    image's size and summed: the detail that the mask decoder adds to its own map.
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

    def __init__(
        self,
        sizes: VitSizes | None = None,
        *,
        residual_blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        bottlenecks: bool = False,
    ) -> None:
        """Random weights, the branch included (its authors began with ImageNet's).

        Args:
            sizes: other than ViT-B's at 256 px are for tests; four blocks are of global attention.
            residual_blocks: of the four stages; the default is ResNet-34's.
            bottlenecks: with the same numbers, ResNet-50.
        """
        super().__init__()
        sizes = sizes or VitSizes(input_size=self.facts.input_size)
        self.facts = replace(
            self.facts, input_size=sizes.input_size, grid=sizes.grid, embed_dim=sizes.embed_dim
        )
        vit, dim = VisionTransformer(sizes), sizes.embed_dim
        self.image_encoder = nn.ModuleDict({"sam_img_encoder": vit.requires_grad_(False)})
        self.prompt_encoder = NamedPromptEncoder(prompt_encoder(sizes))
        self.mask_decoder = FusingDecoder(mask_decoder(sizes), dim)
        self.resnet, widths = residual_branch(residual_blocks, bottlenecks=bottlenecks)
        self.adapters_in = nn.ModuleList(
            reshaper(width, sizes.dim, halvings=2 - stage) for stage, width in enumerate(widths)
        )
        self.adapters_bridge = nn.ModuleList(
            drawn_up(sizes.dim, dim, dim // 8) for _ in sizes.global_blocks[:-1]
        )
        self.embedding_encoder = drawn_up(dim, dim // 4, dim // 8)

    @property
    def sams_prompt_encoder(self) -> Any:
        """Under the name that the published file gives it."""
        return self.prompt_encoder.sam_prompt_encoder

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Standardise a resized slice (h_px, w_px, 3); zero-pad to float32 (3, S, S)."""
        return standardised(image, self.facts.input_size)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Prepared images (B, 3, S, S) -> embedding (B, C, h, w), detail (B, C / 8, 4h, 4w)."""
        vit: Any = self.image_encoder.get_submodule("sam_img_encoder")
        tokens, maps = vit.embed(images), self._maps(images)
        details: list[Tensor] = []
        for place, block in enumerate(vit.blocks):
            if place not in vit.sizes.global_blocks:
                tokens = vit.run_block(block, tokens)
                continue
            stage = vit.sizes.global_blocks.index(place)
            tokens = vit.run_block(block, tokens + maps[stage].permute(0, 2, 3, 1))
            if stage < len(self.adapters_bridge):
                details.append(self.adapters_bridge[stage](tokens.permute(0, 3, 1, 2)))
        embedding = vit.finish(tokens)
        return embedding, sum(details, start=self.embedding_encoder(embedding))

    def decode_masks(
        self,
        source: Source,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        *,
        multimask: bool,
        detail: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One mask a prompt, whether or not more are wanted: this decoder has no others.

        Raises:
            ValueError: without the `detail` of `encode`.
        """
        if detail is None:
            raise ValueError("Expected the detail that SAM-UNet's encode gave, got None.")
        decoder: FusingDecoder = self.mask_decoder
        logits, iou = decoder(source, image_pe, prompt_tokens, detail)
        return logits, iou

    def name_of_sams(self, key: str) -> str | None:
        """SAM's three parts stand a level deeper; of its mask decoder, transformer and upscaling
        are kept.
        """
        part, _, rest = key.partition(".")
        if part == "mask_decoder" and not rest.startswith(("transformer.", "output_upscaling.")):
            return None
        return f"{part}.{_SAMS_PARTS[part]}.{rest}"

    def _maps(self, images: Tensor) -> list[Tensor]:
        """The branch's four maps in the ViT's shape, (B, dim, h, w) each."""
        maps: list[Tensor] = []
        x = self.resnet["stage0"](images)
        for stage, adapter in enumerate(self.adapters_in, start=1):
            x = self.resnet[f"stage{stage}"](x)
            maps.append(adapter(x))
        return maps


class SamUnet50(SamUnet):
    """SAM-UNet with ResNet-50, 138.43 million parameters."""

    facts = replace(SamUnet.facts, name="sam_unet50", encoder="ViT-B/16 + ResNet-50")

    def __init__(
        self,
        sizes: VitSizes | None = None,
        *,
        residual_blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        bottlenecks: bool = True,
    ) -> None:
        """As `SamUnet`."""
        super().__init__(sizes, residual_blocks=residual_blocks, bottlenecks=bottlenecks)
