"""What is made of weights and of one image, kept from call to call while neither changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """The value that was asked for last.

    It is made anew while gradients are wanted, and of weights that were made in inference mode,
    whose changes PyTorch does not count. Safe to share between threads: two may make it at once, to
    one result.
    """

    def __init__(self) -> None:
        self._kept: tuple[object, Tensor | None, Value] | None = None

    def of(
        self,
        weights: Iterable[Tensor],
        make: Callable[[], Value],
        *,
        image: Tensor | None = None,
        grid: object = None,
    ) -> Value:
        """What `make` makes of `weights`, of `image`, which nobody changes in place, and of a
        `grid`'s size.
        """
        counted = tuple(weights)
        if torch.is_grad_enabled() or any(tensor.is_inference() for tensor in counted):
            return make()
        state = (grid, *((tensor.data_ptr(), tensor._version) for tensor in counted))
        kept = self._kept
        if kept is None or kept[0] != state or kept[1] is not image:
            kept = self._kept = (state, image, make())
        return kept[2]
