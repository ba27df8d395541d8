"""SEG-SAM: the composition of the paper's figure 2, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import cast

import torch
from torch import Tensor, nn

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model.config import SemanticConfig
from segsam.model.hosts import Host
from segsam.model.semantic_decoder import SemanticDecoder
from segsam.model.text_enhancement import TextEnhancement


@dataclass(frozen=True, eq=False)
class PromptTensors:
    """Visual prompts of P objects in model pixels (x right, y down) of the padded S x S image, SAM's conventions."""

    points_px: Tensor | None = None
    """(P, N, 2) float32 x, y; half a pixel is added by the prompt encoder."""
    point_labels: Tensor | None = None
    """(P, N): 1 inside, 0 outside, -1 not a point."""
    boxes_px: Tensor | None = None
    """(P, 4) float32 x0, y0, x1, y1."""
    mask_logits: Tensor | None = None
    """(P, 1, 4h, 4w) float32, an earlier low-resolution mask."""

    def rows(self, start: int, stop: int) -> PromptTensors:
        """The prompts start to stop - 1."""
        return PromptTensors(*[None if t is None else t[start:stop] for t in _tensors(self)])

    def __len__(self) -> int:
        """P."""
        return max((len(t) for t in _tensors(self) if t is not None), default=0)


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """All that depends on the image alone, so that prompts are cheap; safe to keep."""

    embedding: Tensor
    """f_v, (B, C, h, w)."""
    presence_logits: Tensor | None = None
    """C_hat of the presence branch, (B, K); None without a semantic decoder."""

    def of(self, image: int) -> ImageFeatures:
        """The features of one image of the batch, (1, ...)."""
        return ImageFeatures(*[None if t is None else t[image : image + 1] for t in _tensors(self)])


@dataclass(frozen=True, eq=False)
class Decoded:
    """What the decoders say about P prompts. Masks are logits: 0 is the threshold."""

    binary_logits: Tensor
    """M_b of the mask decoder (SAGD), (P, 1, 4h, 4w)."""
    predicted_iou: Tensor
    """The mask decoder's own estimate of its IoU, (P, 1)."""
    semantic_logits: Tensor | None = None
    """M_s of the semantic decoder, (P, K+1, 4h, 4w); softmax over classes; 0 = background."""
    class_logits: Tensor | None = None
    """(P, K+1), softmax gives the class of the prompted object; 0 = no object."""
    presence_logits: Tensor | None = None
    """(B, K), sigmoid gives the presence of each category among what was not prompted."""


class SegSam(nn.Module):
    """A host, and beside its mask decoder the semantic-aware decoder and the text enhancement (either may be absent).

    `semantic_is_trained` comes from the checkpoint's card. `weights_id` names the weights in cache keys: it is
    theirs when the model is built or loaded, and is not renewed by training steps.
    """

    def __init__(
        self,
        host: Host,
        categories: Categories,
        config: SemanticConfig | None = None,
        *,
        semantic_decoder: SemanticDecoder | None = None,
        text_enhancement: TextEnhancement | None = None,
        semantic_is_trained: bool = False,
    ) -> None:
        super().__init__()
        self.host = host
        self.categories = categories
        self.config = config or SemanticConfig()
        self.semantic_decoder = semantic_decoder
        self.text_enhancement = text_enhancement
        self.semantic_is_trained = semantic_is_trained
        self.weights_id = weights_digest(self)[:16]

    @classmethod
    def with_semantics(
        cls, host: Host, categories: Categories, config: SemanticConfig | None = None, *, text: bool = True
    ) -> SegSam:
        """The full model with untrained semantic parts that start from the host's decoder (random where it has none)."""
        config = config or SemanticConfig()
        dim = host.facts.embed_dim
        decoder = SemanticDecoder(len(categories), dim, config)
        decoder.start_from(host.mask_decoder)
        embeddings = torch.from_numpy(categories.text_embeddings.copy())
        enhancement = TextEnhancement(embeddings, dim, config) if text else None
        return cls(host, categories, config, semantic_decoder=decoder, text_enhancement=enhancement)

    def forward(self, images: Tensor, prompts: PromptTensors) -> Decoded:
        """Figure 2 of the paper, for a batch.

        Args:
            images: prepared by the host, (B, 3, S, S).
            prompts: P = B * n prompts, those of the first image first.

        Raises:
            ValueError: when P is not a multiple of B.
        """
        batch, count = len(images), len(prompts)
        if count == 0 or count % batch:
            raise ValueError(f"Expected the same number of prompts for each of {batch} images, got {count} in all.")
        each = count // batch
        features = self.encode(images)
        decoded = [
            self.decode(features.of(b), prompts.rows(b * each, (b + 1) * each), semantic=self.semantic_decoder is not None)
            for b in range(batch)
        ]
        return Decoded(*[_joined(parts) for parts in zip(*map(_tensors, decoded), strict=True)])

    def encode(self, images: Tensor) -> ImageFeatures:
        """Everything that needs no prompt: (B, 3, S, S) -> the embedding (B, C, h, w) and presence logits (B, K)."""
        embedding = self.host.image_encoder(images)
        presence = self.semantic_decoder.presence(embedding, self._image_pe()) if self.semantic_decoder else None
        return ImageFeatures(embedding, presence)

    def decode(self, features: ImageFeatures, prompts: PromptTensors, *, semantic: bool) -> Decoded:
        """Masks for P prompts of one image.

        Without `semantic` this is the host alone, exactly; with it, text enters the mask decoder's prompt tokens
        (t'_p) and the semantic decoder sees the plain ones (t_p), as in equations 2 to 4.

        Raises:
            CheckpointError: when semantic output is wanted of a model without a semantic decoder.
        """
        tokens, dense = self._encode_prompts(prompts)
        if not semantic:
            return Decoded(*self._decode_binary(features.embedding, tokens, dense, multimask=False))
        if self.semantic_decoder is None or features.presence_logits is None:
            raise CheckpointError("Expected a checkpoint with a semantic decoder, got one with the host's parts only.")
        image_pe = self._image_pe()
        enhanced = tokens
        if self.text_enhancement is not None:
            enhanced = self.text_enhancement(features.embedding, image_pe, tokens)
        binary = self._decode_binary(features.embedding, enhanced, dense, multimask=self.config.multimask)
        source = features.embedding + dense
        semantics = self.semantic_decoder(source, image_pe, tokens, features.presence_logits)
        return Decoded(*binary, *semantics, features.presence_logits)

    def train(self, mode: bool = True) -> SegSam:
        """As `nn.Module.train`; a frozen image encoder stays in evaluation mode (see `Host.train`)."""
        super().train(mode)
        return self

    def _image_pe(self) -> Tensor:
        """Positions of the grid, (1, C, h, w)."""
        return cast(Tensor, self.host.prompt_encoder.get_dense_pe())

    def _encode_prompts(self, prompts: PromptTensors) -> tuple[Tensor, Tensor]:
        """Prompt tokens t_p (P, N, C) and the dense prompt (P, C, h, w)."""
        points = None
        if prompts.points_px is not None:
            points = (prompts.points_px, prompts.point_labels)
        boxes = None if prompts.boxes_px is None else prompts.boxes_px[:, None]
        tokens, dense = self.host.prompt_encoder(points=points, boxes=boxes, masks=prompts.mask_logits)
        return tokens, dense

    def _decode_binary(
        self, embedding: Tensor, tokens: Tensor, dense: Tensor, *, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """The host's mask decoder: logits (P, 1, 4h, 4w) and predicted IoU (P, 1)."""
        logits, iou = self.host.mask_decoder(
            image_embeddings=embedding,
            image_pe=self._image_pe(),
            sparse_prompt_embeddings=tokens,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        if not multimask:
            return logits, iou
        best = iou.argmax(dim=1, keepdim=True)
        chosen = logits.take_along_dim(best[:, :, None, None], dim=1)
        return chosen, iou.take_along_dim(best, dim=1)


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of a model's state, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _tensors(record: PromptTensors | ImageFeatures | Decoded) -> list[Tensor | None]:
    return [getattr(record, field.name) for field in fields(record)]


def _joined(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None
