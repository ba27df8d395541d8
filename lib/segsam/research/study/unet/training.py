"""Training a network without prompts for a given time; stopped anywhere, it goes on.

How many steps fit into the time is the machine's affair, so that two runs agree step by step and
not in their number of steps.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import nn, optim

from segsam.errors import OutputError, TrainingError
from segsam.research.study.unet.config import UNetConfig
from segsam.research.study.unet.loss import partial_loss
from segsam.research.study.unet.pictures import ClassSlice
from segsam.research.study.unet.varying import Varying
from segsam.system.atomic import write_bytes
from segsam.training.sampling import SliceOrder
from segsam.types import Progress

LAST = "last.pt"
_KEEP_EVERY_SECONDS = 60.0
_CLIP = 12.0
"""The norm that nnU-Net clips gradients to."""
_RATES = {"dynunet": 1e-3, "unetr": 3e-4}
_DECAY = 3e-5
_DAMAGE = (UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, OSError)


@dataclass
class Spent:
    """How far a run has come."""

    step: int = 0
    seconds: float = 0.0

    def share(self, config: UNetConfig) -> float:
        """Of the time, or of the steps where these are fewer; 1 and more is done."""
        by_steps = self.step / config.steps if config.steps else 0.0
        by_time = self.seconds / config.seconds if config.seconds else 1.0
        return max(by_time, by_steps)


class UNetRun:
    """A network, its optimiser, and how far they have come."""

    def __init__(self, config: UNetConfig, network: nn.Module) -> None:
        self.config = config
        self.network = network
        self.spent = Spent()
        self._optimiser = _optimiser(config, network)
        self._rate = float(self._optimiser.param_groups[0]["lr"])
        self._folder = Path(config.out)
        self._varying = Varying()
        self._restore()

    @property
    def is_done(self) -> bool:
        """Whether its time, or its steps, are spent."""
        return self.spent.share(self.config) >= 1

    def learn(self, slices: Sequence[ClassSlice], progress: Progress) -> None:
        """Spend what is left of the time.

        Raises:
            TrainingError: a loss that is no number.
            OutputError: a checkpoint that cannot be written.
        """
        self.network.train()
        order = SliceOrder(
            [one.dataset for one in slices], seed=self.config.seed, balance=self.config.balance
        )
        kept = self.spent.seconds
        while not self.is_done:
            began = time.monotonic()
            loss = self._step(slices, order)
            self.spent.step += 1
            self.spent.seconds += time.monotonic() - began
            if self.spent.seconds - kept >= _KEEP_EVERY_SECONDS:
                self._keep()
                kept = self.spent.seconds
            done, total = int(self.spent.seconds), int(self.config.seconds)
            progress(done, total, f"step {self.spent.step}, loss {loss:.3f}")
        self._keep()

    def _step(self, slices: Sequence[ClassSlice], order: SliceOrder) -> float:
        count = self.config.images_per_step
        drawn = [slices[place] for place in order.indices(self.spent.step * count, count)]
        rate = self._rate * (1 - self.spent.share(self.config)) ** 0.9  # nnU-Net's
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        seed = int(np.random.default_rng([self.config.seed, self.spent.step, 1]).integers(2**31))
        pictures, targets = self._varying.batch(drawn, seed)
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

    def _keep(self) -> None:
        content = io.BytesIO()
        torch.save(
            {
                "config": self.config.to_json(),
                "step": self.spent.step,
                "seconds": self.spent.seconds,
                "network": self.network.state_dict(),
                "optimiser": self._optimiser.state_dict(),
            },
            content,
        )
        write_bytes(self._folder / LAST, content.getvalue())

    def _restore(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot write to {self._folder.name}: {error.strerror}.") from error
        path = self._folder / LAST
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
        except _DAMAGE as error:
            raise TrainingError(
                f"Cannot go on from {LAST} in {self._folder.name}: it is damaged "
                f"({type(error).__name__})."
            ) from error


def _optimiser(config: UNetConfig, network: nn.Module) -> optim.Optimizer:
    """AdamW: nnU-Net's own SGD with a momentum of 0.99 wants a thousand times as many steps."""
    return optim.AdamW(network.parameters(), lr=_RATES[config.network], weight_decay=_DECAY)
