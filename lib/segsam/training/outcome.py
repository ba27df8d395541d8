"""What a run leaves: its checkpoint with a card, and a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from segsam.datasets.folder import Dataset
from segsam.model import Card, SegSam, find_variant, save_checkpoint
from segsam.training.config import TrainConfig
from segsam.training.validation import averages

MODEL = "model.safetensors"
REPORT = "report.json"


@dataclass(frozen=True)
class TrainReport:
    """What a run came to; `metrics` in percent."""

    checkpoint: Path
    steps: int
    """Done; fewer than planned when the run ended early."""
    slices: Mapping[str, int]
    """Of training and validation."""
    encoded: int
    first_loss: float | None
    """Of this process; None, as the last, when nothing was left to do."""
    last_loss: float | None
    metrics: Mapping[str, float]
    seconds: float
    """Of this process, with preparation."""
    training_seconds: float
    """Spent on steps and validations, over all processes that worked on the run."""
    best_step: int
    """After which the weights that were saved stood."""

    def to_json(self) -> str:
        """As it is kept with the run."""
        return json.dumps(asdict(self) | {"checkpoint": str(self.checkpoint)}, indent=1)


def save_model(
    model: SegSam,
    config: TrainConfig,
    datasets: Sequence[Dataset],
    *,
    parent: str,
    metrics: Mapping[str, float],
) -> Path:
    """Write the weights as they are, with a card that says what they learnt from; the path.

    Args:
        parent: name of the weights that training started from.
        metrics: of the validation, by name as `validate` gives them.

    Raises:
        OutputError: when it cannot be written.
    """
    licences = "; ".join(f"{dataset.name}: {dataset.licence}" for dataset in datasets)
    semantics = find_variant(config.variant).semantics
    card = Card(
        name=f"{config.variant} on {model.host.facts.name}",
        semantic_is_trained=semantics,
        training_data=tuple(dataset.name for dataset in datasets),
        licence=f"weights of the host: {model.host.facts.licence}; {licences}",
        metrics=averages(metrics),
        parent=parent,
        prompts_trained=_prompts(config),
        seed=config.seed,
    )
    return save_checkpoint(model, Path(config.out) / MODEL, card)


def _prompts(config: TrainConfig) -> tuple[str, ...]:
    """The kinds of prompt that a run shows; corrections come with clicks and the mask before."""
    shown = {
        "box": config.point_share < 1,
        "point": config.point_share > 0 or config.correction_rounds > 0,
        "mask": config.correction_rounds > 0 and config.mask_share > 0,
    }
    return tuple(kind for kind, is_shown in shown.items() if is_shown)
