"""Several processes that train one model, as `torchrun` starts them.

Every process holds all weights and takes its share of the images of each step; gradients are summed
by one plain all-reduce per step. PyTorch's DistributedDataParallel does not fit: it would
synchronise in every backward pass, while ours go image by image, and it requires the same
parameters in use everywhere, while boxes and points use different ones.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, nn

_TIMEOUT = timedelta(hours=2)
"""Longest wait for another process: the first one validates while the others wait."""


@dataclass(frozen=True)
class Processes:
    """Rank of this process among those of the run; a single process by default."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """True for the process that logs, validates and saves."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Return the indices below `count` that belong to this process."""
        return range(self.rank, count, self.world)

    def wait(self) -> None:
        """Block until all processes are here."""
        if self.world > 1:
            distributed.barrier()

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients of every process by their sum.

        A parameter without a gradient anywhere keeps None, so that the optimiser skips it as it
        does in a single process.
        """
        if self.world == 1:
            return
        device = parameters[0].device
        counts = torch.tensor([float(one.grad is not None) for one in parameters], device=device)
        distributed.all_reduce(counts)
        used = [one for one, count in zip(parameters, counts.tolist(), strict=True) if count]
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in used]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        parts = flat.split_with_sizes([one.numel() for one in used])
        for one, part in zip(used, parts, strict=True):
            one.grad = part.view_as(one).clone()

    def sum_numbers(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Return sums by name over the processes; a name that is missing in one counts as 0."""
        if self.world == 1:
            return dict(numbers)
        gathered: list[Any] = [None] * self.world
        distributed.all_gather_object(gathered, dict(numbers))
        names = dict.fromkeys(name for one in gathered for name in one)
        return {name: sum(one.get(name, 0.0) for one in gathered) for name in names}

    def from_first(self, value: Any) -> Any:
        """Return the first process's value in all of them."""
        if self.world == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]


@contextlib.contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Connect the processes that `torchrun` started inside the block, over gloo on CPUs and nccl on
    GPUs; without `torchrun` there is one.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield Processes(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()


def is_main_process() -> bool:
    """Return True in the process that writes to the terminal; known before `join_processes`."""
    return os.environ.get("RANK", "0") == "0"
