"""Tables of the page that belong to no run of the study: what other commands measured, stored ready
to be shown in the folder `tables` of the results.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segsam.errors import OutputError, StudyError
from segsam.research.study.markdown import picture_line, table_lines
from segsam.research.study.results import rounded
from segsam.research.study.tables import Table, TableRow
from segsam.system.atomic import write_bytes

FOLDER = "tables"
_FORMAT = 1


@dataclass(frozen=True)
class Extra:
    """A table with its section, what was done in sentences, and a picture if there is one."""

    section: str
    title: str
    notes: tuple[str, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Cells as they are shown, the label first."""
    picture: str = ""
    """Its file's name beside the other pictures of the page."""
    alt: str = ""
    """The picture in words."""
    record: dict[str, Any] = field(default_factory=dict)
    """The numbers behind it, as plain values."""

    def save(self, results: Path, name: str) -> Path:
        """Write `tables/<name>.json`; raises OutputError."""
        folder = results / FOLDER
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error
        content = {"format": _FORMAT} | rounded(asdict(self))
        path = folder / f"{name}.json"
        write_bytes(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
        return path


def load_extras(results: Path) -> tuple[Extra, ...]:
    """All stored tables, in the order of their files' names.

    Raises:
        StudyError: a file that is no such table.
    """
    return tuple(_load(path) for path in sorted((results / FOLDER).glob("*.json")))


def extra_lines(extras: Sequence[Extra], pictures: str) -> list[str]:
    """Sections of the page; `pictures` is the folder of the pictures beside it."""
    lines: list[str] = []
    for extra in extras:
        rows = tuple(TableRow(row[0], row[1:]) for row in extra.rows)
        lines += [f"## {extra.section}", ""]
        lines += table_lines(Table(extra.title, extra.headings, rows, extra.notes))
        if extra.picture:
            lines += [picture_line(f"{pictures}/{extra.picture}", extra.alt), ""]
    return lines


def _load(path: Path) -> Extra:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("format") != _FORMAT:
            raise ValueError(f"not of format {_FORMAT}")
        rows = tuple(tuple(map(str, row)) for row in record.pop("rows"))
        notes, headings = (tuple(map(str, record.pop(name))) for name in ("notes", "headings"))
        return Extra(notes=notes, headings=headings, rows=rows, **record)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise StudyError(f"Expected a table of the page in {path.name}: {error}.") from error
