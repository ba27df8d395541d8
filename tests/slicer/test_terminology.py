"""The module's table of categories, and that it is the library's."""

from __future__ import annotations

import importlib.util
import json

import pytest
from SEGSAMLib.Values.Terminology import TABLE, category


def test_by_name_and_by_synonym() -> None:
    liver = category("Liver ")
    assert liver.name == "liver"
    assert liver.terminology.split("~")[2] == "SCT^10200004^Liver"
    assert category("hepar") == liver
    assert category("kidney_right").name == "right kidney"


def test_every_category_has_a_name_and_a_colour() -> None:
    names = [row[0] for row in json.loads(TABLE.read_text(encoding="utf-8"))]
    assert len(set(names)) == len(names) > 200
    for name in names:
        found = category(name)
        assert found.name == name
        assert all(0 <= part <= 1 for part in found.colour)
        assert found.terminology == "" or found.terminology.count("~") == 6


def test_one_that_is_not_in_the_table() -> None:
    found = category("left widget")
    assert found.terminology == ""
    assert found.colour == category("Left Widget").colour
    assert found.colour != category("right widget").colour


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("segsam", "safetensors")),
    reason="the library is not in this environment",
)
def test_the_table_is_made_from_the_librarys_vocabulary() -> None:
    from segsam.categories.files import DEFAULT_PATH, read_categories
    from segsam.categories.slicer_table import slicer_table

    expected = slicer_table(read_categories(DEFAULT_PATH))
    assert TABLE.read_text(encoding="utf-8") == expected, "python -m segsam.categories.slicer_table"
