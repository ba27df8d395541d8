"""A host of our own for processors: LiteMedSAM's layers on patches of 2 x 2 pixels.

`segsam distill` makes its weights. The embedding has 32 x 32 cells. Decoders on the grid 32 reduce
LiteMedSAM's 64 x 64 cells to the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from segsam.model.hosts.litemedsam import LiteMedSAM
from segsam.model.hosts.tiny_vit import TinyViT

_PATCH = 2
_STEM = "patch_embed.seq.0.c.weight"


class SegSamFast(LiteMedSAM):
    """LiteMedSAM with an image encoder of a coarser grid."""

    facts = replace(
        LiteMedSAM.facts,
        name="segsam_fast",
        grid=32,
        licence="research only, by the data that its encoder learnt from; decoder Apache-2.0",
        source="made by `segsam distill` from LiteMedSAM",
        encoder="TinyViT, 2 x 2 px patches",
        official_file="",
    )

    @staticmethod
    def _encoder() -> TinyViT:
        return TinyViT(_PATCH)

    @staticmethod
    def encoder_like(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert the state dict of LiteMedSAM's encoder; this one then reads each patch's mean."""
        stem = weights[_STEM].expand(-1, -1, _PATCH, _PATCH) / _PATCH**2
        return {**weights, _STEM: stem.clone(memory_format=torch.contiguous_format)}
