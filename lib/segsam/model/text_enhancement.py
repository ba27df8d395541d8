"""Text-to-vision semantic enhancement (T2VSE, section 3.2.2): text as one more prompt token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segsam.model.cache import LastValueCache
from segsam.model.config import SemanticConfig
from segsam.model.sam import MLP, Attention
from segsam.model.two_way import KeysValues, attend, keys_values


class TextEnhancement(nn.Module):
    """Descriptions of all categories, summarised and focused on the prompted object (equation 9).

    All K descriptions are read, always, so that the text cannot reveal the prompted category.

    Three shortcuts, all exact: the text half (projection and self-attention) does not depend on the
    image and is cached; only the summary token's row is used, so it is the only query of the
    cross-attention; and the image is projected once for all prompts, and cached until the next one.
    """

    text_embeddings: Tensor

    def __init__(self, text_embeddings: Tensor, host_decoder: Any, config: SemanticConfig) -> None:
        """Build it with the widths of `host_decoder`, SAM's `MaskDecoder`.

        `text_embeddings` (K, D), one per category, are data and not in the state dict.
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
        self._summary: LastValueCache[Tensor] = LastValueCache()
        self._image: LastValueCache[KeysValues] = LastValueCache()

    def forward(self, embedding: Tensor, image_pe: Tensor, prompt_tokens: Tensor) -> Tensor:
        """Compute the enhanced prompt tokens t'_p for prompts of one image (equations 4 and 9).

        Args:
            embedding: image embedding f_v, (1, C, h, w).
            image_pe: positions of the grid, (1, C, h, w); added to the keys as in SAM.
            prompt_tokens: t_p, (P, N, C).

        Returns:
            (P, N + 1, C): t_p unchanged, with the text token appended.
        """
        summary = self.summary().expand(len(prompt_tokens), -1, -1)
        seen = [self._image_keys_values(embedding, image_pe)]
        if self.config.text_keys != "image":
            # Without the prompts as keys, every prompt would get the same text token.
            seen.append(keys_values(self.cross_attention, prompt_tokens, prompt_tokens))
        summary = self.norm_cross(summary + attend(self.cross_attention, summary, *seen))
        return torch.cat([prompt_tokens, self.append(summary)], dim=1)

    def _image_keys_values(self, embedding: Tensor, image_pe: Tensor) -> KeysValues:
        def compute() -> KeysValues:
            values = embedding.flatten(2).transpose(1, 2)
            positions = image_pe.flatten(2).transpose(1, 2)
            return keys_values(self.cross_attention, values + positions, values)

        return self._image.get(self.cross_attention.parameters(), compute, image=embedding)

    def summary(self) -> Tensor:
        """Return the summary token after the text half, (1, 1, C); cached outside of training."""
        if self.training:
            return self.text_half()[:, -1:]
        inputs = (*self.parameters(), self.text_embeddings)
        return self._summary.get(inputs, lambda: self.text_half()[:, -1:])

    def text_half(self) -> Tensor:
        """Run self-attention over text tokens and summary token: (1, K + 1, C), the summary last.

        So the summary collects what the descriptions say.
        """
        text = torch.cat([self.project(self.text_embeddings), self.summary_token]).unsqueeze(0)
        out: Tensor = self.norm_self(text + self.self_attention(q=text, k=text, v=text))
        return out
