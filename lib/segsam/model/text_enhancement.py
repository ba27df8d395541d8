"""Text-to-vision semantic enhancement (T2VSE, paper section 3.2.2): text as a prompt token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segsam.model.config import SemanticConfig
from segsam.model.kept import Kept
from segsam.model.sam import MLP, Attention
from segsam.model.two_way import Side, attended, side_of


class TextEnhancement(nn.Module):
    """Category descriptions, summarised and focused on the prompted object (equation 9).

    Three shortcuts, all exact: the text half (projection and self-attention) does not depend on the
    image and is kept between calls; as only the summary token's row is used, it is the only query
    of the cross-attention; and the image is projected once for all prompts, and kept until another
    image comes.
    """

    text_embeddings: Tensor

    def __init__(self, text_embeddings: Tensor, host_decoder: Any, config: SemanticConfig) -> None:
        """`text_embeddings` (K, D), one per category, are data and not in the state dict.

        Widths are those of `host_decoder`, SAM's `MaskDecoder`.
        """
        super().__init__()
        dim = host_decoder.transformer.embedding_dim
        heads = host_decoder.transformer.num_heads
        self.config = config
        self.register_buffer("text_embeddings", text_embeddings, persistent=False)
        self.project = nn.Linear(text_embeddings.shape[1], dim)
        self.summary_token = nn.Parameter(torch.randn(1, dim))
        self.self_attention = Attention(dim, heads)
        self.norm_self = nn.LayerNorm(dim)
        self.cross_attention = Attention(dim, heads, downsample_rate=2)
        self.norm_cross = nn.LayerNorm(dim)
        self.append = MLP(dim, dim, dim, 2)
        self._summary: Kept[Tensor] = Kept()
        self._seen: Kept[Side] = Kept()

    def forward(self, embedding: Tensor, image_pe: Tensor, prompt_tokens: Tensor) -> Tensor:
        """The enhanced prompt tokens t'_p, for prompts of one image.

        Args:
            embedding: image embedding f_v, (1, C, h, w).
            image_pe: positions of the grid, (1, C, h, w); added to the keys as in SAM.
            prompt_tokens: t_p, (P, N, C).

        Returns:
            (P, N + 1, C): t_p unchanged, with the text token appended.
        """
        summary = self.summary().expand(len(prompt_tokens), -1, -1)
        sides = [self._image_side(embedding, image_pe)]
        if self.config.text_keys != "image":
            sides.append(side_of(self.cross_attention, prompt_tokens, prompt_tokens))
        summary = self.norm_cross(summary + attended(self.cross_attention, summary, *sides))
        return torch.cat([prompt_tokens, self.append(summary)], dim=1)

    def _image_side(self, embedding: Tensor, image_pe: Tensor) -> Side:
        def make() -> Side:
            values = embedding.flatten(2).transpose(1, 2)
            places = image_pe.flatten(2).transpose(1, 2)
            return side_of(self.cross_attention, values + places, values)

        return self._seen.of(self.cross_attention.parameters(), make, image=embedding)

    def summary(self) -> Tensor:
        """The summary token after the text half, (1, 1, C).

        Kept while nothing learns and no weight changed.
        """
        if self.training:
            return self.text_half()[:, -1:]
        inputs = (*self.parameters(), self.text_embeddings)
        return self._summary.of(inputs, lambda: self.text_half()[:, -1:])

    def text_half(self) -> Tensor:
        """All text tokens and the summary token after self-attention, (1, K + 1, C)."""
        text = torch.cat([self.project(self.text_embeddings), self.summary_token]).unsqueeze(0)
        out: Tensor = self.norm_self(text + self.self_attention(q=text, k=text, v=text))
        return out
