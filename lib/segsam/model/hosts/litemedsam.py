"""LiteMedSAM: TinyViT encoder, SAM prompt encoder and mask decoder at 256 px with a 64 x 64 grid.

Ma et al., "Segment anything in medical images" (Nature Communications 15:654, 2024), the light
variant of https://github.com/bowang-lab/MedSAM (branch LiteMedSAM), Apache-2.0. Trained with boxes
only.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.model.hosts.base import Host, HostFacts
from segsam.model.hosts.tiny_vit import TinyViT
from segsam.model.sam import MaskDecoder, PromptEncoder, TwoWayTransformer


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
        size, grid, dim = self.facts.input_size, self.facts.grid, self.facts.embed_dim
        self.image_encoder = self._encoder()
        self.prompt_encoder = PromptEncoder(
            embed_dim=dim,
            image_embedding_size=(grid, grid),
            input_image_size=(size, size),
            mask_in_chans=16,
        )
        self.mask_decoder = MaskDecoder(
            transformer_dim=dim,
            transformer=TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=8, mlp_dim=2048),
        )
        self.image_encoder.requires_grad_(False)

    @staticmethod
    def _encoder() -> nn.Module:
        return TinyViT()

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Stretch a resized slice (h_px, w_px, 3) to [0, 1] over all its values; zero-pad to
        float32 (3, 256, 256).

        The rule of LiteMedSAM's own inference: a constant slice becomes zeros, and padding comes
        after stretching.
        """
        size = self.facts.input_size
        height, width, _ = image.shape
        values = image.astype(np.float32)
        low, high = values.min(), values.max()
        padded = np.zeros((size, size, 3), dtype=np.float32)
        padded[:height, :width] = (values - low) / np.clip(high - low, 1e-8, None)
        return torch.from_numpy(padded.transpose(2, 0, 1).copy())
