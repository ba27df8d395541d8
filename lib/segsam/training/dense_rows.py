"""First weights of new categories in the dense head, before its steps.

    slices that show them --head without its last layer--> cells (n, channels)
                          --logistic regression by L-BFGS--> a row of the last layer for each

A new category begins as a mean of others that its description is like (`model.growth`). That says
little of where it is: its map would be anywhere at first, and a hundred steps are too few to mend
it. What the head has learnt of others tells cells apart well enough that a regression on the first
labelled cases finds most of it within seconds (docs/lab/finding.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segsam.model.dense_head import DenseHead

_CELLS = 64
"""Cells of a slice without any of the categories that are learnt from, for all of them."""
_ITERATIONS = 40
_SHRINKAGE = 1e-4
"""Weight of the squared weights in the loss."""
_FIRST_BIAS = -4.0


@dataclass(frozen=True, eq=False)
class RowSlices:
    """Slices for a regression: what the head reads of each, and the maps of N new categories."""

    embedding: Tensor
    """(B, C, h, w)."""
    beside: Tensor
    """(B, 2, C, h, w) as `DenseHead` takes it."""
    maps: Tensor
    """(B, N, 2h, 2w) in [0, 1]."""
    annotated: Tensor
    """(B, N) bool."""


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cells with their weights: features (n, channels), targets and weights (n, N)."""

    features: Tensor
    targets: Tensor
    weights: Tensor

    @classmethod
    def joined(cls, parts: Sequence[_Cells]) -> _Cells:
        """Return the cells of several parts, at least one, in their order."""
        return cls(
            torch.cat([one.features for one in parts]),
            torch.cat([one.targets for one in parts]),
            torch.cat([one.weights for one in parts]),
        )


def fit_rows(
    head: DenseHead, numbers: Sequence[int], slices: Iterable[RowSlices], *, seed: int = 0
) -> None:
    """Give some categories of a trained head weights of their own in its last layer, in place;
    those that no slice shows, and everything else, stay as they are.

    Args:
        head: trained for other categories.
        numbers: of the new categories, from 0, in the order of the slices' maps.
        slices: training slices.
        seed: of the choice of cells.
    """
    generator = torch.Generator().manual_seed(seed)
    found = [_cells(head, one, generator) for one in slices]
    if not found:
        return
    cells = _Cells.joined(found)
    shown = ((cells.targets > 0) & (cells.weights > 0)).any(dim=0)
    rows, biases = _regression(cells)
    with torch.no_grad():
        for place, number in enumerate(numbers):
            if shown[place]:
                head.categories.weight[number, :, 0, 0] = rows[place]
                head.categories.get_parameter("bias")[number] = biases[place]


@torch.no_grad()
def _cells(head: DenseHead, slices: RowSlices, generator: torch.Generator) -> _Cells:
    """Return the cells that show one of the categories, and a few of the others for all."""
    features = head.features(slices.embedding, slices.beside).permute(0, 2, 3, 1).flatten(1, 2)
    targets = slices.maps.permute(0, 2, 3, 1).flatten(1, 2)
    found = []
    for one, shares, known in zip(features, targets, slices.annotated, strict=True):
        inside = shares.amax(dim=1) > 0
        others = torch.nonzero(~inside)[:, 0]
        order = torch.randperm(len(others), generator=generator)[:_CELLS].to(others.device)
        chosen = torch.cat([torch.nonzero(inside)[:, 0], others[order]])
        each = torch.ones(len(chosen), 1, device=one.device)
        each[int(inside.sum()) :] = len(others) / max(len(order), 1)
        found.append(_Cells(one[chosen], shares[chosen], each * known))
    return _Cells.joined(found)


def _regression(cells: _Cells) -> tuple[Tensor, Tensor]:
    """Return weights (N, channels) and biases (N,) of N logistic regressions."""
    count, width = cells.targets.shape[1], cells.features.shape[1]
    rows = cells.features.new_zeros((count, width), requires_grad=True)
    biases = cells.features.new_full((count,), _FIRST_BIAS, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [rows, biases], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )
    total = cells.weights.sum(dim=0).clamp(min=1)

    def loss() -> float:
        optimiser.zero_grad()
        logits = cells.features @ rows.T + biases
        each = F.binary_cross_entropy_with_logits(logits, cells.targets, reduction="none")
        mean = (each * cells.weights).sum(dim=0) / total
        value = mean.sum() + _SHRINKAGE * rows.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return rows.detach(), biases.detach()
