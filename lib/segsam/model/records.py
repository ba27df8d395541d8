"""What goes into and comes out of the network, as tensors with their shapes written down.

P prompts (objects), B images, K categories, C channels, an h x w grid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class PromptTensors:
    """Visual prompts of P objects, in model pixels (x right, y down) of the padded S x S image."""

    points_px: Tensor | None = None
    """(P, N, 2) float32 x, y; the prompt encoder adds half a pixel itself."""
    point_labels: Tensor | None = None
    """(P, N): 1 inside, 0 outside, -1 not a point."""
    boxes_px: Tensor | None = None
    """(P, 4) float32 x0, y0, x1, y1."""
    mask_logits: Tensor | None = None
    """(P, 1, 4h, 4w) float32, an earlier low-resolution mask."""
    box_kinds: Tensor | None = None
    """(P,) int64, each a `BoxKind`; None where all boxes were drawn."""

    def __len__(self) -> int:
        """P."""
        given = (self.points_px, self.boxes_px, self.mask_logits)
        return max((len(tensor) for tensor in given if tensor is not None), default=0)

    def rows(self, start: int, stop: int) -> PromptTensors:
        """The prompts from start to stop - 1."""
        return PromptTensors(
            _cut(self.points_px, start, stop),
            _cut(self.point_labels, start, stop),
            _cut(self.boxes_px, start, stop),
            _cut(self.mask_logits, start, stop),
            _cut(self.box_kinds, start, stop),
        )


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """All that depends on the image alone, so that prompts are cheap; safe to keep."""

    embedding: Tensor
    """f_v, (B, C, h, w)."""
    presence_logits: Tensor | None = None
    """C_hat of the presence branch, (B, K); None without one."""
    detail: Tensor | None = None
    """What a host's own mask decoder wants beside f_v, (B, c, 4h, 4w); None for most hosts."""

    def of(self, image: int) -> ImageFeatures:
        """The features of one image of the batch, (1, ...)."""
        presence = _cut(self.presence_logits, image, image + 1)
        detail = _cut(self.detail, image, image + 1)
        return ImageFeatures(self.embedding[image : image + 1], presence, detail)

    def to(self, device: torch.device) -> ImageFeatures:
        """The same on another device; itself where it is there already."""
        if self.embedding.device == device:
            return self
        presence, detail = self.presence_logits, self.detail
        return ImageFeatures(
            self.embedding.to(device),
            None if presence is None else presence.to(device),
            None if detail is None else detail.to(device),
        )


class Semantics(NamedTuple):
    """What semantic tokens are read as."""

    class_logits: Tensor
    """(P, K+1)."""
    dense_logits: Tensor | None = None
    """M_s, (P, K+1, 4h, 4w), of a head that draws it."""
    object_logits: Tensor | None = None
    """(P, 1, 4h, 4w): the mask of a head that draws mask and class apart."""
    full_image_logits: Tensor | None = None
    """(P, K+1, 4h, 4w): every object of the image, prompted or not."""

    @property
    def semantic_logits(self) -> Tensor:
        """M_s as a map, whichever the head; see `Decoded.semantic_logits`."""
        if self.object_logits is not None:
            return map_of(self.class_logits, self.object_logits)
        if self.dense_logits is None:
            raise ValueError("Expected a map or a mask of a semantic head, got neither.")
        return self.dense_logits


@dataclass(frozen=True, eq=False)
class Decoded:
    """What the decoders say about P prompts. Masks are logits: 0 is the threshold."""

    binary_logits: Tensor
    """M_b of the mask decoder (SAGD), (P, 1, 4h, 4w)."""
    predicted_iou: Tensor
    """The mask decoder's own estimate of its IoU, (P, 1)."""
    class_logits: Tensor | None = None
    """(P, K+1); softmax gives the category of the prompted object; 0 is "no object"; None without
    semantics."""
    dense_logits: Tensor | None = None
    """M_s as the head `dense` draws it, (P, K+1, 4h, 4w); see `semantic_logits`."""
    presence_logits: Tensor | None = None
    """(B, K); sigmoid gives the presence of each category among what was not prompted; None where
    the variant has no presence branch."""
    object_logits: Tensor | None = None
    """(P, 1, 4h, 4w): the semantic mask before its class, of the head `maskcls`; None of `dense`,
    where it follows from the map."""
    full_image_logits: Tensor | None = None
    """(P, K+1, 4h, 4w): a map of all objects, where the variant draws one."""

    @property
    def semantic_logits(self) -> Tensor | None:
        """M_s of the semantic decoder, (P, K+1, 4h, 4w); softmax over axis 1; 0 is the background.

        Of `maskcls` it is made when asked for, since class and mask say it all.
        """
        if self.object_logits is None or self.class_logits is None:
            return self.dense_logits
        return map_of(self.class_logits, self.object_logits)

    def stripped_logits(self) -> Tensor | None:
        """The semantic mask "with semantic labels being stripped off" (paper, section 3.3),
        (P, 1, 4h, 4w); None without semantics.

        Its sigmoid is 1 minus the background's probability for the head `dense`, the mask itself
        for `maskcls`.
        """
        if self.object_logits is not None or self.dense_logits is None:
            return self.object_logits
        logits = self.dense_logits.float()
        return logits[:, 1:].logsumexp(dim=1, keepdim=True) - logits[:, :1]

    @classmethod
    def joined(cls, parts: Iterable[Decoded]) -> Decoded:
        """Prompts of several images as one record."""
        parts = list(parts)
        return cls(
            torch.cat([part.binary_logits for part in parts]),
            torch.cat([part.predicted_iou for part in parts]),
            _joined([part.class_logits for part in parts]),
            _joined([part.dense_logits for part in parts]),
            _joined([part.presence_logits for part in parts]),
            _joined([part.object_logits for part in parts]),
            _joined([part.full_image_logits for part in parts]),
        )


def map_of(class_logits: Tensor, object_logits: Tensor) -> Tensor:
    """Class (P, K+1) and mask (P, 1, h, w) as one map of logarithms, (P, K+1, h, w).

    A pixel belongs to category k with probability q_k * s, the class distribution times the mask's
    sigmoid, and the background takes the rest.
    """
    log_class = class_logits.log_softmax(dim=1)[:, :, None, None]
    inside, outside = F.logsigmoid(object_logits), F.logsigmoid(-object_logits)
    background = torch.logaddexp(outside, inside + log_class[:, :1])
    return torch.cat([background, inside + log_class[:, 1:]], dim=1)


def _cut(tensor: Tensor | None, start: int, stop: int) -> Tensor | None:
    return None if tensor is None else tensor[start:stop]


def _joined(tensors: list[Tensor | None]) -> Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(present) if present else None
