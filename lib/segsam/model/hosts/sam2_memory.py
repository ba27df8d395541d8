"""SAM 2's memory: one object followed from slice to slice, as the package follows it in a video.

Ravi et al., "SAM 2: segment anything in images and videos" (2024), https://github.com/
facebookresearch/sam2, Apache-2.0. A slice whose mask is known becomes memory: its embedding fused
with its mask, and a pointer, the mask decoder's token of the object. Before a new slice is decoded
without a prompt, its embedding attends to the memory of the prompted slices and of the last six,
and to the pointers of the last fifteen. The decoder also rates whether the object is on the slice.

The arithmetic is that of `SAM2Base.track_step` and `SAM2VideoPredictor`; here only what is still
needed is kept, so that memory does not grow with the volume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.sam2 import (
    HieraSizes,
    build_memory_attention,
    build_memory_encoder,
    build_mlp,
    sine_positions,
)
from segsam.model.tensors import ImageFeatures, PromptTensors

if TYPE_CHECKING:
    from segsam.model.hosts.sam2 import Sam2

NUM_MEMORIES = 7
"""Slices in memory: the prompted ones count as one, and the last six."""
_NUM_POINTERS = 16
"""Pointers in memory, counted in the same way."""
_ABSENT = -1024.0
"""Logit of every pixel of a slice without the object."""
_MASK_SCALE, _MASK_BIAS = 20.0, -10.0
"""Probabilities of a mask become -10 to 10 before they are encoded."""
_NOT_A_POINT = -1


@dataclass(frozen=True, eq=False)
class SliceMemory:
    """Memory of one slice."""

    index: int
    features: Tensor
    """(1, Cm, h, w) bfloat16: the package stores it so."""
    pointer: Tensor
    """(1, C)."""


@dataclass(frozen=True, eq=False)
class TrackedMask:
    """Mask that memory finds on a slice."""

    logits: Tensor
    """(1, 1, 4h, 4w); -1024 everywhere if the object is not on the slice."""
    predicted_iou: Tensor
    """(1, 1)."""
    present: bool
    """True if the decoder rates that the object is on the slice."""


class Memory(nn.Module):
    """Weights of the memory, under their names in official files."""

    def __init__(self, sizes: HieraSizes) -> None:
        super().__init__()
        dim, memory_dim = sizes.embed_dim, sizes.memory_dim
        self.memory_attention = build_memory_attention(sizes)
        self.memory_encoder = build_memory_encoder(sizes)
        self.maskmem_tpos_enc = _parameter(NUM_MEMORIES, 1, 1, memory_dim)
        self.no_mem_embed = _parameter(1, 1, dim)
        self.no_mem_pos_enc = _parameter(1, 1, dim)
        self.no_obj_ptr = _parameter(1, dim)
        self.no_obj_embed_spatial = _parameter(1, memory_dim)
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.obj_ptr_proj = build_mlp(dim)
        self.obj_ptr_tpos_proj = nn.Linear(dim, memory_dim)

    def encode(self, embedding: Tensor, mask: Tensor, *, present: bool) -> Tensor:
        """Encode a slice's embedding (1, C, h, w) and mask (1, 1, S, S) in [0, 1] into memory.

        `present` is False if the object is not on the slice.

        Returns:
            (1, Cm, h, w) bfloat16.
        """
        scaled = mask * _MASK_SCALE + _MASK_BIAS
        encoded = self.memory_encoder(embedding, scaled, skip_mask_sigmoid=True)
        features: Tensor = encoded["vision_features"]
        if not present:
            features = features + self.no_obj_embed_spatial[..., None, None]
        return features.to(torch.bfloat16)

    def attend(
        self,
        embedding: Tensor,
        positions: Tensor,
        remembered: Sequence[tuple[SliceMemory, int]],
        pointers: Sequence[tuple[Tensor, int]],
        farthest: int,
    ) -> Tensor:
        """Attend from a slice to the memory.

        Args:
            embedding: of the slice, (1, C, h, w), and `positions` of its grid.
            remembered: slices, with the row of `maskmem_tpos_enc` for their distance.
            pointers: (1, C), with their distance in slices.
            farthest: distance by which those of the pointers are divided.

        Returns:
            (1, C, h, w).
        """
        memory = [_cells(each.features).to(embedding.dtype) for each, _ in remembered]
        encoding = _cells(self.memory_encoder.position_encoding(remembered[0][0].features))
        placed = [encoding + self.maskmem_tpos_enc[row] for _, row in remembered]
        tokens = 0
        if pointers:
            split, offsets = self._pointer_tokens(pointers, farthest)
            tokens = len(split)
            memory, placed = [*memory, split], [*placed, offsets]
        attended: Tensor = self.memory_attention(
            curr=_cells(embedding),
            curr_pos=_cells(positions),
            memory=torch.cat(memory),
            memory_pos=torch.cat(placed),
            num_obj_ptr_tokens=tokens,
        )
        return attended.permute(1, 2, 0).reshape(embedding.shape)

    def _pointer_tokens(
        self, pointers: Sequence[tuple[Tensor, int]], farthest: int
    ) -> tuple[Tensor, Tensor]:
        """Split pointers into tokens of the memory's width; return them with their positions."""
        stacked = torch.stack([pointer for pointer, _ in pointers])
        memory_dim = self.no_obj_embed_spatial.shape[1]
        parts = stacked.shape[-1] // memory_dim
        split = stacked.reshape(len(pointers), 1, parts, memory_dim).permute(0, 2, 1, 3)
        distances = torch.tensor([distance for _, distance in pointers], device=stacked.device)
        encoded = sine_positions(distances / farthest, stacked.shape[-1])
        offsets = self.obj_ptr_tpos_proj(encoded)[:, None]
        return split.flatten(0, 1), offsets.repeat_interleave(parts, dim=0)


class SliceTracker:
    """Follower of one object through the slices of a volume in one direction, by memory.

    The prompted slices (`prompted`) stay in memory. Of the others, only the last ones do; each
    direction starts without them, so that the result does not depend on which one comes first.
    """

    def __init__(
        self, host: Sam2, depth: int, prompted: Iterable[SliceMemory], *, backwards: bool
    ) -> None:
        """`depth` is the volume's number of slices; `backwards` follows to smaller indices."""
        self._host = host
        self._prompted = tuple(prompted)
        self._sign = -1 if backwards else 1
        self._pointers = min(depth, _NUM_POINTERS)
        self._last: deque[SliceMemory] = deque(maxlen=_NUM_POINTERS - 1)

    def track(
        self, index: int, features: ImageFeatures, points: PromptTensors | None = None
    ) -> TrackedMask:
        """Find the object on slice `index`, and put it into memory.

        `features` are the host's own, not reduced to a coarser grid; `points` are the user's points
        on this slice, (1, N).
        """
        memory, embedding = self._host.memory, without_memory(self._host, features)
        attended = memory.attend(
            embedding,
            self._host.image_encoder.neck.position_encoding(embedding),
            self._remembered(index),
            self._pointers_at(index),
            self._pointers - 1,
        )
        several = points is None or _count(points) <= 1
        prompts = _no_point(features) if points is None else points
        mask, pointer = decode(self._host, attended, features, prompts, several=several)
        full = _enlarged(mask.logits, self._host)
        remembered = (full > 0).float() if points is not None else full.sigmoid()
        encoded = memory.encode(embedding, remembered, present=mask.present)
        self._last.append(SliceMemory(index, encoded, pointer))
        return mask

    def _remembered(self, index: int) -> list[tuple[SliceMemory, int]]:
        """Return the slices that slice `index` attends to, with the row of their distance."""
        found = [(each, NUM_MEMORIES - 1) for each in self._prompted]
        last = {self._distance(each.index, index): each for each in self._last}
        distances = range(NUM_MEMORIES - 1, 0, -1)
        return found + [(last[far], far - 1) for far in distances if far in last]

    def _pointers_at(self, index: int) -> list[tuple[Tensor, int]]:
        """Return the pointers that slice `index` attends to, none of them from ahead."""
        known = [(each.pointer, self._distance(each.index, index)) for each in self._prompted]
        last = [(each.pointer, self._distance(each.index, index)) for each in self._last]
        nearest = sorted((one for one in last if one[1] < self._pointers), key=lambda one: one[1])
        return [one for one in known if one[1] >= 0] + nearest

    def _distance(self, index: int, current: int) -> int:
        return (current - index) * self._sign


def remember(host: Sam2, index: int, features: ImageFeatures, mask: Tensor) -> SliceMemory:
    """Return the memory of a slice whose mask is known: boolean (S, S), with at least one pixel.

    The mask stays as it is; the decoder reads it as a prompt, to make a pointer from it.
    """
    embedding, given = without_memory(host, features), mask[None, None].float()
    prompt = replace(_no_point(features), mask_logits=host.memory.mask_downsample(given))
    _, pointer = decode(host, embedding, features, prompt, several=False)
    logits = given * _MASK_SCALE + _MASK_BIAS
    side = host.facts.input_size // 4
    low = F.interpolate(logits, (side, side), mode="bilinear", align_corners=False, antialias=True)
    drawn = (_enlarged(low, host) > 0).float()
    return SliceMemory(index, host.memory.encode(embedding, drawn, present=True), pointer)


def decode(
    host: Sam2,
    embedding: Tensor,
    features: ImageFeatures,
    prompts: PromptTensors,
    *,
    several: bool,
) -> tuple[TrackedMask, Tensor]:
    """Decode a slice, and make the pointer of its object.

    Args:
        host: supplies the decoder.
        embedding: after memory attention, (1, C, h, w).
        features: of the slice, for its finer maps.
        prompts: of one object.
        several: choose the best of three masks.

    Returns:
        mask, and pointer (1, C).
    """
    tokens, dense = host.encode_prompts(prompts)
    source, positions = embedding + dense, host.prompt_encoder.get_dense_pe()
    presence, tokens, upscaled = host.attend(source, positions, tokens, features.detail)
    logits, iou = host.draw_masks(tokens, upscaled, multimask=several)
    best = int(iou[0].argmax())
    present = bool(host.mask_decoder.pred_obj_score_head(presence) > 0)
    if not present:
        absent = torch.full_like(logits[:, :1], _ABSENT)
        return TrackedMask(absent, iou[:, best : best + 1], present), host.memory.no_obj_ptr
    pointer: Tensor = host.memory.obj_ptr_proj(tokens[:, 1 + best + several])
    drawn = slice(best, best + 1)
    return TrackedMask(logits[:, drawn], iou[:, drawn], present), pointer


def without_memory(host: Sam2, features: ImageFeatures) -> Tensor:
    """Return the embedding (1, C, h, w) without what `Sam2.encode` adds for "no memory"."""
    return features.embedding - host.memory.no_mem_embed.view(1, -1, 1, 1)


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.zeros(*shape), std=0.02))


def _cells(grid: Tensor) -> Tensor:
    """(1, C, h, w) -> (h * w, 1, C)."""
    return grid.flatten(2).permute(2, 0, 1)


def _no_point(features: ImageFeatures) -> PromptTensors:
    """Return what the package sends for "no prompt": one point that is none."""
    device = features.embedding.device
    labels = torch.full((1, 1), _NOT_A_POINT, device=device)
    return PromptTensors(torch.zeros(1, 1, 2, device=device), labels)


def _count(points: PromptTensors) -> int:
    return 0 if points.points_px is None else points.points_px.shape[1]


def _enlarged(logits: Tensor, host: Sam2) -> Tensor:
    side = host.facts.input_size
    return F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
