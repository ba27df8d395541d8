"""The semantic-aware decoder (SAWD, paper section 3.2.1): what the prompted object is, and what
else is there.

Two branches with weights of their own, independent of the mask decoder that they stand beside:

* presence (CO-tokens, equations 7 and 8): one token per category looks at the image, never at the
  prompts;
* mask (SO-token, equations 5 and 6): one token and the prompt tokens refine each other and the
  image.

The paper leaves the head open; both readings of it are here behind `SemanticConfig.head`, with the
same outputs. What its ablations put in the decoder's place, or take out of it, is here too: no
presence branch, a token for the full image instead, or one token in the host's own decoder.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from segsam.model.config import SemanticConfig
from segsam.model.mask_decoding import attend, refine, upscale
from segsam.model.records import Semantics
from segsam.model.sam import MLP, Attention, TwoWayTransformer
from segsam.model.semantic_heads import HEADS, DenseHead, SemanticHead
from segsam.model.two_way import Source


class PresenceBlock(nn.Module):
    """CO-tokens attend to each other, then to the image, then an MLP; normalised after each."""

    def __init__(self, dim: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.self_attention = Attention(dim, heads)
        self.norm_self = nn.LayerNorm(dim)
        self.cross_attention = Attention(dim, heads, downsample_rate=2)
        self.norm_cross = nn.LayerNorm(dim)
        self.mlp = MLP(dim, mlp_dim, dim, 2)
        self.norm_mlp = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """tokens (b, K, C), keys and values (b, h*w, C) -> tokens (b, K, C)."""
        tokens = self.norm_self(tokens + self.self_attention(q=tokens, k=tokens, v=tokens))
        tokens = self.norm_cross(tokens + self.cross_attention(q=tokens, k=keys, v=values))
        out: Tensor = self.norm_mlp(tokens + self.mlp(tokens))
        return out

    def attention(self, tokens: Tensor, keys: Tensor) -> Tensor:
        """Where each token looks, as `forward` does it: (b, K, h*w), mean over the heads, sum 1."""
        tokens = self.norm_self(tokens + self.self_attention(q=tokens, k=tokens, v=tokens))
        cross = self.cross_attention
        queries = cross._separate_heads(cross.q_proj(tokens), cross.num_heads)
        seen = cross._separate_heads(cross.k_proj(keys), cross.num_heads)
        weights: Tensor = (queries @ seen.transpose(-1, -2) / queries.shape[-1] ** 0.5).softmax(-1)
        return weights.mean(dim=1)


class PresenceBranch(nn.Module):
    """K CO-tokens, each with a linear layer of its own: is this category present, unprompted?"""

    def __init__(self, categories: int, transformer: Any, depth: int) -> None:
        """`depth` blocks with the widths of SAM's `transformer`."""
        super().__init__()
        dim, heads = transformer.embedding_dim, transformer.num_heads
        mlp_dim = transformer.mlp_dim
        self.tokens = nn.Parameter(torch.randn(categories, dim))
        self.blocks = nn.ModuleList(PresenceBlock(dim, heads, mlp_dim) for _ in range(depth))
        self.weight = nn.Parameter(torch.randn(categories, dim) / dim**0.5)
        self.bias = nn.Parameter(torch.zeros(categories))

    def forward(self, embedding: Tensor, image_pe: Tensor) -> Tensor:
        """Image embedding (b, C, h, w) and its positions (1, C, h, w) -> presence logits (b, K).

        As everywhere in SAM's transformer, positions are added to the keys and not to the values.
        """
        tokens, keys, values = self._begin(embedding, image_pe)
        for block in self.blocks:
            tokens = block(tokens, keys, values)
        return (tokens * self.weight).sum(-1) + self.bias

    def attention(self, embedding: Tensor, image_pe: Tensor) -> Tensor:
        """Where the last block's CO-tokens look: (b, K, h, w), each map of sum 1; arguments as of
        `forward`.
        """
        tokens, keys, values = self._begin(embedding, image_pe)
        for block in self.blocks[:-1]:
            tokens = block(tokens, keys, values)
        last: Any = self.blocks[-1]
        looked: Tensor = last.attention(tokens, keys)
        return looked.reshape(*looked.shape[:2], *embedding.shape[2:])

    def _begin(self, embedding: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = embedding.flatten(2).transpose(1, 2)
        keys = values + image_pe.flatten(2).transpose(1, 2)
        return self.tokens.expand(len(embedding), -1, -1), keys, values


class FullImageToken(nn.Module):
    """One more token beside the SO-token, which draws every object of the image (Table 4, row 3).

    The paper names the variant without saying how it is built; sharing the mask branch is what lets
    the two tasks conflict, as it reports. One mask cannot hold all objects, so the head is `dense`.
    """

    def __init__(self, categories: int, host_decoder: Any) -> None:
        super().__init__()
        self.token = nn.Parameter(_mask_token(host_decoder))
        self.head = DenseHead(categories, host_decoder.transformer.embedding_dim)
        self.head.start_from(host_decoder.output_hypernetworks_mlps[0])


class SemanticDecoder(nn.Module):
    """The mask branch, and beside it what `config.unprompted` names: presence (with the prior that
    it hands over), the full image, or nothing.
    """

    def __init__(self, categories: int, host_decoder: Any, config: SemanticConfig) -> None:
        """The mask branch begins as a copy of `host_decoder`, SAM's `MaskDecoder`.

        Widths are the host's too; with another `depth`, the blocks that both have are copied.
        """
        super().__init__()
        host = host_decoder.transformer
        dim = host.embedding_dim
        self.config = config
        self.presence: PresenceBranch | None = None
        self.prior: nn.Module | None = None
        self.full_image: FullImageToken | None = None
        if config.unprompted == "presence":
            self.presence = PresenceBranch(categories, host, config.presence_depth)
            self.prior = MLP(categories, dim, dim, 2)
        elif config.unprompted == "full_image":
            self.full_image = FullImageToken(categories, host_decoder)
        self.semantic_token = nn.Parameter(_mask_token(host_decoder))
        self.transformer = TwoWayTransformer(config.depth, dim, host.num_heads, host.mlp_dim)
        for mine, theirs in zip(self.transformer.layers, host.layers, strict=False):
            mine.load_state_dict(theirs.state_dict())
        for name in ("final_attn_token_to_image", "norm_final_attn"):
            getattr(self.transformer, name).load_state_dict(getattr(host, name).state_dict())
        self.upscaling = copy.deepcopy(host_decoder.output_upscaling)
        self.head = _head(categories, host_decoder, config)

    def forward(
        self,
        source: Source,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        presence_logits: Tensor | None,
    ) -> Semantics:
        """The mask branch, for prompts of one image.

        Args:
            source: image embedding plus dense prompt.
            image_pe: positions of the grid, (1, C, h, w).
            prompt_tokens: t_p without text, (P, N, C).
            presence_logits: the presence branch's answer for this image, (1, K); None without one.

        Returns:
            class logits (P, K+1), and a map (P, K+1, 4h, 4w) or the object's mask; index 0 is "not
            the object", k + 1 is category k.
        """
        own = [self._informed_token(presence_logits)]
        if self.full_image is not None:
            own.append(self.full_image.token)
        learnt = torch.cat(own).expand(len(prompt_tokens), -1, -1)
        tokens = torch.cat([learnt, prompt_tokens], dim=1)
        tokens, pixels = refine(self.transformer, source, image_pe, tokens)
        upscaled = upscale(self.upscaling, pixels)
        semantics: Semantics = self.head(tokens[:, 0], upscaled)
        if self.full_image is None:
            return semantics
        full_image: Semantics = self.full_image.head(tokens[:, 1], upscaled)
        return semantics._replace(full_image_logits=full_image.dense_logits)

    def _informed_token(self, presence_logits: Tensor | None) -> Tensor:
        """The SO-token plus an MLP of every category's presence, (1, C)."""
        if self.prior is None or presence_logits is None:
            return self.semantic_token
        sigmoid = self.config.presence_prior == "sigmoid"
        prior = presence_logits.sigmoid() if sigmoid else presence_logits
        token: Tensor = self.semantic_token + self.prior(prior)
        return token


class SharedDecoder(nn.Module):
    """The paper's BaselineSem (section 4.3): a class token in the host's own mask decoder.

    Only the token and its head are here; everything else is the host's and learns both tasks at
    once. The mask token goes on drawing the binary mask, in the host's own way, from the same
    tokens: the host's decoder runs once for each answer, with the result of a single run.
    """

    presence = None

    def __init__(self, categories: int, host_decoder: Any, config: SemanticConfig) -> None:
        super().__init__()
        self.config = config
        self.semantic_token = nn.Parameter(_mask_token(host_decoder))
        self.head = _head(categories, host_decoder, config)

    def before(self, prompt_tokens: Tensor) -> Tensor:
        """The class token before the prompt tokens: (P, N, C) -> (P, 1 + N, C)."""
        own = self.semantic_token.expand(len(prompt_tokens), -1, -1)
        return torch.cat([own, prompt_tokens], dim=1)

    def forward(
        self, host_decoder: Any, source: Source, image_pe: Tensor, tokens: Tensor
    ) -> Semantics:
        """What `host_decoder`, SAM's `MaskDecoder`, makes of the token that `before` put in front;
        for prompts of one image.
        """
        tokens, upscaled = attend(host_decoder, source, image_pe, tokens)
        semantics: Semantics = self.head(tokens[:, 1 + host_decoder.num_mask_tokens], upscaled)
        return semantics


DECODERS: Mapping[str, type[SemanticDecoder] | type[SharedDecoder]] = MappingProxyType(
    {"own": SemanticDecoder, "shared": SharedDecoder}
)


def _mask_token(host_decoder: Any) -> Tensor:
    """A copy of the host's token for a single mask, (1, C)."""
    token: Tensor = host_decoder.mask_tokens.weight[:1].detach().clone()
    return token


def _head(categories: int, host_decoder: Any, config: SemanticConfig) -> SemanticHead:
    head = HEADS[config.head](categories, host_decoder.transformer.embedding_dim)
    head.start_from(host_decoder.output_hypernetworks_mlps[0])
    return head
