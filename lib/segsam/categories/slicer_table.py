"""Command that writes the category table of the 3D Slicer module, which does not import segsam:
python -m segsam.categories.slicer_table slicer_module/SEGSAM/Resources/Categories.json

It is needed after a name, colour or code changed; a test compares the two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from segsam.categories.category import Category
from segsam.categories.files import DEFAULT_PATH, read_categories
from segsam.system.atomic import write_bytes


def slicer_table(items: Sequence[Category]) -> str:
    """Return JSON with one category per line: [name, colour, terminology entry, synonyms]."""
    rows = [
        [
            item.name,
            list(item.colour),
            item.terminology.slicer_entry if item.terminology else "",
            list(item.synonyms),
        ]
        for item in items
    ]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    write_bytes(Path(sys.argv[1]), slicer_table(read_categories(DEFAULT_PATH)).encode())
