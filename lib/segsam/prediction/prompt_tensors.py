"""What was prompted on a slice, in voxels, as what the model reads, in its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from segsam.imaging.slices import SliceView
from segsam.model import BoxKind, PromptTensors
from segsam.prompting.prompts import Box, Point, SlicePrompts

_NOT_A_POINT = -1


def prompt_tensors(
    view: SliceView,
    prompts: SlicePrompts,
    device: torch.device,
    mask_prompt: Tensor | None = None,
) -> PromptTensors:
    """The prompts of one slice in model pixels: one row per box, or a single row when there are
    points only.
    """
    boxes = prompts.all_boxes
    rows = [_points_of(box, boxes, prompts.points) for box in boxes] or [prompts.points]
    points_px, labels = _padded_points(view, rows, device)
    boxes_px, kinds = _boxes_with_kinds(view, prompts, device) if boxes else (None, None)
    masks = None if mask_prompt is None else mask_prompt.expand(len(rows), -1, -1, -1)
    return PromptTensors(points_px, labels, boxes_px, masks, kinds)


def _boxes_with_kinds(
    view: SliceView, prompts: SlicePrompts, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(P, 4) pixels and (P,) kinds of the boxes of a slice."""
    by_kind = {
        BoxKind.DRAWN: [view.box_px(b.min_ijk, b.max_ijk) for b in prompts.boxes],
        BoxKind.SECTION: [
            view.box_px(b.min_ijk, b.max_ijk, edges="centres") for b in prompts.sections
        ],
        BoxKind.NEIGHBOUR: [view.box_px(b.min_ijk, b.max_ijk) for b in prompts.neighbours],
    }
    kinds = torch.tensor([kind for kind, found in by_kind.items() for _ in found])
    boxes_px = torch.from_numpy(np.stack([box for found in by_kind.values() for box in found]))
    return boxes_px.to(device), kinds.to(device)


def _points_of(box: Box, boxes: Sequence[Box], points: Sequence[Point]) -> tuple[Point, ...]:
    """The points that concern one box: all negative ones, and the positive ones in it or in no box
    at all.
    """

    def concerns(point: Point) -> bool:
        inside = _holds(box, point)
        return not point.positive or inside or not any(_holds(other, point) for other in boxes)

    return tuple(point for point in points if concerns(point))


def _holds(box: Box, point: Point) -> bool:
    return all(
        low <= at <= high for low, at, high in zip(box.min_ijk, point.ijk, box.max_ijk, strict=True)
    )


def _padded_points(
    view: SliceView, rows: Sequence[tuple[Point, ...]], device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """(P, N, 2) pixels and (P, N) labels, shorter rows filled with "not a point"; None when no row
    has one.
    """
    longest = max(len(points) for points in rows)
    if longest == 0:
        return None, None
    points_px = np.zeros((len(rows), longest, 2), dtype=np.float32)
    labels = np.full((len(rows), longest), _NOT_A_POINT, dtype=np.int64)
    for row, points in enumerate(rows):
        if points:
            points_px[row, : len(points)] = view.points_px([point.ijk for point in points])
            labels[row, : len(points)] = [int(point.positive) for point in points]
    return torch.from_numpy(points_px).to(device), torch.from_numpy(labels).to(device)
