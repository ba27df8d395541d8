"""How weights move: the optimiser, its rates over a run, and the moving average of the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn, optim

from segsam.model import SegSam
from segsam.training.config import TrainConfig

_HOST = ("host.prompt_encoder.", "host.mask_decoder.")
"""Where the host's pretrained weights are that learn."""


def build_optimiser(model: SegSam, config: TrainConfig) -> optim.Optimizer:
    """Adam over all that learns, in two groups: new parts, and pretrained parts of the host."""
    groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name.startswith(_HOST)].append(parameter)
    rates = {False: config.learning_rate, True: config.host_learning_rate or config.learning_rate}
    wanted = [
        {"params": parameters, "lr": rates[of_host], "begins_at": rates[of_host]}
        for of_host, parameters in groups.items()
        if parameters
    ]
    if config.weight_decay:
        return optim.AdamW(wanted, weight_decay=config.weight_decay, fused=True)
    return optim.Adam(wanted, fused=True)


def set_rates(
    optimiser: optim.Optimizer, config: TrainConfig, *, step: int, total: int
) -> dict[str, float]:
    """The rates of step `step` (from 0) of `total`, put into the optimiser; for the log."""
    factor: float = 0.5 ** sum(step / total >= at for at in config.halve_at)
    if step < config.warmup_steps:
        factor *= (step + 1) / config.warmup_steps
    for group in optimiser.param_groups:
        group["lr"] = group["begins_at"] * factor
    host = config.host_learning_rate or config.learning_rate
    return {"learning_rate": config.learning_rate * factor, "host_learning_rate": host * factor}


class WeightAverage:
    """An exponential moving average of all that learns; with a decay of 0 the weights themselves.

    It evens out the swings that small batches make. In the first steps it keeps less, (1 + n) /
    (10 + n), so that the start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._learning = {
            name: value for name, value in model.named_parameters() if value.requires_grad
        }
        self._steps = 0
        self._average: dict[str, Tensor] = {}
        if decay:
            self._average = {name: one.detach().clone() for name, one in self._learning.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take a step's weights in."""
        keep = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for name, average in self._average.items():
            average.lerp_(self._learning[name].detach(), 1 - keep)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside the block."""
        own = {name: self._learning[name].detach().clone() for name in self._average}
        self._put(self._average)
        try:
            yield
        finally:
            self._put(own)

    def state(self) -> dict[str, object]:
        """What `restore` takes."""
        return {"steps": self._steps, "average": self._average}

    def restore(self, state: dict[str, object]) -> None:
        """Go on from a kept state.

        Raises:
            LookupError, TypeError: another model's.
        """
        kept, steps = state["average"], state["steps"]
        if not isinstance(kept, dict) or not isinstance(steps, int):
            raise TypeError("no state of an average")
        for name, average in self._average.items():
            average.copy_(kept[name])
        self._steps = steps

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self._learning[name].copy_(value)
