"""The optimiser and the moving average of the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn, optim

from segsam.model import SegSam
from segsam.training.config import TrainConfig

_HOST = ("host.prompt_encoder.", "host.mask_decoder.")
_ENCODER = "host.image_encoder."
"""Prefixes of the host's pretrained weights that have rates of their own."""


def build_optimiser(model: SegSam, config: TrainConfig) -> optim.Optimizer:
    """Return Adam over all trained weights, in up to three groups with a rate of their own: new
    parts, the host's prompt encoder and mask decoder, and its image encoder where the run trains
    it.
    """
    new, host = config.learning_rate, config.host_learning_rate or config.learning_rate
    encoder = config.encoder_learning_rate
    groups: dict[str, tuple[float, list[nn.Parameter]]] = {
        "new": (new, []),
        "host": (host, []),
        "encoder": (encoder, []),
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_encoder = encoder > 0 and name.startswith(_ENCODER)
            group = "encoder" if is_encoder else "host" if name.startswith(_HOST) else "new"
            groups[group][1].append(parameter)
    with_rates = [
        {"params": parameters, "lr": rate, "begins_at": rate}
        for rate, parameters in groups.values()
        if parameters
    ]
    if config.weight_decay:
        return optim.AdamW(with_rates, weight_decay=config.weight_decay, fused=True)
    return optim.Adam(with_rates, fused=True)


class WeightAverage:
    """Exponential moving average of the trained weights; with decay 0 the weights themselves.

    It smooths the noise of small batches. The decay of step n is at most (1 + n) / (10 + n), so
    that the initial weights fade quickly.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._trained = {
            name: value for name, value in model.named_parameters() if value.requires_grad
        }
        self._steps = 0
        self._average: dict[str, Tensor] = {}
        if decay:
            self._average = {name: one.detach().clone() for name, one in self._trained.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Include the weights after a step."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for name, average in self._average.items():
            average.lerp_(self._trained[name].detach(), 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the model inside the block."""
        own = {name: self._trained[name].detach().clone() for name in self._average}
        self._put(self._average)
        try:
            yield
        finally:
            self._put(own)

    def put(self) -> None:
        """Put the averaged weights into the model for good."""
        self._put(self._average)

    def state(self) -> dict[str, object]:
        """Return the state dict that `restore` takes."""
        return {"steps": self._steps, "average": self._average}

    def restore(self, state: dict[str, object]) -> None:
        """Continue from a state dict.

        Raises:
            LookupError, TypeError: the state of another model.
        """
        saved, steps = state["average"], state["steps"]
        if not isinstance(saved, dict) or not isinstance(steps, int):
            raise TypeError("no state of an average")
        for name, average in self._average.items():
            average.copy_(saved[name])
        self._steps = steps

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self._trained[name].copy_(value)
