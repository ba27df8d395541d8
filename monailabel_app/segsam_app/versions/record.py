"""Record of one version of the model: `version.json` beside its weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from segsam.errors import CheckpointError
from segsam_app.records import LaxRecord

WEIGHTS = "model.safetensors"
CARD = "model.json"
RECORD = "version.json"
FIRST = "0000"
"""Version of the checkpoint that the server was started with; it has no folder."""

_DIGITS = r"^[0-9]{4}$"


def _version_id(text: str) -> str:
    if not re.fullmatch(_DIGITS, text):
        raise ValueError(f"Expected a version as four digits, such as 0002, got {text!r:.80}.")
    return text


VersionId = Annotated[
    str, AfterValidator(_version_id), Field(json_schema_extra={"pattern": _DIGITS})
]
Score = Annotated[float, Field(allow_inf_nan=False)]


class _StoredRecord(LaxRecord):
    refusal = CheckpointError


class TrainedCase(_StoredRecord):
    """Labelled case that took part in the training of a version."""

    image: str
    label: str
    """SHA-256 of the label."""
    held_out: bool = False
    """Used for validation only, never trained on."""


class LeftOutCase(_StoredRecord):
    """Labelled case that a training could not use, and the reason."""

    image: str
    reason: str


class Evidence(_StoredRecord):
    """Comparison that decided about a version: Dice before and after of the same objects with the
    same prompts, a box and a point each.
    """

    cases: int
    """Held-out cases; 0 if there were none, and slices of the trained ones were taken."""
    slices: int
    objects: int
    gain: Score
    """Mean rise in percent points, of box and point together."""
    margin: Score
    """By how much the mean rise on other patients may be lower than `gain`."""


class Metrics(_StoredRecord):
    """Scores in percent by name, and their mean `score`, on the same validation slices."""

    before: dict[str, Score] = Field(default_factory=dict)
    after: dict[str, Score] = Field(default_factory=dict)


class VersionRecord(_StoredRecord):
    """One version of the model; the fields are the keys of `version.json`."""

    id: VersionId
    created: str | None = None
    parent: VersionId | None = None
    name: str = ""
    """Name that the client gave to the training."""
    promoted: bool = True
    """Made current when its training ended."""
    why: str
    """Sentence that explains why it was promoted, or why not."""
    cases: int = 0
    """Number of cases trained on, without those held out."""
    metrics: Metrics = Metrics()
    categories: list[str] = Field(default_factory=list)
    """Categories that it can name."""
    notes: list[str] = Field(default_factory=list)
    learnt: list[TrainedCase] = Field(default_factory=list)
    left_out: list[LeftOutCase] = Field(default_factory=list)
    evidence: Evidence | None = None
    """None in versions that were not compared object by object."""
    sha256: str = ""
    """SHA-256 of the weights."""

    @property
    def public_fields(self) -> dict[str, object]:
        """Fields that clients see: all without the list of cases and the hash."""
        return self.model_dump(exclude={"learnt", "sha256"})


def read_record(folder: Path) -> VersionRecord:
    """Read the record in a version's folder.

    Raises `CheckpointError` if it is missing, damaged, or the record of another version.
    """
    try:
        text = (folder / RECORD).read_text(encoding="utf-8")
        record = VersionRecord.model_validate_json(text)
    except (OSError, UnicodeDecodeError, CheckpointError) as error:
        reason = "is missing" if isinstance(error, OSError) else "is damaged"
        raise CheckpointError(f"{RECORD} of version {folder.name} {reason}") from error
    if record.id != folder.name:
        raise CheckpointError(f"{RECORD} in {folder.name} is that of version {record.id}")
    return record
