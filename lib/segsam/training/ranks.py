"""Several processes that learn one model together, as `torchrun` starts them.

Every process holds all weights and takes its share of the images of each step; gradients are summed
by one plain all-reduce a step. PyTorch's DistributedDataParallel would do that once for every
backward pass, while ours go image by image, and it demands the same parameters in use everywhere,
while a process whose images have boxes uses other ones than a process whose images have points.
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

_PATIENCE = timedelta(hours=2)
"""How long a process waits for another, as for the first one's validation."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run; alone by default."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that logs, validates and saves."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Which of `count` things are this process's."""
        return range(self.rank, count, self.world)

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            distributed.barrier()

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give every process the sum of all gradients; a parameter that none used keeps None, so
        that the optimiser leaves it alone as it does in a single process.
        """
        if self.world == 1:
            return
        device = parameters[0].device
        used = torch.tensor([float(one.grad is not None) for one in parameters], device=device)
        distributed.all_reduce(used)
        wanted = [one for one, count in zip(parameters, used.tolist(), strict=True) if count]
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in wanted]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for one, part in zip(
            wanted, flat.split_with_sizes([one.numel() for one in wanted]), strict=True
        ):
            one.grad = part.view_as(one).clone()

    def sum_numbers(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Sums by name over the processes; a name that one does not have counts as 0 there."""
        if self.world == 1:
            return dict(numbers)
        given: list[Any] = [None] * self.world
        distributed.all_gather_object(given, dict(numbers))
        names = dict.fromkeys(name for one in given for name in one)
        return {name: sum(one.get(name, 0.0) for one in given) for name in names}

    def from_first(self, value: Any) -> Any:
        """What the first process has, in all of them."""
        if self.world == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]


@contextlib.contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """The processes that `torchrun` started, connected inside the block; alone without it.

    They speak over gloo on processors and over nccl on GPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()


def speaks() -> bool:
    """Whether this process is the one that a person hears from; known before they are joined."""
    return os.environ.get("RANK", "0") == "0"
