"""The card of a checkpoint (JSON): what it is, what it was trained on, how it is put together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from segsam.categories import Category
from segsam.errors import CategoryError, CheckpointError
from segsam.model.config import SemanticConfig
from segsam.system.atomic import write_bytes

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """The first group is for the caller to fill (`CALLERS`); `save_checkpoint` fills the second
    itself. Nested mappings hold plain JSON values.
    """

    name: str
    semantic_is_trained: bool = False
    training_data: tuple[str, ...] = ()
    """Names of the data sets."""
    licence: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The few numbers that training itself measured, in percent."""
    parent: str = ""
    """Name or hash of the checkpoint that training started from."""
    temperature: float = 1.0
    """Class logits are divided by it before the softmax, so that a probability is how often the
    name is right (fitted on validation data; Guo et al., ICML 2017)."""
    prompts_trained: tuple[str, ...] = ()
    """Of box, point and mask; empty for those of the host."""
    categories_seen: tuple[str, ...] = ()
    """Names of the categories that had examples in training; empty for all of them."""
    presence_is_trained: bool = True
    """Whether what the presence branch says may be shown: it has to have seen absence as well."""
    unnamed_in: tuple[str, ...] = ()
    """Where its names are not good enough to show: a modality, as a volume's file tells it, or a
    modality and a name, such as "CT: soft-tissue sarcoma"."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Data set -> modality, licence, source, categories, and how many cases in each part."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Facts of the run: steps, rate, prompts, time, machine, whatever a reader should know."""
    results: Mapping[str, Any] = field(default_factory=dict)
    """Kind of prompt -> what `segsam evaluate --json` wrote: scores in percent with their interval
    for modalities, data sets and the average."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """What `segsam calibrate --json` wrote."""
    limits: tuple[str, ...] = ()
    """Where it fails, in sentences."""
    failures: tuple[Mapping[str, str], ...] = ()
    """Pictures of failures, each with "picture" (a path beside the model card) and "caption"."""
    split: str = ""
    """How cases were held out, in a sentence."""
    seed: int | None = None

    host: str = ""
    variant: str = ""
    """Its name in `variants.VARIANTS`; empty for a model put together by hand, and in cards that
    are older than the field."""
    config: SemanticConfig = field(default_factory=SemanticConfig)
    semantic_decoder: bool = False
    text_enhancement: bool = False
    categories: tuple[Category, ...] = ()
    embedding_model: str = ""
    half: bool = False
    """Whether the file keeps its floating numbers in half precision."""
    encoder: str = ""
    """`weights_digest` of an image encoder that is not in the file, because it is the host's own;
    empty when it is in the file."""
    sha256: str = ""
    """Of the weights file."""

    def __post_init__(self) -> None:
        """Refuse what would silently bend every probability.

        Raises:
            CheckpointError: a temperature that is no positive number.
        """
        number = isinstance(self.temperature, int | float)
        if not number or not 0 < self.temperature < math.inf:
            raise CheckpointError(
                f"Expected a positive temperature in the card, got {self.temperature!r}."
            )

    def to_json(self) -> str:
        """The card as it is written."""
        record = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        record["config"] = asdict(self.config)
        record["categories"] = [category.to_record() for category in self.categories]
        for name in _MAPPINGS:
            record[name] = dict(record[name])
        return json.dumps({"format": FORMAT} | record, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, file_name: str) -> Card:
        """The card that `to_json` wrote, now or before it had all its fields; `file_name` is for
        the messages.

        Raises:
            CheckpointError: not JSON, another format, or keys that are missing or unknown.
        """
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise CheckpointError(f"Expected JSON in the card {file_name}: {error}.") from error
        if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
            raise CheckpointError(f"Expected a checkpoint card of format {FORMAT} in {file_name}.")
        missing = _FROM_THE_START - set(record)
        unknown = set(record) - {entry.name for entry in fields(cls)}
        if missing or unknown:
            raise CheckpointError(
                f"Missing or unknown in the card {file_name}: "
                f"{', '.join(sorted(missing | unknown))}."
            )
        return _parsed(record, file_name)


_OF_SAVING = frozenset(
    {
        "host", "variant", "config", "semantic_decoder", "text_enhancement", "categories",
        "embedding_model", "half", "encoder", "sha256",
    }
)  # fmt: skip
CALLERS = frozenset(entry.name for entry in fields(Card)) - _OF_SAVING
_MAPPINGS = ("metrics", "data", "training", "results", "calibration")
_TUPLES = (
    "training_data",
    "prompts_trained",
    "categories_seen",
    "unnamed_in",
    "limits",
    "failures",
)
_FROM_THE_START = frozenset(
    {
        "name", "semantic_is_trained", "training_data", "licence", "metrics", "parent", "host",
        "config", "semantic_decoder", "text_enhancement", "categories", "embedding_model", "sha256",
    }
)  # fmt: skip
"""What the oldest cards have; everything else has a default."""


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


def rewrite_card(path: str | Path, **changes: Any) -> Card:
    """The card beside a weights file with fields of the caller's group changed, and written; the
    weights are not touched.

    Raises:
        CheckpointError: no card, or a field that follows from the weights.
        OutputError: a card that cannot be written.
    """
    card = with_facts(read_card(path), changes)
    write_bytes(card_path(Path(path)), card.to_json().encode())
    return card


def with_facts(card: Card, changes: Mapping[str, Any]) -> Card:
    """A card with fields of the caller's group changed.

    Raises:
        CheckpointError: a field that follows from the weights, or that there is not.
    """
    wrong = sorted(set(changes) - CALLERS)
    if wrong:
        raise CheckpointError(
            f"Expected fields of a card that are the caller's ({', '.join(sorted(CALLERS))}), got "
            f"{', '.join(wrong)}."
        )
    tuples = {name: tuple(changes[name]) for name in _TUPLES if name in changes}
    return replace(card, **dict(changes) | tuples)


def card_path(weights: Path) -> Path:
    """Where the card of a weights file stands."""
    return weights.with_suffix(".json")


def _parsed(record: dict[str, Any], file_name: str) -> Card:
    try:
        known = record | {
            "config": SemanticConfig(**record["config"]),
            "categories": tuple(map(Category.from_record, record["categories"])),
        }
        tuples = {name: tuple(known[name]) for name in _TUPLES if name in known}
        return Card(**known | tuples)
    except (TypeError, CategoryError, CheckpointError) as error:
        raise CheckpointError(
            f"The card {file_name} does not describe a checkpoint: {error}"
        ) from error
