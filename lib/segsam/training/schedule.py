"""Length of a run, learning rate of each step, and steps at which something is due."""

from __future__ import annotations

from torch import optim

from segsam.training.config import TrainConfig


def total_steps(config: TrainConfig, slices: int) -> int:
    """Return the number of steps of a run that learns from `slices` slices; 0 if it trains the
    dense head or the class layer alone.
    """
    alone = config.dense_steps or config.fit_classes == "all"
    if config.steps or (alone and not config.epochs):
        return config.steps
    return max(1, round(config.epochs * slices / config.images_per_step))


def is_due(step: int, every: int) -> bool:
    """Return True if something is due after `step` steps that comes every `every` steps; 0 is
    never.
    """
    return every > 0 and step % every == 0


def set_learning_rates(
    optimiser: optim.Optimizer, config: TrainConfig, *, step: int, total: int
) -> dict[str, float]:
    """Put the rates of step `step` (from 0) of `total` into the optimiser, and return them."""
    factor: float = 0.5 ** sum(step / total >= at for at in config.halve_at)
    if step < config.warmup_steps:
        factor *= (step + 1) / config.warmup_steps
    for group in optimiser.param_groups:
        group["lr"] = group["begins_at"] * factor
    host = config.host_learning_rate or config.learning_rate
    return {"learning_rate": config.learning_rate * factor, "host_learning_rate": host * factor}
