"""A host of our own for processors: LiteMedSAM's decoder behind an encoder that learnt from its.

`segsam distill` makes its weights. The embedding has 32 x 32 cells, what LiteMedSAM's 64 x 64 are
averaged to before decoders on the grid 32.
"""

from __future__ import annotations

from dataclasses import replace

from segsam.model.hosts.fast_encoder import FastEncoder
from segsam.model.hosts.litemedsam import LiteMedSAM


class SegSamFast(LiteMedSAM):
    """LiteMedSAM's prompt encoder, mask decoder and preparation, with another encoder."""

    facts = replace(
        LiteMedSAM.facts,
        name="segsam_fast",
        grid=32,
        licence="research only, by the data that its encoder learnt from; decoder Apache-2.0",
        source="made by `segsam distill` from LiteMedSAM",
        encoder="EfficientViT-B1",
        official_file="",
    )

    @staticmethod
    def _encoder() -> FastEncoder:
        return FastEncoder(SegSamFast.facts.embed_dim)
