"""Results of a run: its checkpoint with a card, and a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from segsam.datasets.folder import Dataset
from segsam.model import Card, SegSam, find_variant, save_checkpoint
from segsam.system.atomic import write_bytes
from segsam.training.config import TrainConfig
from segsam.training.example_memory import NamingFit
from segsam.training.validation import card_metrics

MODEL = "model.safetensors"
REPORT = "report.json"


@dataclass(frozen=True)
class RunReport:
    """Results that every run reports."""

    checkpoint: Path
    steps: int
    """Steps done; fewer than planned if the run ended early."""
    slices: Mapping[str, int]
    """Number of slices of the training and the validation part."""

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(asdict(self) | {"checkpoint": str(self.checkpoint)}, indent=1)

    def save(self, folder: Path) -> None:
        """Write `report.json` into the run's folder; raises OutputError."""
        write_bytes(folder / REPORT, (self.to_json() + "\n").encode())


@dataclass(frozen=True)
class TrainReport(RunReport):
    """Result of a training."""

    encoded: int
    """Slices that had to be encoded, over all processes."""
    first_loss: float | None
    """Loss of this process's first step; None, as the last, if no step was left."""
    last_loss: float | None
    metrics: Mapping[str, float]
    """Scores of the best validation, in percent."""
    seconds: float
    """Time of this process, with preparation."""
    training_seconds: float
    """Time of steps and validations, over all processes that worked on the run."""
    best_step: int
    """Step after which the saved weights were taken."""


def save_model(
    model: SegSam,
    config: TrainConfig,
    datasets: Sequence[Dataset],
    *,
    parent: str,
    metrics: Mapping[str, float],
    naming: NamingFit | None = None,
) -> Path:
    """Write the current weights with a card that describes what they were trained on.

    Args:
        model: its weights are written unchanged.
        config: the run.
        datasets: the data sets that the run learnt from.
        parent: id of the weights that training started from.
        metrics: of the validation, by name as `validate` gives them.
        naming: memory of examples and rule; without, names follow from the decoder alone.

    Returns:
        The path of the weights.

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
        metrics=card_metrics(metrics),
        parent=parent,
        prompts_trained=_prompts(config),
        seed=config.seed,
        naming={} if naming is None else naming.to_card(),
    )
    if naming is not None:
        model = model.with_memory(naming.memory, replace(model.card, naming=card.naming))
    return save_checkpoint(model, Path(config.out) / MODEL, card)


def _prompts(config: TrainConfig) -> tuple[str, ...]:
    """Return the kinds of prompt of a run; correction rounds have clicks and the previous mask."""
    shown = {
        "box": config.point_share < 1,
        "point": config.point_share > 0 or config.correction_rounds > 0,
        "mask": config.correction_rounds > 0 and config.mask_share > 0,
    }
    return tuple(kind for kind, is_shown in shown.items() if is_shown)
