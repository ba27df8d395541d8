"""Tables of the page that come from other commands than `segsam study run`. They are stored ready
to be shown, in the folder `tables` of the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from segsam.research.page import picture_line
from segsam.research.study.markdown import table_lines
from segsam.research.study.stored import StoredRecord
from segsam.research.study.tables import Table, TableRow
from segsam.system.records import Several

_FOLDER = "tables"


class StoredTable(StoredRecord):
    """Table with its section of the page, notes, and a picture if there is one."""

    section: str
    title: str
    notes: Several[str] = Field(description="Paragraphs before the table.")
    headings: Several[str]
    rows: Several[Several[str]] = Field(description="Cells as text, the label first.")
    picture: str = Field(default="", description="File name beside the other pictures.")
    alt: str = Field(default="", description="Description of the picture.")
    record: Mapping[str, Any] = Field(
        default_factory=dict, description="Numbers from which the table was made."
    )

    def save(self, results: Path, name: str) -> Path:
        """Write `tables/<name>.json` in the folder of results; raises OutputError."""
        return self.write(results / _FOLDER / f"{name}.json")


def load_tables(results: Path) -> tuple[StoredTable, ...]:
    """Return all stored tables in the order of their file names.

    Raises:
        StudyError: a file that is not such a table.
    """
    return tuple(StoredTable.read(path) for path in sorted((results / _FOLDER).glob("*.json")))


def stored_table_lines(tables: Sequence[StoredTable], pictures: str) -> list[str]:
    """Return the sections of the page; `pictures` is the folder of the pictures beside it."""
    lines: list[str] = []
    for stored in tables:
        rows = tuple(TableRow(row[0], row[1:]) for row in stored.rows)
        table = Table(stored.title, stored.headings, rows, stored.notes)
        lines += [f"## {stored.section}", "", *table_lines(table)]
        if stored.picture:
            lines += [picture_line(f"{pictures}/{stored.picture}", stored.alt), ""]
    return lines
