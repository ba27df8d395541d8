"""Semantic-aware decoder (SAWD, section 3.2.1): category and mask of the prompted object, and the
presence of other categories.

The paper gives semantics a decoder of their own, because predicting binary and semantic masks in
one decoder "can lead to potential conflicts". It has two branches, independent of the mask decoder:

* presence (CO-tokens, equations 7 and 8): one token per category reads the image, never a prompt;
* mask (SO-token, equations 5 and 6): one token and the prompt tokens refine each other and the
  image.

Other objects get a class and no mask, because segmenting the full image "can drift the model's
focus" away from the prompted object.

The paper leaves the head open; `SemanticConfig.head` chooses between two readings with the same
outputs. The variants of its ablations are here too: no presence branch, a token for the full image
instead, or one token in the host's own decoder.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from segsam.model.config import SemanticConfig
from segsam.model.hosts.base import Host
from segsam.model.mask_decoding import refine, upscale
from segsam.model.sam import MLP, Attention, TwoWayTransformer
from segsam.model.semantic_heads import HEADS, DenseHead, SemanticHead
from segsam.model.tensors import Semantics
from segsam.model.two_way import ImageSource, layer_state


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
        """Refine tokens (b, K, C) by keys and values of the image (b, h*w, C)."""
        tokens = self._attend_to_each_other(tokens)
        tokens = self.norm_cross(tokens + self.cross_attention(q=tokens, k=keys, v=values))
        out: Tensor = self.norm_mlp(tokens + self.mlp(tokens))
        return out

    def attention(self, tokens: Tensor, keys: Tensor) -> Tensor:
        """Return the weights of `forward`'s cross-attention: (b, K, h*w), mean of heads, sum 1.

        SAM's `Attention` does not give its weights out, so they are computed again.
        """
        tokens = self._attend_to_each_other(tokens)
        cross = self.cross_attention
        queries = cross._separate_heads(cross.q_proj(tokens), cross.num_heads)
        projected = cross._separate_heads(cross.k_proj(keys), cross.num_heads)
        weights: Tensor = (
            queries @ projected.transpose(-1, -2) / queries.shape[-1] ** 0.5
        ).softmax(-1)
        return weights.mean(dim=1)

    def _attend_to_each_other(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.norm_self(tokens + self.self_attention(q=tokens, k=tokens, v=tokens))
        return out


class PresenceBranch(nn.Module):
    """Presence branch: K CO-tokens, each with a linear layer that scores if its category is present
    besides the prompted object.

    The branch reads no prompt, so it runs once for an image. It cannot know which object will be
    prompted; it learns the mean over the prompts of training.
    """

    def __init__(self, categories: int, transformer: Any, depth: int) -> None:
        """Build `depth` blocks with the widths of SAM's `transformer`."""
        super().__init__()
        dim, heads = transformer.embedding_dim, transformer.num_heads
        mlp_dim = transformer.mlp_dim
        self.tokens = nn.Parameter(torch.randn(categories, dim))
        self.blocks = nn.ModuleList(PresenceBlock(dim, heads, mlp_dim) for _ in range(depth))
        self.weight = nn.Parameter(torch.randn(categories, dim) / dim**0.5)
        self.bias = nn.Parameter(torch.zeros(categories))

    def forward(self, embedding: Tensor, image_pe: Tensor) -> Tensor:
        """Compute presence logits (b, K) of an embedding (b, C, h, w) with positions (1, C, h, w).

        Positions are added to the keys and not to the values, as everywhere in SAM's transformer.
        """
        tokens, keys, values = self._inputs(embedding, image_pe)
        for block in self.blocks:
            tokens = block(tokens, keys, values)
        return (tokens * self.weight).sum(-1) + self.bias

    def attention(self, embedding: Tensor, image_pe: Tensor) -> Tensor:
        """Return the attention of the last block, (b, K, h, w): per CO-token a map of sum 1.

        Arguments as of `forward`.
        """
        tokens, keys, values = self._inputs(embedding, image_pe)
        for block in self.blocks[:-1]:
            tokens = block(tokens, keys, values)
        last: Any = self.blocks[-1]
        weights: Tensor = last.attention(tokens, keys)
        return weights.reshape(*weights.shape[:2], *embedding.shape[2:])

    def _inputs(self, embedding: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = embedding.flatten(2).transpose(1, 2)
        keys = values + image_pe.flatten(2).transpose(1, 2)
        return self.tokens.expand(len(embedding), -1, -1), keys, values


class FullImageToken(nn.Module):
    """Second token beside the SO-token, for the masks of all objects in the image (Table 4, row 3).

    The paper does not say how this variant is built. It reports that the two tasks conflict, which
    they can only do if they share weights: so both tokens share the mask branch. One mask cannot
    hold all objects, so the head is always `dense`.
    """

    def __init__(self, categories: int, host_decoder: Any) -> None:
        super().__init__()
        self.token = nn.Parameter(_mask_token(host_decoder))
        self.head = DenseHead(categories, host_decoder.transformer.embedding_dim)
        self.head.start_from(host_decoder.output_hypernetworks_mlps[0])


class SemanticDecoder(nn.Module):
    """Semantic-aware decoder: the mask branch, and the task that `config.unprompted` names.

    That task is the presence branch (whose output is added to the SO-token, equation 8), a token
    for the full image, or none.
    """

    def __init__(self, categories: int, host_decoder: Any, config: SemanticConfig) -> None:
        """Start the mask branch as a copy of `host_decoder`, SAM's `MaskDecoder`.

        The host's masks are good already; only categories are new. Widths are the host's; with
        another `depth`, the blocks that both have are copied.
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
        for layer, host_layer in zip(self.transformer.layers, host.layers, strict=False):
            layer.load_state_dict(layer_state(host_layer))
        for name in ("final_attn_token_to_image", "norm_final_attn"):
            getattr(self.transformer, name).load_state_dict(getattr(host, name).state_dict())
        self.upscaling = copy.deepcopy(host_decoder.output_upscaling)
        self.head = _head(categories, host_decoder, config)

    def forward(
        self,
        source: ImageSource,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        presence_logits: Tensor | None,
    ) -> Semantics:
        """Run the mask branch on prompts of one image (equations 5 and 6).

        Args:
            source: image embedding plus dense prompt.
            image_pe: positions of the grid, (1, C, h, w).
            prompt_tokens: t_p without text, (P, N, C). Text is "empirically unnecessary" here
                (section 3.2.2), because the ground truth has semantic labels.
            presence_logits: output of the presence branch for this image, (1, K); None without one.

        Returns:
            class logits (P, K+1), and a map (P, K+1, 4h, 4w) or the object's mask; index 0 is "not
            the object", k + 1 is category k.
        """
        learnt_tokens = [self._informed_token(presence_logits)]
        if self.full_image is not None:
            learnt_tokens.append(self.full_image.token)
        learnt = torch.cat(learnt_tokens).expand(len(prompt_tokens), -1, -1)
        tokens = torch.cat([learnt, prompt_tokens], dim=1)
        tokens, pixels = refine(self.transformer, source, image_pe, tokens)
        upscaled = upscale(self.upscaling, pixels)
        semantics: Semantics = self.head(tokens[:, 0], upscaled)
        if self.full_image is None:
            return semantics
        full_image: Semantics = self.full_image.head(tokens[:, 1], upscaled)
        return semantics._replace(full_image_logits=full_image.dense_logits)

    def _informed_token(self, presence_logits: Tensor | None) -> Tensor:
        """Return the SO-token plus an MLP of every category's presence, (1, C) (equation 8)."""
        if self.prior is None or presence_logits is None:
            return self.semantic_token
        sigmoid = self.config.presence_prior == "sigmoid"
        prior = presence_logits.sigmoid() if sigmoid else presence_logits
        token: Tensor = self.semantic_token + self.prior(prior)
        return token


class SharedDecoder(nn.Module):
    """The paper's BaselineSem (section 4.3): a class token in the host's own mask decoder.

    Only the token and its head are here; everything else is the host's and learns both tasks. The
    host's mask token still gives the binary mask. The decoder runs twice on the same
    tokens, once for semantics and once for the mask, with the same result as a single run.
    """

    presence = None

    def __init__(self, categories: int, host_decoder: Any, config: SemanticConfig) -> None:
        super().__init__()
        self.config = config
        self.semantic_token = nn.Parameter(_mask_token(host_decoder))
        self.head = _head(categories, host_decoder, config)

    def prepend_token(self, prompt_tokens: Tensor) -> Tensor:
        """Put the class token before the prompt tokens: (P, N, C) -> (P, 1 + N, C)."""
        own = self.semantic_token.expand(len(prompt_tokens), -1, -1)
        return torch.cat([own, prompt_tokens], dim=1)

    def forward(
        self,
        host: Host,
        source: ImageSource,
        image_pe: Tensor,
        tokens: Tensor,
        detail: Tensor | None,
    ) -> Semantics:
        """Run the host's mask decoder on the tokens of `prepend_token`.

        They are prompts of one image; the decoder's own tokens come before the class token.
        """
        tokens, upscaled = host.attend_and_upscale(source, image_pe, tokens, detail)
        semantics: Semantics = self.head(tokens[:, 1 + host.mask_decoder.num_mask_tokens], upscaled)
        return semantics


DECODERS: Mapping[str, type[SemanticDecoder] | type[SharedDecoder]] = MappingProxyType(
    {"own": SemanticDecoder, "shared": SharedDecoder}
)


def _mask_token(host_decoder: Any) -> Tensor:
    """Return a copy of the host's token for a single mask, (1, C)."""
    token: Tensor = host_decoder.mask_tokens.weight[:1].detach().clone()
    return token


def _head(categories: int, host_decoder: Any, config: SemanticConfig) -> SemanticHead:
    head = HEADS[config.head](categories, host_decoder.transformer.embedding_dim)
    head.start_from(host_decoder.output_hypernetworks_mlps[0])
    return head
