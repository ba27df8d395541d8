"""Device, precision and threads of a training run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import torch

from segsam.errors import TrainingError
from segsam.model import PromptTensors
from segsam.training.config import TrainConfig
from segsam.training.targets import Targets

AnyTensors = TypeVar("AnyTensors", PromptTensors, Targets)


def choose_device(config: TrainConfig) -> torch.device:
    """Return the run's device; `auto` is a GPU if there is one, under `torchrun` each process's
    own.

    Raises:
        TrainingError: this machine has no such device.
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
    """Compute matrix products in the run's precision inside the block; weights, optimiser state and
    losses stay float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


def to_device(tensors: AnyTensors, device: str | torch.device) -> AnyTensors:
    """Return the same prompts or targets on a device."""
    moved = {name: value.to(device) for name, value in vars(tensors).items() if value is not None}
    return replace(tensors, **moved)


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let PyTorch use `count` threads inside the block; 0 leaves the number unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
