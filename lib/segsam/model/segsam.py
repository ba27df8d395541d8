"""SEG-SAM: the parts of the paper's figure 2, and how they are connected."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model.box_kinds import BoxKinds
from segsam.model.card import Card
from segsam.model.config import SemanticConfig
from segsam.model.decoder_inputs import DecoderInputs
from segsam.model.dense_head import DenseHead
from segsam.model.grid import grid_reduction
from segsam.model.hosts import Host
from segsam.model.mask_decoding import best_mask
from segsam.model.memory import ExampleMemory
from segsam.model.naming_rule import NamingRule
from segsam.model.semantic_decoder import DECODERS, SemanticDecoder, SharedDecoder
from segsam.model.tensors import Decoded, ImageFeatures, PromptTensors
from segsam.model.text_enhancement import TextEnhancement
from segsam.model.two_way import ImageSource

Module = TypeVar("Module", bound=nn.Module)


class SegSam(nn.Module):
    """Network of the paper: a host with a semantic decoder and text-to-vision enhancement.

    The host is a SAM-family model: image encoder, prompt encoder and mask decoder. The other two
    parts may be absent; new ones start from the host's decoder. `card` records what was learnt.
    """

    def __init__(
        self,
        host: Host,
        categories: Categories,
        config: SemanticConfig | None = None,
        *,
        semantics: bool = False,
        text: bool = False,
        card: Card | None = None,
    ) -> None:
        """Connect the parts; `semantics` builds the semantic decoder, `text` the T2VSE."""
        super().__init__()
        self.host, facts = host, host.facts
        self.categories = categories
        self.config = config = config or SemanticConfig()
        self.semantic_decoder: SemanticDecoder | SharedDecoder | None = None
        self.text_enhancement: TextEnhancement | None = None
        if semantics:
            decoder = DECODERS[config.decoder]
            self.semantic_decoder = decoder(len(categories), host.mask_decoder, config)
        if text:
            embeddings = torch.from_numpy(categories.text_embeddings.copy())
            self.text_enhancement = TextEnhancement(embeddings, host.mask_decoder, config)
        self.reduction = grid_reduction(facts, config.grid, config.reduction)
        self.box_kinds = BoxKinds(facts.embed_dim) if config.box_kinds else None
        self.dense_head = DenseHead(len(categories), facts.embed_dim) if config.dense_head else None
        host.use_grid(self.grid)
        self._inputs = DecoderInputs(host, self.semantic_decoder)
        self._card = (card or Card()).completed(self)
        self._memory: ExampleMemory | None = None

    @property
    def card(self) -> Card:
        """Record of what the model consists of and what it has learnt."""
        return self._card

    @property
    def memory(self) -> ExampleMemory | None:
        """Examples of what the model was taught; None if it has none, or no rule to use them."""
        return self._memory

    @property
    def naming_rule(self) -> NamingRule | None:
        """Rule by which names are given; None without a memory."""
        return None if self._memory is None else NamingRule.from_card(self._card.naming)

    def with_memory(self, memory: ExampleMemory | None, card: Card) -> SegSam:
        """Return the same model with another memory of examples and its rule in the card; both
        share parts and weights.

        Raises:
            CheckpointError: a memory without a rule in the card, or with one that is no rule.
        """
        if memory is not None and NamingRule.from_card(card.naming) is None:
            raise CheckpointError("Expected a naming rule in the card beside a memory of examples.")
        other = self.with_card(card)
        other._memory = memory
        return other

    def with_card(self, card: Card) -> SegSam:
        """Return the same model with another card; both share parts and weights."""
        other = copy.copy(self)
        other._card = card.completed(self)
        return other

    def with_mask_decoder(self, decoder: nn.Module) -> SegSam:
        """Return the same model with another mask decoder; both share all other parts and weights.

        Image features of one are those of the other.
        """
        host, other = _shallow_copy(self.host), _shallow_copy(self)
        host.mask_decoder = decoder
        other.host = host
        other._inputs = DecoderInputs(host, self.semantic_decoder)
        return other

    @property
    def grid(self) -> int:
        """Side of the grid that the decoders work on; their masks are four times as wide."""
        return self.config.grid or self.host.facts.grid

    def forward(self, images: Tensor, prompts: PromptTensors) -> Decoded:
        """Run the whole network on images (B, 3, S, S) and B * n prompts, the first image's first.
        Raises ValueError for another number of prompts.
        """
        return self.decode_batch(self.encode(images), prompts)

    def encode(self, images: Tensor) -> ImageFeatures:
        """Compute everything that needs no prompt: images (B, 3, S, S) -> features of B images."""
        return self.features(*self.host.encode(images))

    def features(self, embedding: Tensor, detail: Tensor | None = None) -> ImageFeatures:
        """Compute the image features from the output of `Host.encode`, which may have been stored:
        the weights used here (grid reduction, presence branch) learn, the host's encoder does not.
        """
        if self.reduction is not None:
            embedding, factor = self.reduction(embedding), self.reduction.factor
            detail = None if detail is None else self.host.reduce_detail(detail, factor)
        branch = None if self.semantic_decoder is None else self.semantic_decoder.presence
        presence = None if branch is None else branch(embedding, self._inputs.positions())
        return ImageFeatures(embedding, presence, detail)

    def decode_batch(self, features: ImageFeatures, prompts: PromptTensors) -> Decoded:
        """Run the part of `forward` that follows `encode`; raises as `forward`."""
        semantic, by_image = self.semantic_decoder is not None, prompts.split(len(features))
        return Decoded.joined(
            self.decode(features.of(image), own_prompts, semantic=semantic)
            for image, own_prompts in enumerate(by_image)
        )

    def decode(self, features: ImageFeatures, prompts: PromptTensors, *, semantic: bool) -> Decoded:
        """Decode P prompts of one image; without `semantic`, by the host alone.

        The mask decoder reads the prompt tokens with text, t'_p; the semantic decoder reads the
        plain ones, t_p (equations 2 to 4), except in the variant T2VSEv1 (Table 6).

        Raises:
            CheckpointError: `semantic`, but no semantic decoder, or features without presence.
        """
        image, tokens = self._prompted(features, prompts)
        if not semantic:
            return self._decode_mask(image, tokens, features.detail)
        image_pe = self._inputs.positions()
        decoder = self.semantic_decoder
        if decoder is None or (decoder.presence is not None and features.presence_logits is None):
            raise CheckpointError(
                "Expected a checkpoint with a semantic decoder, got one of the host's parts alone."
            )
        enhanced = self._enhanced(features, tokens)
        if isinstance(decoder, SharedDecoder):
            semantics = decoder(self.host, image, image_pe, enhanced, features.detail)
        else:  # M_s, equation 3
            prompted = enhanced if self.config.text_into == "both" else tokens
            semantics = decoder(image, image_pe, prompted, features.presence_logits)
        binary = self._decode_mask(image, enhanced, features.detail)
        return replace(binary, presence_logits=features.presence_logits, **semantics._asdict())

    def decode_masks_alone(self, features: ImageFeatures, prompts: PromptTensors) -> Decoded:
        """Decode the binary masks of `decode` without semantics: with text if the card says that
        the semantic parts are trained, else by the host alone.
        """
        image, tokens = self._prompted(features, prompts)
        if self.card.semantic_is_trained:
            tokens = self._enhanced(features, tokens)
        return self._decode_mask(image, tokens, features.detail)

    def _prompted(
        self, features: ImageFeatures, prompts: PromptTensors
    ) -> tuple[ImageSource, Tensor]:
        """Return the image as the decoders read it, and the prompt tokens t_p (equation 1)."""
        tokens, dense = self.host.encode_prompts(prompts)
        if self.box_kinds is not None and prompts.box_kinds is not None:
            tokens = self.box_kinds(tokens, prompts.box_kinds)
        shared = prompts.mask_logits is None
        return self._inputs.image(features.embedding, dense, shared=shared), tokens

    def _enhanced(self, features: ImageFeatures, tokens: Tensor) -> Tensor:
        """Return the tokens that the mask decoder reads: with text (t'_p, equation 4), and with a
        shared decoder's token of the class.
        """
        if self.text_enhancement is not None:
            image_pe = self._inputs.positions()
            tokens = self.text_enhancement(features.embedding, image_pe, tokens)
        decoder = self.semantic_decoder
        return decoder.prepend_token(tokens) if isinstance(decoder, SharedDecoder) else tokens

    def category_maps(
        self, features: ImageFeatures, beside: Sequence[ImageFeatures] = ()
    ) -> Tensor | None:
        """Return the dense head's logits (B, K, 2h, 2w) that a pixel is of each category, from the
        features of B images and of up to two slices `beside` each, in any order; None without a
        head.
        """
        if self.dense_head is None:
            return None
        stack = torch.stack([one.embedding for one in beside], dim=1) if beside else None
        maps: Tensor = self.dense_head(features.embedding, stack)
        return maps

    def presence_attention(self, features: ImageFeatures) -> Tensor | None:
        """Return the CO-tokens' attention to the image, (B, K, h, w) of sum 1, if there are any."""
        decoder, positions = self.semantic_decoder, self._inputs.positions()
        if decoder is None or decoder.presence is None:
            return None
        return decoder.presence.attention(features.embedding, positions)

    def _decode_mask(self, image: ImageSource, tokens: Tensor, detail: Tensor | None) -> Decoded:
        """Decode the binary mask M_b of each prompt (equation 2)."""
        several, image_pe = self.config.multimask, self._inputs.positions()
        masks = self.host.decode_masks(image, image_pe, tokens, multimask=several, detail=detail)
        return Decoded(*best_mask(*masks))


def _shallow_copy(module: Module) -> Module:
    """Return a module with the same parts, of which one can be exchanged."""
    other = copy.copy(module)
    other._modules = dict(module._modules)
    return other
