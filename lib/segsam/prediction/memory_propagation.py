"""Propagation by a host's own memory of slices, in place of boxes around a neighbour's mask.

    masks of the prompted slices --remember--> memory --SliceTracker--> mask of the next slice

Only the hosts of SAM 2 have a memory (`model.hosts.sam2_memory`). Their decoder rates by itself if
the object is on a slice, so `StopRule` is not needed: an object that is gone on as many slices as
memory holds has ended. On each followed slice, a trained semantic decoder is prompted with the box
of the mask, so that the object gets a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segsam.errors import PromptError
from segsam.imaging.slices import SliceView
from segsam.model import HOSTS, Decoded, ImageFeatures, SegSam
from segsam.model.hosts import Sam2
from segsam.model.hosts.sam2_memory import (
    NUM_MEMORIES,
    SliceMemory,
    SliceTracker,
    TrackedMask,
    remember,
)
from segsam.prediction.decoding import SliceDecoder, SliceMask
from segsam.prediction.plan import FollowedSlices
from segsam.prediction.prompt_tensors import prompt_tensors
from segsam.prediction.propagation import tight_box
from segsam.prompting.prompts import Box, Point, SlicePrompts
from segsam.types import DecoderName

LOST_SLICES = NUM_MEMORIES - 1
"""Slices without the object after which it has ended: then none of the last ones in memory shows
it."""


def check_memory(model: SegSam, decoder: DecoderName) -> None:
    """Refuse propagation by memory where there is none.

    Raises:
        PromptError: a host without memory, decoders on another grid than the host's, or the
            semantic decoder.
    """
    host = model.host
    if not host.has_memory:
        known = ", ".join(name for name, each in HOSTS.items() if each.has_memory)
        raise PromptError(
            f"Expected a checkpoint on a host with a memory of slices ({known}) for propagate "
            f"memory, got one on {host.facts.name}; use propagate true. Weights of these hosts do "
            "not come with this product."
        )
    if model.reduction is not None:
        raise PromptError(
            f"Expected decoders on the host's own grid of {host.facts.grid} for propagate memory, "
            f"got {model.grid}; use propagate true."
        )
    if decoder != "binary":
        raise PromptError(
            f"Expected the decoder binary for propagate memory, got {decoder}: memory follows the "
            "mask of the mask decoder."
        )


class MemoryFollower:
    """Follower of one object across one axis, from all of its prompted slices."""

    def __init__(
        self, model: SegSam, decoder: SliceDecoder, seeds: Mapping[int, SliceMask]
    ) -> None:
        """Take the masks of the prompted slices; `check_memory` accepts the model."""
        self._model = model
        self._host = cast("Sam2", model.host)
        self._decoder = decoder
        self._seeds = seeds

    def follow(
        self, part: FollowedSlices, *, limit: Box | None = None, points: tuple[Point, ...] = ()
    ) -> Iterator[SliceMask]:
        """Yield the masks of the slices on one side of a seed, in their order.

        Without a limit, slices without the object are left out, and it stops after `LOST_SLICES` of
        them. `limit` is a box that the object fills from end to end; parts of masks outside of it
        are dropped. `points` are the user's, each used on its slice.
        """
        memories = self._memories
        if not memories:
            return
        depth, backwards = self._decoder.view.depth, part.indices.step < 0
        tracker = SliceTracker(self._host, depth, memories, backwards=backwards)
        lost = 0
        for index in part.indices:
            mask = self._track(tracker, index, limit, points)
            lost = 0 if mask.area else lost + 1
            if limit is None and lost == LOST_SLICES:
                return
            if mask.area or limit is not None:
                yield mask

    @cached_property
    @torch.inference_mode()
    def _memories(self) -> tuple[SliceMemory, ...]:
        """Memory of the prompted slices that show the object."""
        decoder, found = self._decoder, []
        for index, mask in sorted(self._seeds.items()):
            if mask.area:
                drawn = model_mask(decoder.view, mask.logits > 0).to(decoder.encoder.device)
                features = decoder.features(index)
                with decoder.encoder.job.timed("decode"):
                    found.append(remember(self._host, index, features, drawn))
        return tuple(found)

    @torch.inference_mode()
    def _track(
        self, tracker: SliceTracker, index: int, limit: Box | None, points: tuple[Point, ...]
    ) -> SliceMask:
        decoder = self._decoder
        view, device = decoder.view, decoder.encoder.device
        on_slice = tuple(point for point in points if point.ijk[view.axis] == index)
        sections = () if limit is None else (limit.section(view.axis, index),)
        features = decoder.features(index)
        with decoder.encoder.job.timed("decode"):
            given = prompt_tensors(view, SlicePrompts(on_slice), device) if on_slice else None
            tracked = tracker.track(index, features, given)
            decoded = self._with_semantics(index, tracked, features)
            prompts = SlicePrompts(on_slice, sections=sections)
            return decoder.slice_mask(index, features, decoded, prompts, propagated=True)

    def _with_semantics(self, index: int, tracked: TrackedMask, features: ImageFeatures) -> Decoded:
        """Return the mask with the name that the semantic decoder gives to what is in its box."""
        decoded = Decoded(tracked.logits, tracked.predicted_iou)
        view = self._decoder.view
        plane = view.logits_to_plane(tracked.logits[0, 0]).cpu().numpy() > 0
        if not self._model.card.semantic_is_trained or not plane.any():
            return decoded
        box = SlicePrompts(boxes=(tight_box(view, plane, index),))
        named = self._decoder.decoded(features, box)
        return replace(
            named, binary_logits=decoded.binary_logits, predicted_iou=decoded.predicted_iou
        )


def model_mask(view: SliceView, mask: NDArray[np.bool_]) -> Tensor:
    """Return a mask (y, x) of a slice in model pixels of the padded square, boolean (S, S).

    A mask that is not empty keeps at least one pixel.
    """
    height_px, width_px = view.size_px
    values = torch.from_numpy(np.ascontiguousarray(mask)).float()[None, None]
    resized = F.interpolate(
        values, (height_px, width_px), mode="bilinear", align_corners=False, antialias=True
    )[0, 0]
    inside = (resized >= min(0.5, float(resized.max()))) & (resized > 0)
    return F.pad(inside, (0, view.input_size - width_px, 0, view.input_size - height_px))
