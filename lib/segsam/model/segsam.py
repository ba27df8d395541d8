"""SEG-SAM: the composition of the paper's figure 2, and nothing else."""

from __future__ import annotations

import hashlib
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model.box_kinds import BoxKinds
from segsam.model.config import SemanticConfig
from segsam.model.grid import grid_reduction
from segsam.model.hosts import Host
from segsam.model.hosts.base import EncoderRuntime
from segsam.model.kept import Kept
from segsam.model.mask_decoding import best_mask
from segsam.model.records import Decoded, ImageFeatures, PromptTensors
from segsam.model.semantic_decoder import DECODERS, SemanticDecoder, SharedDecoder
from segsam.model.text_enhancement import TextEnhancement
from segsam.model.two_way import Source, Untouched, first_weights

_OF_PROMPTS = frozenset({"prompt_encoder", "mask_decoder"})


class SegSam(nn.Module):
    """A host, and beside its mask decoder the semantic decoder and the text enhancement.

    Either may be absent. `variant` is a name of `variants.VARIANTS`, or empty for a model put
    together by hand. From the checkpoint's card come `semantic_is_trained`, the `temperature` of
    its class logits, the kinds of prompt it was trained with, and the categories it has seen.
    """

    def __init__(
        self,
        host: Host,
        categories: Categories,
        config: SemanticConfig | None = None,
        *,
        semantic_decoder: SemanticDecoder | SharedDecoder | None = None,
        text_enhancement: TextEnhancement | None = None,
    ) -> None:
        super().__init__()
        self.host = host
        self.categories = categories
        self.config = config or SemanticConfig()
        self.semantic_decoder = semantic_decoder
        self.text_enhancement = text_enhancement
        facts = host.facts
        self.reduction = grid_reduction(facts, self.config.grid, self.config.reduction)
        self.box_kinds = BoxKinds(facts.embed_dim) if self.config.box_kinds else None
        host.use_grid(self.grid)
        self.semantic_is_trained = False
        self.variant = ""
        self.temperature = 1.0
        self.prompts_trained = facts.prompts_trained
        self.categories_seen = categories.names
        self.presence_is_trained = True
        self.unnamed_in: tuple[str, ...] = ()
        self._encoder: EncoderRuntime | None = None
        self._places: Kept[Tensor] = Kept()
        self._untouched: Kept[Untouched] = Kept()

    @classmethod
    def with_semantics(
        cls,
        host: Host,
        categories: Categories,
        config: SemanticConfig | None = None,
        *,
        text: bool = True,
    ) -> SegSam:
        """The full model, untrained: semantic parts start from the host's decoder, or random."""
        config = config or SemanticConfig()
        decoder = DECODERS[config.decoder](len(categories), host.mask_decoder, config)
        enhancement = None
        if text:
            embeddings = torch.from_numpy(categories.text_embeddings.copy())
            enhancement = TextEnhancement(embeddings, host.mask_decoder, config)
        return cls(host, categories, config, semantic_decoder=decoder, text_enhancement=enhancement)

    @property
    def grid(self) -> int:
        """Side of the grid that the decoders work on; their masks are four times as wide."""
        return self.config.grid or self.host.facts.grid

    def forward(self, images: Tensor, prompts: PromptTensors) -> Decoded:
        """Figure 2 of the paper, for a batch.

        Args:
            images: prepared by the host, (B, 3, S, S).
            prompts: P = B * n prompts, the n of the first image first.

        Raises:
            ValueError: when P is not a multiple of B.
        """
        _check_shares(prompts, len(images))
        return self.decode_batch(self.encode(images), prompts)

    def decode_batch(self, features: ImageFeatures, prompts: PromptTensors) -> Decoded:
        """`forward` from the features of B images on, with all that the model has.

        Raises:
            ValueError: when P is not a multiple of B.
        """
        images = len(features.embedding)
        _check_shares(prompts, images)
        each = len(prompts) // images
        semantic = self.semantic_decoder is not None
        return Decoded.joined(
            self.decode(features.of(b), prompts.rows(b * each, (b + 1) * each), semantic=semantic)
            for b in range(images)
        )

    def encode(self, images: Tensor) -> ImageFeatures:
        """Everything that needs no prompt: images (B, 3, S, S) -> features of B images."""
        return self.features(*self.encode_images(images))

    def use_encoder(self, encoder: EncoderRuntime | None) -> None:
        """Have `encoder` compute what the host's image encoder would; None for the host itself."""
        self._encoder = encoder

    @property
    def encoders(self) -> int:
        """How many images it pays to encode at a time, each for itself."""
        return 1 if self._encoder is None else self._encoder.threads

    def encode_images(
        self, images: Tensor, *, alongside: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """`Host.encode`, by whatever was chosen to compute it; `alongside` other work a runtime may
        give each image fewer threads.
        """
        if self._encoder is None:
            return self.host.encode(images)
        return self._encoder.encode(images, alongside=alongside)

    def features(self, embedding: Tensor, detail: Tensor | None = None) -> ImageFeatures:
        """The features that belong to what `Host.encode` gave, which may have been kept as long as
        nothing in the encoder learns; the rest does, so its answer is new each time.
        """
        if self.reduction is not None:
            embedding = self.reduction(embedding)
            detail = None if detail is None else F.avg_pool2d(detail, self.reduction.factor)
        branch = None if self.semantic_decoder is None else self.semantic_decoder.presence
        presence = None if branch is None else branch(embedding, self._image_pe())
        return ImageFeatures(embedding, presence, detail)

    def decode(self, features: ImageFeatures, prompts: PromptTensors, *, semantic: bool) -> Decoded:
        """Masks for P prompts of one image.

        Without `semantic` this is the host alone. With it, text enters the mask decoder's prompt
        tokens (t'_p) while the semantic decoder sees the plain ones (t_p): equations 2 to 4.

        Raises:
            CheckpointError: when semantics are wanted of a model without a semantic decoder, or of
                features that lack what it needs.
        """
        tokens, dense = self._encode_prompts(prompts)
        source = self._source(features, dense, shared=prompts.mask_logits is None)
        image_pe = self._image_pe()
        if not semantic:
            return Decoded(*best_mask(*self._masks(features, source, tokens)))
        decoder = self._semantic_decoder_for(features)
        enhanced = tokens
        if self.text_enhancement is not None:
            enhanced = self.text_enhancement(features.embedding, image_pe, tokens)
        if isinstance(decoder, SharedDecoder):
            enhanced = decoder.before(enhanced)
            semantics = decoder(self.host.mask_decoder, source, image_pe, enhanced)
        else:
            seen = enhanced if self.config.text_into == "both" else tokens
            semantics = decoder(source, image_pe, seen, features.presence_logits)
        masks = best_mask(*self._masks(features, source, enhanced))
        return Decoded(*masks, presence_logits=features.presence_logits, **semantics._asdict())

    def presence_attention(self, features: ImageFeatures) -> Tensor | None:
        """Where the CO-tokens look in the images of `features`, (B, K, h, w), each map of sum 1;
        None without a presence branch.
        """
        branch = None if self.semantic_decoder is None else self.semantic_decoder.presence
        if branch is None:
            return None
        looked: Tensor = branch.attention(features.embedding, self._image_pe())
        return looked

    @cached_property
    def weights_id(self) -> str:
        """Name of the weights in cache keys: of the file they came from, else of their values.

        Fixed when first asked for; training steps do not renew it.
        """
        return weights_digest(self)[:16]

    @property
    def encoder_id(self) -> str:
        """Name, in cache keys, of all that `encode_images` depends on: the host, for its way of
        preparing an image, its weights outside of prompt encoder and mask decoder (fixed when
        first asked for, as `weights_id`), and a runtime that does not equal float32.
        """
        return self._host_id + self.encoding_mode

    @property
    def encoding_mode(self) -> str:
        """What tells, in cache keys, embeddings from those of float32; empty when they equal."""
        if self._encoder is None or self._encoder.mode == "exact":
            return ""
        return f" {self._encoder.mode}"

    @cached_property
    def _host_id(self) -> str:
        parts = nn.ModuleDict(
            {name: part for name, part in self.host.named_children() if name not in _OF_PROMPTS}
        )
        return f"{self.host.facts.name} {weights_digest(parts)[:16]}"

    def _image_pe(self) -> Tensor:
        """Positions of the grid, (1, C, h, w)."""
        encoder = self.host.sams_prompt_encoder
        return self._places.of(
            [encoder.pe_layer.positional_encoding_gaussian_matrix],
            self.host.prompt_encoder.get_dense_pe,
            grid=encoder.image_embedding_size,
        )

    def _source(self, features: ImageFeatures, dense: Tensor, *, shared: bool) -> Source:
        """The image with a dense prompt (1 or P, C, h, w); one that all prompts share is kept."""
        if not shared:
            return features.embedding + dense
        transformers = [self.host.mask_decoder.transformer]
        if isinstance(self.semantic_decoder, SemanticDecoder):
            transformers.append(self.semantic_decoder.transformer)
        embedding, image_pe = features.embedding, self._image_pe()
        return self._untouched.of(
            [dense, *(weight for each in transformers for weight in first_weights(each))],
            lambda: Untouched(embedding + dense, image_pe),
            image=embedding,
            grid=id(image_pe),
        )

    def _encode_prompts(self, prompts: PromptTensors) -> tuple[Tensor, Tensor]:
        """Prompt tokens t_p (P, N, C) and the dense prompt (P, C, h, w), which is (1, C, h, w) for
        all of them unless they have masks.
        """
        points = None
        if prompts.points_px is not None:
            points = (prompts.points_px, prompts.point_labels)
        boxes = None if prompts.boxes_px is None else prompts.boxes_px[:, None]
        mask = prompts.mask_logits
        masks = None if mask is None else self.host.mask_prompt(mask)
        tokens, dense = self.host.prompt_encoder(points, boxes, masks)
        if self.box_kinds is not None and prompts.box_kinds is not None:
            tokens = self.box_kinds(tokens, prompts.box_kinds)
        return tokens, dense if masks is not None else dense[:1]

    def _masks(
        self, features: ImageFeatures, source: Source, tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the host's mask decoder draws: logits (P, M, 4h, 4w) and predicted IoU (P, M)."""
        several = self.config.multimask
        return self.host.decode_masks(
            source, self._image_pe(), tokens, multimask=several, detail=features.detail
        )

    def _semantic_decoder_for(self, features: ImageFeatures) -> SemanticDecoder | SharedDecoder:
        decoder = self.semantic_decoder
        if decoder is None or (decoder.presence is not None and features.presence_logits is None):
            raise CheckpointError(
                "Expected a checkpoint with a semantic decoder, got one of the host's parts alone."
            )
        return decoder


def _check_shares(prompts: PromptTensors, images: int) -> None:
    if len(prompts) == 0 or len(prompts) % images:
        raise ValueError(
            f"Expected as many prompts for each of {images} images, got {len(prompts)}."
        )


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of a model's state, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
