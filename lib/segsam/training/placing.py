"""Where a run computes, and how precisely."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace

import torch

from segsam.errors import TrainingError
from segsam.model import PromptTensors
from segsam.training.config import TrainConfig


def chosen_device(config: TrainConfig) -> torch.device:
    """The run's device; `auto` is a GPU where there is one, under `torchrun` each process's own.

    Raises:
        TrainingError: no such device in this machine.
    """
    if config.device == "auto":
        own = int(os.environ.get("LOCAL_RANK", "0"))
        return torch.device("cuda", own) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(config.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise TrainingError(
            f"Cannot compute on the device {config.device!r} here: {str(error).splitlines()[0]}"
        ) from error
    return device


def mixed_precision(
    config: TrainConfig, device: torch.device
) -> contextlib.AbstractContextManager[None]:
    """Inside the block matrix products are of the run's precision; weights, the optimiser's state
    and the losses stay float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


def moved(prompts: PromptTensors, device: torch.device) -> PromptTensors:
    """The same prompts on a device."""
    given = {name: value.to(device) for name, value in vars(prompts).items() if value is not None}
    return replace(prompts, **given)


@contextlib.contextmanager
def some_threads(count: int) -> Iterator[None]:
    """PyTorch works with so many threads inside the block; 0 leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
