"""Conversion of a slice's prompts from voxel indices to the tensors of the model, in its pixels."""

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
    """Return the prompts of one slice in model pixels.

    Each box is one row with the points that concern it. Without boxes, all points are one row.
    `mask_prompt` (1, 1, m, m) is repeated for every row.
    """
    boxes = prompts.all_boxes
    rows = [_points_for(box, boxes, prompts.points) for box in boxes] or [prompts.points]
    points_px, labels = _padded_points(view, rows, device)
    boxes_px, kinds = _boxes_with_kinds(view, prompts, device) if boxes else (None, None)
    masks = None if mask_prompt is None else mask_prompt.expand(len(rows), -1, -1, -1)
    return PromptTensors(points_px, labels, boxes_px, masks, kinds)


def _boxes_with_kinds(
    view: SliceView, prompts: SlicePrompts, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return boxes (P, 4) in pixels and their kinds (P,)."""
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


def _points_for(box: Box, boxes: Sequence[Box], points: Sequence[Point]) -> tuple[Point, ...]:
    """Return all negative points, and the positive points inside this box or outside every box."""
    return tuple(
        point
        for point in points
        if not point.positive
        or box.contains(point.ijk)
        or not any(other.contains(point.ijk) for other in boxes)
    )


def _padded_points(
    view: SliceView, rows: Sequence[tuple[Point, ...]], device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """Return points (P, N, 2) in pixels and labels (P, N); None if no row has a point.

    Shorter rows are filled with points that the prompt encoder ignores.
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
