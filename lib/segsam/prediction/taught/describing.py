"""Descriptions of labelled objects, so that their names can be taught.

    label (i, j, k) --slices_to_describe--> a few slices of each object --describe--> descriptions

An object is described on several slices: how much these differ is how much the object itself does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model.memory import describe_objects
from segsam.prediction.completion.drawing import to_picture
from segsam.prediction.decoding import SliceDecoder
from segsam.prediction.labels import FLOOR_LOGIT
from segsam.prediction.taught.position import Position, position_in_body

SLICES_OF_OBJECT = 7
"""Slices of one object that are described."""
SLICES_OF_CASE = 48
"""Slices of one case on which objects are described: each may have to be encoded."""
_LEAST_PX = 40
"""Pixels of the model's picture below which an object on a slice is too small to be described."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Described:
    """Object on one slice: the label's value there, the slice, description (D,) and position."""

    value: int
    index: int
    description: NDArray[np.float32]
    position: Position


def describe(
    slices: SliceDecoder,
    labels: NDArray[np.integer[Any]],
    values: Sequence[int],
    before_slice: Callable[[], None] = lambda: None,
) -> Iterator[Described]:
    """Describe objects of a label volume, slice by slice, where they are large enough.

    Each slice is encoded when the iterator comes to it, without holding up other requests.

    Args:
        slices: of the image, across the axis that is described.
        labels: (i, j, k) of the image.
        values: those to describe.
        before_slice: called before each slice; may wait, or raise to end it.
    """
    view = slices.view
    for index in slices_to_describe(labels, values, view.axis):
        before_slice()
        plane = view.cut(labels, index)
        masks = {value: to_picture(view, plane == value) for value in values}
        large = {value: mask for value, mask in masks.items() if mask.sum() >= _LEAST_PX}
        if large:
            yield from _described(slices, index, large)


def slices_to_describe(
    labels: NDArray[np.integer[Any]], values: Sequence[int], axis: int
) -> list[int]:
    """Return the slices across `axis` that show each of the values several times, the ends of an
    object left out; as few as possible.
    """
    others = tuple(number for number in range(3) if number != axis)
    chosen: set[int] = set()
    for value in values:
        areas = np.count_nonzero(labels == value, axis=others)
        filled = np.cumsum(areas)
        if not filled[-1]:
            continue
        have = [index for index in sorted(chosen) if areas[index] >= areas.max() / 4]
        if len(have) >= SLICES_OF_OBJECT:
            continue
        shares = (np.arange(SLICES_OF_OBJECT) + 0.5) / SLICES_OF_OBJECT
        chosen.update(np.searchsorted(filled, shares * filled[-1]).tolist())
    ordered = sorted(chosen)
    if len(ordered) <= SLICES_OF_CASE:
        return ordered
    spread = np.linspace(0, len(ordered) - 1, SLICES_OF_CASE).round().astype(int)
    return [ordered[number] for number in spread]


@torch.inference_mode()
def _described(slices: SliceDecoder, index: int, masks: dict[int, Mask]) -> Iterator[Described]:
    side = slices.view.input_size
    logits = np.full((len(masks), 1, side, side), FLOOR_LOGIT, np.float32)
    for number, mask in enumerate(masks.values()):
        logits[number, 0, : mask.shape[0], : mask.shape[1]][mask] = -FLOOR_LOGIT
    features = slices.features(index, background=True)
    described = describe_objects(features, torch.from_numpy(logits).to(features.embedding.device))
    picture = slices.picture(index)
    for (value, mask), row in zip(masks.items(), described.cpu().numpy(), strict=True):
        position = position_in_body(picture, mask)
        if position is not None:
            yield Described(value, index, row, position)
