"""How long a run is, and when something that comes every so many steps is due."""

from __future__ import annotations

from segsam.training.config import TrainConfig


def total_steps(config: TrainConfig, slices: int) -> int:
    """Steps of a run that learns from so many slices."""
    if config.steps:
        return config.steps
    return max(1, round(config.epochs * slices / config.images_per_step))


def is_due(step: int, every: int) -> bool:
    """Whether it is due after `step` steps; with `every` 0 it never is."""
    return every > 0 and step % every == 0
