"""Tables and targets of the study as Markdown, with the format of all numbers."""

from __future__ import annotations

from collections.abc import Sequence

from segsam.research.page import NOT_MEASURED, markdown_table
from segsam.research.study.measured_study import MeasuredStudy
from segsam.research.study.tables import Cell, Table
from segsam.research.study.targets import StudyTarget
from segsam.research.targets import MISSED


def cell_text(cell: Cell, *, signed: bool = False) -> str:
    """Return a cell as text: two decimals, none for large numbers."""
    if cell is None:
        return NOT_MEASURED
    if isinstance(cell, str):
        return cell
    decimals = 0 if abs(cell.mean) >= 200 else 2
    text = f"{cell.mean:{'+' if signed else ''},.{decimals}f}"
    return text if cell.std is None else f"{text} ± {cell.std:.{decimals}f}"


def table_lines(table: Table) -> list[str]:
    """Return the lines of a table with its title and notes."""
    lines = [f"### {table.title}", ""]
    for note in table.notes:
        lines += [note, ""] if note else []
    if not table.rows:
        return [*lines, "No rows.", ""]
    rows = [
        [row.label, *(cell_text(cell, signed=row.signed) for cell in row.cells)]
        for row in table.rows
    ]
    return [*lines, *markdown_table(table.headings, rows, numbers=True), ""]


def target_lines(measured: MeasuredStudy, targets: Sequence[StudyTarget]) -> list[str]:
    """Return the lines of the table of targets."""
    rows = []
    for target in targets:
        value = target.measure(measured)
        text = cell_text(value) + ("" if value is None else target.spaced_unit)
        verdict = target.verdict(None if value is None else value.mean)
        shown = f"**{verdict}**" if verdict == MISSED else verdict
        rows.append([target.title, target.required, text, shown])
    headings = ("target", "required", "measured", "")
    return [*markdown_table(headings, rows, numbers=True), ""]
