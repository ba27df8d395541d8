"""Tensors that go into and come out of the network, with their shapes.

P prompts (objects), B images, K categories, C channels, an h x w grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

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
    """(P,) int64, each a `BoxKind`; None if all boxes were drawn."""

    def __len__(self) -> int:
        """Number of prompts, P."""
        given = (self.points_px, self.boxes_px, self.mask_logits)
        return max((len(tensor) for tensor in given if tensor is not None), default=0)

    def rows(self, start: int, stop: int) -> PromptTensors:
        """Return the prompts from start to stop - 1."""
        return _changed(self, lambda tensor: tensor[start:stop])

    def split(self, images: int) -> Iterator[PromptTensors]:
        """Yield the prompts of each image of a batch, as many for each, the first image's first.

        Raises:
            ValueError: no prompts, or a number that is not a multiple of `images`.
        """
        count = len(self)
        if count == 0 or count % images:
            raise ValueError(f"Expected as many prompts for each of {images} images, got {count}.")
        each = count // images
        for image in range(images):
            yield self.rows(image * each, (image + 1) * each)


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Everything that depends on the image alone; it can be cached, which makes prompts cheap."""

    embedding: Tensor
    """f_v, (B, C, h, w)."""
    presence_logits: Tensor | None = None
    """C_hat of the presence branch, (B, K); None without one."""
    detail: Tensor | None = None
    """Finer maps that a host's mask decoder reads beside f_v, (B, c, 4h, 4w); None for most."""

    def __len__(self) -> int:
        """Number of images, B."""
        return len(self.embedding)

    def of(self, image: int) -> ImageFeatures:
        """Return the features of one image of the batch, (1, ...)."""
        return _changed(self, lambda tensor: tensor[image : image + 1])

    def to(self, device: torch.device) -> ImageFeatures:
        """Return the features on a device; the same object if they are there already."""
        if self.embedding.device == device:
            return self
        return _changed(self, lambda tensor: tensor.to(device))


class Semantics(NamedTuple):
    """Semantic output of a head, before it is joined with the binary mask in `Decoded`."""

    class_logits: Tensor
    """(P, K+1)."""
    dense_logits: Tensor | None = None
    """M_s, (P, K+1, 4h, 4w), of the head `dense`."""
    object_logits: Tensor | None = None
    """(P, 1, 4h, 4w): the mask of the head `maskcls`, without its class."""
    full_image_logits: Tensor | None = None
    """(P, K+1, 4h, 4w): every object of the image, prompted or not."""
    class_tokens: Tensor | None = None
    """(P, C): what the class logits are a linear function of, of the head `maskcls`."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Output of the decoders for P prompts. Masks are logits: 0 is the threshold."""

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
    """(B, K); sigmoid gives the presence of each category among objects that were not prompted;
    None if the variant has no presence branch."""
    object_logits: Tensor | None = None
    """(P, 1, 4h, 4w): the semantic mask before its class, of the head `maskcls`; None for `dense`,
    where it follows from the map."""
    full_image_logits: Tensor | None = None
    """(P, K+1, 4h, 4w): a map of all objects, if the variant draws one."""
    class_tokens: Tensor | None = None
    """(P, C): the SO-token after the decoder, of which the head `maskcls` reads the class."""

    @property
    def semantic_logits(self) -> Tensor | None:
        """M_s of the semantic decoder, (P, K+1, 4h, 4w); softmax over axis 1; 0 is the background.

        For the head `maskcls` it is computed on each access, because K + 1 maps take memory and
        class and mask contain the same information.
        """
        if self.object_logits is None or self.class_logits is None:
            return self.dense_logits
        return semantic_map(self.class_logits, self.object_logits)

    def stripped_logits(self) -> Tensor | None:
        """Return the semantic mask "with semantic labels being stripped off" (section 3.3).

        Its sigmoid is 1 minus the background's probability for the head `dense`, the mask itself
        for `maskcls`: (P, 1, 4h, 4w); None without semantics.
        """
        if self.object_logits is not None or self.dense_logits is None:
            return self.object_logits
        logits = self.dense_logits.float()
        return logits[:, 1:].logsumexp(dim=1, keepdim=True) - logits[:, :1]

    @classmethod
    def joined(cls, parts: Iterable[Decoded]) -> Decoded:
        """Concatenate the output for the prompts of several images."""
        parts = list(parts)
        values = {f.name: _joined([getattr(part, f.name) for part in parts]) for f in fields(cls)}
        return replace(parts[0], **values)


Record = TypeVar("Record", PromptTensors, ImageFeatures)


def semantic_map(class_logits: Tensor, object_logits: Tensor) -> Tensor:
    """Join class (P, K+1) and mask (P, 1, h, w) into a map of log-probabilities (P, K+1, h, w).

    A pixel belongs to category k with probability q_k * s, where q is the class distribution and s
    the mask's sigmoid; the background has the rest. Computed in logarithms, because products of
    small probabilities would underflow.
    """
    log_class = class_logits.log_softmax(dim=1)[:, :, None, None]
    inside, outside = F.logsigmoid(object_logits), F.logsigmoid(-object_logits)
    background = torch.logaddexp(outside, inside + log_class[:, :1])
    return torch.cat([background, inside + log_class[:, 1:]], dim=1)


def _changed(record: Record, change: Callable[[Tensor], Tensor]) -> Record:
    """Return a record of which every tensor is changed, and what is None stays None."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    changes: dict[str, Any] = {n: change(v) for n, v in values.items() if v is not None}
    return replace(record, **changes)


def _joined(tensors: list[Tensor | None]) -> Any:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(present) if present else None
