"""Cache of one value that depends on weights and on one image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


class LastValueCache(Generic[Value]):
    """Cache of the last value that was computed, valid while weights, image and grid stay the same.

    Only one value is held: on the next image the old one is of no use, and for all slices of a
    volume these values would take more memory than the embeddings. PyTorch counts in-place changes
    of a tensor in `_version`, so an optimiser step or `load_state_dict` makes the value invalid.

    Nothing is cached while gradients are enabled, because the value would hold on to a freed graph,
    and for weights that were created in inference mode, whose changes PyTorch does not count. Safe
    to share between threads: at worst two of them compute the same value at once.
    """

    def __init__(self) -> None:
        self._last: tuple[object, Tensor | None, Value] | None = None

    def get(
        self,
        weights: Iterable[Tensor],
        compute: Callable[[], Value],
        *,
        image: Tensor | None = None,
        grid: object = None,
    ) -> Value:
        """Return the value of `compute`, called only if one of its inputs has changed.

        Args:
            weights: every parameter that the value depends on.
            compute: makes the value.
            image: the embedding that the value depends on; compared by identity, so it must not be
                changed in place.
            grid: size of the grid that the value depends on; compared by equality.
        """
        counted = tuple(weights)
        if torch.is_grad_enabled() or any(tensor.is_inference() for tensor in counted):
            return compute()
        state = (grid, *((tensor.data_ptr(), tensor._version) for tensor in counted))
        last = self._last
        if last is None or last[0] != state or last[1] is not image:
            last = self._last = (state, image, compute())
        return last[2]
