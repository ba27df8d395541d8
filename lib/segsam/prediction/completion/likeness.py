"""Likeness: how much a part of a slice looks like the object on the confirmed slices.

A ridge regression on the cells of the image embedding, object against everything else. It is
learnt at once, knows the surroundings too, and tells where an object has ended: what the mask
decoder then draws is something, and it is as sure of it as of the object (docs/lab/completion.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.model import ImageFeatures
from segsam.prediction.completion.adaptation import Lesson
from segsam.prediction.completion.confirmed import Mask

_RIDGE = 30.0
_SMALLEST_SPREAD = 1e-3


@dataclass(frozen=True, eq=False)
class Likeness:
    """Regression of cells (n, C) on the share of them that is the object; `side` is that of the
    padded square in model pixels.
    """

    mean: Tensor
    spread: Tensor
    weights: Tensor
    side: int

    @classmethod
    @torch.inference_mode()
    def learnt(cls, lessons: Sequence[Lesson], side: int) -> Likeness:
        """Learn it from lessons, of which one shows the object."""
        cells = torch.cat([_cells(lesson.features) for lesson in lessons])
        shares = torch.cat([_shares(one.mask, side, one.features) for one in lessons])
        mean, spread = cells.mean(dim=0), cells.std(dim=0) + _SMALLEST_SPREAD
        rows = _standardised(cells, mean, spread)
        inside = shares > 0.5
        most = shares.max()
        inside = inside if bool(inside.any()) else shares >= most
        # Object and surroundings count alike, however small the object is.
        counts = torch.where(inside, 0.5 / inside.double().mean(), 0.5 / (~inside).double().mean())
        weighted = rows * counts[:, None]
        ridge = _RIDGE * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        weights = torch.linalg.solve(rows.T @ weighted + ridge, weighted.T @ shares)
        return cls(mean, spread, weights, side)

    @torch.inference_mode()
    def of(self, features: ImageFeatures, mask: Mask) -> float:
        """Return the mean over a mask (h_px, w_px): about 0 elsewhere, up to 1 for the object."""
        shares = _shares(mask, self.side, features)
        found = _standardised(_cells(features), self.mean, self.spread) @ self.weights
        return float((found * shares).sum() / shares.sum().clamp(min=1e-6))


def _cells(features: ImageFeatures) -> Tensor:
    """Return the cells (n, C) of one image's embedding."""
    return features.embedding[0].double().flatten(1).T


def _standardised(cells: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    rows = (cells - mean) / spread
    return torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)


def _shares(mask: Mask, side: int, features: ImageFeatures) -> Tensor:
    """Return the share (n,) of each cell that a mask (h_px, w_px) of the picture covers."""
    grid = features.embedding.shape[-1]
    square: NDArray[np.float32] = np.zeros((side, side), np.float32)
    square[: mask.shape[0], : mask.shape[1]] = mask
    shares = cv2.resize(square, (grid, grid), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(shares).to(features.embedding.device).double().flatten()
