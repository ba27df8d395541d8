"""Names, colours and codes of categories, as segments carry them. Plain data.

`Resources/Categories.json` is made from the library's vocabulary. A server can name categories that
were added to it; such a one gets its name, a colour made from the name, and no code.
"""

from __future__ import annotations

import colorsys
import json
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).resolve().parents[2] / "Resources" / "Categories.json"
TISSUE = (
    "Segmentation category and type - 3D Slicer General Anatomy list"
    "~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~Anatomic codes - DICOM master list~^^~^^"
)
"""What 3D Slicer codes a segment that nobody coded."""


@dataclass(frozen=True)
class Category:
    """`colour` is red, green, blue, 0 to 1; `terminology` the text of Slicer's tag, or nothing."""

    name: str
    colour: tuple[float, float, float]
    terminology: str

    @property
    def code(self) -> str:
        """The type's scheme, value and meaning for people, as "SCT 10200004 Liver"."""
        parts = self.terminology.split("~")
        return parts[2].replace("^", " ").strip() if len(parts) > 2 else ""


def category(name: str) -> Category:
    """By name or synonym, in any case; a name that is not in the table comes without a code."""
    known = _table().get(name.strip().casefold())
    return known if known is not None else Category(name.strip(), _made_colour(name), "")


def names() -> tuple[str, ...]:
    """All names of the table, in its order, for a list to choose from."""
    return tuple(dict.fromkeys(each.name for each in _table().values()))


@lru_cache(maxsize=1)
def _table() -> dict[str, Category]:
    found: dict[str, Category] = {}
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    for name, (red, green, blue), entry, _ in rows:
        found[name.casefold()] = Category(name, (red / 255, green / 255, blue / 255), entry)
    for name, _, _, synonyms in rows:
        for synonym in synonyms:
            found.setdefault(synonym.casefold(), found[name.casefold()])
    return found


def _made_colour(name: str) -> tuple[float, float, float]:
    """The same for the same name, bright enough to be seen on a dark image."""
    number = zlib.crc32(name.strip().casefold().encode())
    return colorsys.hsv_to_rgb((number % 360) / 360, 0.55, 0.9)
