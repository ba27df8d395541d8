"""Tables, targets and pictures as Markdown; the only place that knows how a number is shown."""

from __future__ import annotations

from collections.abc import Sequence

from segsam.research.study.board import Board, Figure
from segsam.research.study.tables import Cell, Table
from segsam.research.study.targets import Target

NOT_MEASURED = "—"


def shown(cell: Cell, *, signed: bool = False) -> str:
    """A cell's text: two places after the point, none for large numbers."""
    if cell is None:
        return NOT_MEASURED
    if isinstance(cell, str):
        return cell
    places = 0 if abs(cell.mean) >= 200 else 2
    text = f"{cell.mean:{'+' if signed else ''},.{places}f}"
    return text if cell.spread is None else f"{text} ± {cell.spread:.{places}f}"


def table_lines(table: Table) -> list[str]:
    """A table under its title, with its notes."""
    lines = [f"### {table.title}", ""]
    for note in table.notes:
        lines += [note, ""] if note else []
    if not table.rows:
        return [*lines, "No rows.", ""]
    rows = [
        [row.label, *(shown(cell, signed=row.signed) for cell in row.cells)] for row in table.rows
    ]
    return [*lines, *_grid(table.headings, rows), ""]


def target_lines(board: Board, targets: Sequence[Target]) -> list[str]:
    """What was aimed at and what came of it."""
    rows = []
    for target in targets:
        found = target.measure(board)
        sign = "≤" if target.at_most else "≥"
        wanted = f"{sign} {target.wanted:g}{_unit(target)}"
        wanted += "" if target.goal is None else f" (goal {target.goal:g})"
        rows.append([target.what, wanted, _measured(found, target), verdict(found, target)])
    return [*_grid(("target", "wanted", "measured", ""), rows), ""]


def verdict(found: Figure | None, target: Target) -> str:
    """In a word."""
    if found is None:
        return "not measured"
    return "reached" if target.reached(found) else "**missed**"


def picture_line(file: str, alt: str) -> str:
    """A picture that stands beside the page."""
    return f"![{alt}]({file})"


def _measured(found: Figure | None, target: Target) -> str:
    return NOT_MEASURED if found is None else shown(found) + _unit(target)


def _unit(target: Target) -> str:
    return f" {target.unit}" if target.unit else ""


def _grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(headings) + " |",
        "|" + "|".join("---" if place == 0 else "---:" for place in range(len(headings))) + "|",
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]
