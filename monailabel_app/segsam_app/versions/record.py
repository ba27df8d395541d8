"""What is known of one version of the model: `version.json` beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsam.errors import CheckpointError

WEIGHTS = "model.safetensors"
CARD = "model.json"
RECORD = "version.json"
FIRST = "0000"
"""The checkpoint that the server was started with; it has no folder."""

VersionId = Annotated[str, Field(pattern=r"^\d{4}$")]
Score = Annotated[float, Field(allow_inf_nan=False)]


class Learnt(BaseModel):
    """One labelled case that a version has seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str
    label: str
    """SHA-256 of its label."""
    held_out: bool = False
    """Whether it was only measured, never learnt from."""


class Metrics(BaseModel):
    """The same validation slices before and after: scores in percent by name, and their mean,
    `score`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: dict[str, Score] = {}
    after: dict[str, Score] = {}


class VersionRecord(BaseModel):
    """One version. What is `promoted` was made current when its training ended; `why` says it in a
    sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: VersionId
    created: str | None = None
    parent: VersionId | None = None
    name: str = ""
    """What the training was called by who asked for it."""
    promoted: bool = True
    why: str
    cases: int = 0
    """So many were learnt from; those held out are not counted."""
    metrics: Metrics = Metrics()
    categories: list[str] = []
    """What it can name."""
    notes: list[str] = []
    learnt: list[Learnt] = []
    sha256: str = ""
    """Of the weights."""

    @property
    def told(self) -> dict[str, object]:
        """As clients see it: without the list of cases."""
        return self.model_dump(exclude={"learnt", "sha256"})


def read_record(folder: Path) -> VersionRecord:
    """The record in a version's folder. Raises `CheckpointError` when it is not one, or of another
    version.
    """
    try:
        text = (folder / RECORD).read_text(encoding="utf-8")
        record = VersionRecord.model_validate_json(text)
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = "is missing" if isinstance(error, OSError) else "is damaged"
        raise CheckpointError(f"{RECORD} of version {folder.name} {reason}") from error
    if record.id != folder.name:
        raise CheckpointError(f"{RECORD} in {folder.name} is that of version {record.id}")
    return record
