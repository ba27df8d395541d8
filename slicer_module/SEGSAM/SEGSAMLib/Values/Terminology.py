"""Names, colours and DICOM codes of categories, as segments hold them. Plain data.

`Resources/Categories.json` is generated from the library's list of categories. A server can name
categories that were added to it. Such a category gets its name, a colour computed from the name,
and no code.
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
"""Terminology entry that 3D Slicer gives to a new segment."""


@dataclass(frozen=True)
class Category:
    """Category with `colour` (red, green, blue, 0 to 1) and Slicer's `terminology` entry, empty if
    the category has no code.
    """

    name: str
    colour: tuple[float, float, float]
    terminology: str


@dataclass(frozen=True)
class Identity:
    """Name, colour (0 to 1) and terminology entry of a segment, and who chose them."""

    name: str
    colour: tuple[float, float, float]
    terminology: str
    chosen_by: str
    """`model`, `user`, or empty if there was no choice yet."""


def category(name: str) -> Category:
    """Return a category by name or synonym, in any letter case. A name that is not in the table has
    no code.
    """
    known = _table().get(name.strip().casefold())
    return known if known is not None else Category(name.strip(), _colour_of(name), "")


def synonyms(name: str) -> tuple[str, ...]:
    """Return other names of a category, none for one that is not in the table."""
    return _synonyms().get(name.strip().casefold(), ())


@lru_cache(maxsize=1)
def _synonyms() -> dict[str, tuple[str, ...]]:
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    return {name.casefold(): tuple(others) for name, _, _, others in rows}


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


def _colour_of(name: str) -> tuple[float, float, float]:
    """Return a colour that depends on the name only, bright enough for a dark image."""
    number = zlib.crc32(name.strip().casefold().encode())
    return colorsys.hsv_to_rgb((number % 360) / 360, 0.55, 0.9)
