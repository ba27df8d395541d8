"""Card of a checkpoint (JSON): what it is, what it was trained on, which parts it consists of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from segsam.categories import Category
from segsam.errors import CategoryError, CheckpointError, DamagedRecordError
from segsam.model.config import SemanticConfig
from segsam.system.atomic import write_bytes
from segsam.system.checked_json import parse_json

if TYPE_CHECKING:
    from segsam.model.segsam import SegSam

FORMAT = 1
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Card:
    """Everything that is known about a model besides its weights.

    The caller sets the fields down to `seed` (`CALLER_FIELDS`), for example after training. The
    others follow from the model and its file; `completed` and `save_checkpoint` fill them in.
    Nested mappings contain plain JSON values.
    """

    name: str = ""
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
    """Some of box, point and mask; empty in a file for those of the host."""
    categories_seen: tuple[str, ...] = ()
    """Names of the categories that had examples in training; empty in a file for all of them."""
    presence_is_trained: bool = True
    """True if the presence branch's output may be shown: in training it has seen absence too."""
    unnamed_in: tuple[str, ...] = ()
    """Where its names are not good enough to show: a modality, as the volume's file gives it, or a
    modality and a name, such as "CT: soft-tissue sarcoma"."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Data set -> modality, licence, source, categories, and number of cases in each part."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Facts of the run: steps, rate, prompts, time, machine, whatever a reader should know."""
    results: Mapping[str, Any] = field(default_factory=dict)
    """Kind of prompt -> output of `segsam evaluate --json`: scores in percent with their interval
    for modalities, data sets and the average."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """Output of `segsam calibrate --json`."""
    naming: Mapping[str, Any] = field(default_factory=dict)
    """Rule by which the memory of examples gives or withholds names (`NamingRule`), the error
    rates that its limits were chosen for, and the numbers of objects; empty without a memory."""
    limits: tuple[str, ...] = ()
    """Where it fails, in sentences."""
    failures: tuple[Mapping[str, str], ...] = ()
    """Pictures of failures, each with "picture" (a path beside the model card) and "caption"."""
    split: str = ""
    """How cases were held out, in a sentence."""
    seed: int | None = None

    host: str = ""
    variant: str = ""
    """Name in `variants.VARIANTS`; empty for a model put together by hand, and in cards that are
    older than the field."""
    config: SemanticConfig = field(default_factory=SemanticConfig)
    semantic_decoder: bool = False
    text_enhancement: bool = False
    categories: tuple[Category, ...] = ()
    embedding_model: str = ""
    half: bool = False
    """True if the file stores floating-point numbers in half precision."""
    encoder: str = ""
    """`digests.weights_digest` of an image encoder that is not in the file, because it is the
    host's own; empty if it is in the file."""
    sha256: str = ""
    """SHA-256 of the weights file; empty for weights that are in no file. "-medsam" or
    "-medsam2" follows it for an official file of that host, because the same file may serve SAM or
    SAM 2.1 tiny, which prepare images differently.
    """

    def __post_init__(self) -> None:
        """Refuse a temperature that would silently distort every probability.

        Raises:
            CheckpointError: a temperature that is not a positive number.
        """
        number = isinstance(self.temperature, int | float)
        if not number or not 0 < self.temperature < math.inf:
            raise CheckpointError(
                f"Expected a positive temperature in the card, got {self.temperature!r}."
            )

    def completed(self, model: SegSam) -> Card:
        """Return the card with the fields that follow from a model's parts, and no empty list of
        prompts or categories.
        """
        return replace(
            self,
            host=model.host.facts.name,
            config=model.config,
            semantic_decoder=model.semantic_decoder is not None,
            text_enhancement=model.text_enhancement is not None,
            categories=model.categories.items,
            embedding_model=model.categories.embedding_model,
            prompts_trained=self.prompts_trained or model.host.facts.prompts_trained,
            categories_seen=self.categories_seen or model.categories.names,
        )

    def to_json(self) -> str:
        """Return the card as it is written to a file."""
        record = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        record["config"] = asdict(self.config)
        record["categories"] = [category.to_record() for category in self.categories]
        for name in _MAPPINGS:
            record[name] = dict(record[name])
        return json.dumps({"format": FORMAT} | record, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, file_name: str) -> Card:
        """Read what `to_json` wrote, in this version or an older one with fewer fields.

        Raises:
            CheckpointError: not JSON, another format, or keys that are missing or unknown.
        """
        try:
            content = text.encode("utf-8", "surrogatepass")
            record = parse_json(content, _MAX_BYTES, finite=False)
        except DamagedRecordError as error:
            raise CheckpointError(f"Expected JSON in the card {file_name}: {error}.") from error
        if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
            raise CheckpointError(f"Expected a checkpoint card of format {FORMAT} in {file_name}.")
        missing = _REQUIRED - set(record)
        unknown = set(record) - {entry.name for entry in fields(cls)}
        if missing or unknown:
            raise CheckpointError(
                f"Missing or unknown in the card {file_name}: "
                f"{', '.join(sorted(missing | unknown))}."
            )
        return _parsed(record, file_name)


MODEL_FIELDS = frozenset(
    {
        "host", "variant", "config", "semantic_decoder", "text_enhancement", "categories",
        "embedding_model",
    }
)  # fmt: skip
"""Fields that follow from a model."""
_FILE_FIELDS = frozenset({"half", "encoder", "sha256"})
"""Fields that follow from the weights file."""
CALLER_FIELDS = frozenset(entry.name for entry in fields(Card)) - MODEL_FIELDS - _FILE_FIELDS
_MAPPINGS = tuple(entry.name for entry in fields(Card) if entry.default_factory is dict)
_TUPLES = tuple(entry.name for entry in fields(Card) if entry.default == ())
"""Lists in JSON."""
_READERS = {
    name: TypeAdapter(hint)
    for name, hint in get_type_hints(Card).items()
    if name not in ("config", "categories", "temperature")
}
"""Checks of the types of fields that are not checked elsewhere."""
_REQUIRED = frozenset(
    {
        "name", "semantic_is_trained", "training_data", "licence", "metrics", "parent", "host",
        "config", "semantic_decoder", "text_enhancement", "categories", "embedding_model", "sha256",
    }
)  # fmt: skip
"""Fields of the oldest cards; every other field has a default."""


def read_card(path: str | Path) -> Card:
    """Read the card beside a weights file, or the card itself, given its `.json`.

    Raises:
        CheckpointError: there is none, or it is not a card.
    """
    path = card_path(Path(path))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CheckpointError(
            f"Expected the card {path.name} beside the weights, there is none."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "its text is not UTF-8"
        raise CheckpointError(
            f"Expected the card {path.name}, got a file that cannot be read: {reason}."
        ) from error
    return Card.from_json(text, path.name)


def rewrite_card(path: str | Path, **changes: Any) -> Card:
    """Change fields of the card beside a weights file, whose weights stay as they are.

    Raises:
        CheckpointError: no card, or a field that follows from the weights.
        OutputError: the card cannot be written.
    """
    card = with_facts(read_card(path), changes)
    write_bytes(card_path(Path(path)), card.to_json().encode())
    return card


def with_facts(card: Card, changes: Mapping[str, Any]) -> Card:
    """Return a card with changed fields.

    Raises:
        CheckpointError: a field that follows from the weights, or an unknown one.
    """
    wrong = sorted(set(changes) - CALLER_FIELDS)
    if wrong:
        raise CheckpointError(
            f"Expected fields of a card that can be set ({', '.join(sorted(CALLER_FIELDS))}), got "
            f"{', '.join(wrong)}."
        )
    tuples = {name: tuple(changes[name]) for name in _TUPLES if name in changes}
    return replace(card, **dict(changes) | tuples)


def card_path(weights: Path) -> Path:
    """Return the path of the card that belongs to a weights file."""
    return weights.with_suffix(".json")


def _parsed(record: dict[str, Any], file_name: str) -> Card:
    try:
        known = record | {
            "config": SemanticConfig(**record["config"]),
            "categories": tuple(map(Category.from_record, record["categories"])),
        }
        tuples = {name: tuple(known[name]) for name in _TUPLES if name in known}
        known |= tuples
        _check_types(known)
        return Card(**known)
    except (AttributeError, TypeError, CategoryError, CheckpointError) as error:
        raise CheckpointError(
            f"The card {file_name} does not describe a checkpoint: {error}"
        ) from error


def _check_types(record: Mapping[str, Any]) -> None:
    """Raise TypeError for a field of another type."""
    for name in record.keys() & _READERS.keys():
        try:
            _READERS[name].validate_python(record[name], strict=True)
        except ValidationError as error:
            raise TypeError(f"the field {name} cannot be {record[name]!r:.80}") from error
