"""The card of a checkpoint (JSON): what it is, what it was trained on, how it is put together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from segsam.categories import Category
from segsam.errors import CategoryError, CheckpointError
from segsam.model.config import SemanticConfig

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """The first group is for the caller to fill; `save_checkpoint` fills the second itself."""

    name: str
    semantic_is_trained: bool = False
    training_data: tuple[str, ...] = ()
    licence: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    parent: str = ""
    """Name or hash of the checkpoint that training started from."""

    host: str = ""
    variant: str = ""
    """Its name in `variants.VARIANTS`; empty for a model put together by hand, and in cards that
    are older than the field."""
    config: SemanticConfig = field(default_factory=SemanticConfig)
    semantic_decoder: bool = False
    text_enhancement: bool = False
    categories: tuple[Category, ...] = ()
    embedding_model: str = ""
    sha256: str = ""
    """Of the weights file."""

    def to_json(self) -> str:
        """The card as it is written."""
        record = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        record["config"] = asdict(self.config)
        record["categories"] = [category.to_record() for category in self.categories]
        record["metrics"] = dict(self.metrics)
        return json.dumps({"format": FORMAT} | record, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, file_name: str) -> Card:
        """The card that `to_json` wrote; `file_name` is for the messages.

        Raises:
            CheckpointError: not JSON, another format, or keys that are missing or unknown.
        """
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise CheckpointError(f"Expected JSON in the card {file_name}: {error}.") from error
        if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
            raise CheckpointError(f"Expected a checkpoint card of format {FORMAT} in {file_name}.")
        record.setdefault("variant", "")
        wrong = sorted({entry.name for entry in fields(cls)} ^ set(record))
        if wrong:
            raise CheckpointError(
                f"Missing or unknown in the card {file_name}: {', '.join(wrong)}."
            )
        return cls(**_parsed(record, file_name))


def read_card(path: str | Path) -> Card:
    """The card beside a weights file (or the card itself, when given a `.json`).

    Raises:
        CheckpointError: when there is none, or it is not one.
    """
    path = card_path(Path(path))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CheckpointError(
            f"Expected the card {path.name} beside the weights, there is none."
        ) from error
    return Card.from_json(text, path.name)


def card_path(weights: Path) -> Path:
    """Where the card of a weights file stands."""
    return weights.with_suffix(".json")


def _parsed(record: dict[str, Any], file_name: str) -> dict[str, Any]:
    try:
        return record | {
            "config": SemanticConfig(**record["config"]),
            "categories": tuple(map(Category.from_record, record["categories"])),
            "training_data": tuple(record["training_data"]),
        }
    except (TypeError, CategoryError, CheckpointError) as error:
        raise CheckpointError(
            f"The card {file_name} does not describe a checkpoint: {error}"
        ) from error
