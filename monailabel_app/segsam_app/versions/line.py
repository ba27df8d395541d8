"""The line of versions that begins with one checkpoint, and what that checkpoint is."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from segsam.model.checkpoint import default_name, find_card
from segsam_app.versions.record import FIRST, Metrics, VersionRecord
from segsam_app.versions.shelf import Versions


def open_line(root: Path, checkpoint: str | None) -> Versions:
    """The versions that descend from a checkpoint (None: the default), in a folder of their own.

    Another checkpoint has another folder: what was learnt on one is no version of the other, and
    is there again when the operator goes back to it. Raises `CheckpointError` for a card that is
    wrong.
    """
    first = _first(checkpoint)
    return Versions(root / line_name(checkpoint), checkpoint, lambda: first)


def line_name(checkpoint: str | None) -> str:
    """The name of a checkpoint's folder; a file's has a few digits of its path in it."""
    name = checkpoint or default_name()
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return name
    path = Path(name.rpartition(":")[2])
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', path.stem)[:48]}-{digest[:8]}"


def _first(checkpoint: str | None) -> VersionRecord:
    name, card = Path(checkpoint or default_name()).name, find_card(checkpoint)
    why = f"the checkpoint {name}, with which the server was started"
    if card is None:
        return VersionRecord(id=FIRST, why=why)
    names = card.categories_seen or tuple(category.name for category in card.categories)
    return VersionRecord(
        id=FIRST,
        why=why,
        name=card.name,
        metrics=Metrics(after=dict(card.metrics)),
        categories=list(names) if card.semantic_is_trained else [],
    )
