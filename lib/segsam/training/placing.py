"""Where a run computes, and how precisely."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import torch

from segsam.errors import TrainingError
from segsam.model import PromptTensors
from segsam.training.config import TrainConfig


def chosen_device(config: TrainConfig) -> torch.device:
    """The run's device; `auto` is a GPU where there is one.

    Raises:
        TrainingError: no such device in this machine.
    """
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
