"""LiteMedSAM: TinyViT encoder, SAM prompt encoder and mask decoder at 256 px with a 64 x 64 grid.

Ma et al., "Segment anything in medical images" (Nature Communications 15:654, 2024), the light
variant of https://github.com/bowang-lab/MedSAM (branch LiteMedSAM), Apache-2.0. Trained with boxes
only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.model.hosts.base import Host, HostFacts
from segsam.model.hosts.preparation import normalise_min_max
from segsam.model.hosts.tiny_vit import TinyViT
from segsam.model.sam import build_mask_decoder, build_prompt_encoder


class LiteMedSAM(Host):
    """The default host: 9,791,300 parameters, fast enough for a CPU; the published 435 keys."""

    facts = HostFacts(
        name="litemedsam",
        input_size=256,
        grid=64,
        embed_dim=256,
        prompts_trained=("box",),
        normalisation="minimum to maximum of the slice onto [0, 1]",
        licence="Apache-2.0",
        source="https://github.com/bowang-lab/MedSAM (branch LiteMedSAM)",
        encoder="TinyViT",
        official_file="lite_medsam.pth",
    )

    def __init__(self) -> None:
        super().__init__()
        facts = self.facts
        self.image_encoder = self._encoder()
        self.prompt_encoder = build_prompt_encoder(facts.embed_dim, facts.grid, facts.input_size)
        self.mask_decoder = build_mask_decoder(facts.embed_dim)
        self.image_encoder.requires_grad_(False)

    @staticmethod
    def _encoder() -> nn.Module:
        return TinyViT()

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Map a resized slice (h_px, w_px, 3) onto [0, 1], then pad it to float32 (3, 256, 256).

        This is the rule of LiteMedSAM's own inference.
        """
        return normalise_min_max(image, self.facts.input_size)
