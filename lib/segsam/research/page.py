"""Parts of the generated pages: Markdown tables and pictures drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from segsam.system.atomic import write_bytes

NOT_MEASURED = "—"
"""Text of a cell without a value."""
BLUE = "#1f4e79"
ORANGE = "#b5541c"
_DPI = 90


def markdown_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False
) -> list[str]:
    """Return the lines of a table; with `numbers`, all columns but the first align right."""
    rule = ["---:" if numbers and column else "---" for column in range(len(headings))]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    return [
        "| " + " | ".join(headings) + " |",
        "|" + "|".join(rule) + "|",
        *(f"| {line} |" for line in cells),
    ]


def picture_line(file: str, alt: str) -> str:
    """Return the Markdown of a picture beside the page."""
    return f"![{alt}]({file})"


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return its path; raises OutputError."""
    content = io.BytesIO()
    # Without the name of the writing library, so that the same numbers give the same bytes.
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    write_bytes(path, content.getvalue())
    return path
