"""Training of a network without prompts for a given time; a stopped run can be continued.

The number of steps that fit into the time depends on the machine. Two runs are therefore equal step
by step, but not in their number of steps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn, optim

from segsam.errors import TrainingError
from segsam.research.study.unet.config import UNetConfig
from segsam.research.study.unet.loss import partial_loss
from segsam.research.study.unet.slices import Augmentation, ClassSlice
from segsam.system.atomic import write_bytes
from segsam.system.folders import make_folder
from segsam.training.run_state import READ_ERRORS, write_record
from segsam.training.sampling import SliceOrder
from segsam.types import Progress

_LAST = "last.pt"
_SAVE_EVERY_SECONDS = 60.0
_CLIP = 12.0
"""Norm to which gradients are clipped, as in nnU-Net."""
_RATES = {"dynunet": 1e-3, "unetr": 3e-4}
_DECAY = 3e-5


@dataclass
class Spent:
    """Steps and seconds of a run so far."""

    step: int = 0
    seconds: float = 0.0

    def share(self, config: UNetConfig) -> float:
        """Return the share of the time or of the steps that is spent, whichever is larger."""
        by_steps = self.step / config.steps if config.steps else 0.0
        by_time = self.seconds / config.seconds if config.seconds else 1.0
        return max(by_time, by_steps)


class UNetRun:
    """Network and optimiser of one run, with the steps and seconds so far."""

    def __init__(self, config: UNetConfig, network: nn.Module) -> None:
        self.config = config
        self.network = network
        self.spent = Spent()
        self._optimiser = _optimiser(config, network)
        self._rate = float(self._optimiser.param_groups[0]["lr"])
        self._folder = Path(config.out)
        self._augmentation = Augmentation()
        self._restore()

    @property
    def is_done(self) -> bool:
        """True if the time or the steps are spent."""
        return self.spent.share(self.config) >= 1

    def train(self, slices: Sequence[ClassSlice], progress: Progress) -> None:
        """Train for the time that is left.

        Raises:
            TrainingError: a loss that is not finite.
            OutputError: a checkpoint that cannot be written.
        """
        self.network.train()
        order = SliceOrder(
            [one.dataset for one in slices], seed=self.config.seed, balance=self.config.balance
        )
        saved = self.spent.seconds
        while not self.is_done:
            start = time.monotonic()
            loss = self._step(slices, order)
            self.spent.step += 1
            self.spent.seconds += time.monotonic() - start
            if self.spent.seconds - saved >= _SAVE_EVERY_SECONDS:
                self._save()
                saved = self.spent.seconds
            done, total = int(self.spent.seconds), int(self.config.seconds)
            progress(done, total, f"step {self.spent.step}, loss {loss:.3f}")
        self._save()

    def _step(self, slices: Sequence[ClassSlice], order: SliceOrder) -> float:
        count = self.config.images_per_step
        drawn = [slices[index] for index in order.indices(self.spent.step * count, count)]
        rate = self._rate * (1 - self.spent.share(self.config)) ** 0.9  # the schedule of nnU-Net
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        seed = int(np.random.default_rng([self.config.seed, self.spent.step, 1]).integers(2**31))
        pictures, targets = self._augmentation.batch(drawn, seed)
        competing = torch.stack([one.competing for one in drawn])
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(pictures.contiguous(memory_format=torch.channels_last))
        loss = partial_loss(logits, targets, competing)
        if not torch.isfinite(loss):
            raise TrainingError(f"The loss of step {self.spent.step + 1} is {loss.item()}.")
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self._optimiser.step()
        return float(loss.detach())

    def _save(self) -> None:
        record = {
            "config": self.config.to_json(),
            "step": self.spent.step,
            "seconds": self.spent.seconds,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        write_record(self._folder / _LAST, record)

    def _restore(self) -> None:
        """Continue from the last checkpoint, if there is one."""
        make_folder(self._folder)
        path = self._folder / _LAST
        if not path.is_file():
            write_bytes(self._folder / "config.json", self.config.to_json().encode())
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["config"] != self.config.to_json():
                raise TrainingError(
                    f"The run in {self._folder.name} was started with another configuration; give "
                    "the same one, or another folder."
                )
            self.network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.spent = Spent(int(state["step"]), float(state["seconds"]))
        except READ_ERRORS as error:
            raise TrainingError(
                f"Cannot continue from {_LAST} in {self._folder.name}: it is damaged "
                f"({type(error).__name__})."
            ) from error


def _optimiser(config: UNetConfig, network: nn.Module) -> optim.Optimizer:
    """Return AdamW: nnU-Net's SGD with momentum 0.99 needs a thousand times as many steps."""
    return optim.AdamW(network.parameters(), lr=_RATES[config.network], weight_decay=_DECAY)
