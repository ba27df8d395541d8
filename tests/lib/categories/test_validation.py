"""Validation: no problem in the package's categories, one sentence for every defect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from segsam.categories import Categories, Category, Terminology, validate
from segsam.categories.validation import is_snomed_identifier

STRUCTURE = ("SCT", "123037004", "Anatomical Structure")
KIDNEY = ("SCT", "64033007", "Kidney")
RIGHT = ("SCT", "24028007", "Right")
GOOD = Category(
    "right thing",
    (10, 20, 30),
    "Even and bright.",
    "Round and small.",
    "In the middle.",
    synonyms=("thing_right",),
    modalities=("CT", "MR"),
    terminology=Terminology(STRUCTURE, KIDNEY, RIGHT),
)


def test_the_shipped_categories_are_without_a_problem() -> None:
    assert validate(Categories.load().items) == ()


def test_every_shipped_modality_occurs() -> None:
    found = {modality for item in Categories.load().items for modality in item.modalities}
    assert len(found) == 9


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": " right  thing"}, "the name has blanks"),
        ({"name": "right " + "x" * 60}, "the name has 66 characters, more than 60."),
        ({"texture": "Short."}, "the texture has 6 characters, not 10 to 200."),
        ({"shape": "A" * 200 + "."}, "the shape has 201 characters"),
        ({"position": "in the middle."}, "the position is not a sentence"),
        ({"position": "In the middle"}, "the position is not a sentence"),
        ({"texture": "Even  and\nbright."}, "the texture has line breaks"),
        ({"modalities": ()}, "no modality is given, of CT, MR,"),
        ({"modalities": ("CT", "photo")}, "'photo' is not one of the modalities"),
        ({"modalities": ("CT", "CT")}, "the modalities are not CT, each once"),
        (
            {"modalities": ("MR", "CT")},
            "the modalities are not CT, MR, each once and in this order",
        ),
        ({"colour": (0, 0, 256)}, "the colour (0, 0, 256) is not three numbers"),
        ({"name": "left thing"}, "the modifier says right, the name does not."),
    ],
)
def test_every_defect_is_reported(change: dict[str, Any], sentence: str) -> None:
    assert validate([GOOD]) == ()
    (problem,) = validate([replace(GOOD, **change)])
    assert problem.startswith(change.get("name", "right thing") + ": ")
    assert sentence in problem


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        (Terminology(STRUCTURE, ("DCM", "1", "x")), "the type is of 'DCM', not of SNOMED CT"),
        (Terminology(STRUCTURE, ("SCT", "T-71000", "x")), "code 'T-71000' is not 6 to 18 digits"),
        (Terminology(STRUCTURE, ("SCT", "123", "x")), "code '123' is not 6 to 18 digits"),
        (Terminology(STRUCTURE, ("SCT", "64033008", "x")), "64033008 fails SNOMED CT's check"),
        (Terminology(STRUCTURE, ("SCT", "64033007", " ")), "code 64033007 has no meaning"),
        (Terminology(STRUCTURE, KIDNEY, KIDNEY), "the modifier 'Kidney' is not a side"),
        (Terminology(STRUCTURE, KIDNEY, region=("SCT", "1", "x")), "the region's code '1' is not"),
    ],
)
def test_every_wrong_code_is_reported(terms: Terminology, sentence: str) -> None:
    (problem,) = validate([replace(GOOD, terminology=terms)])
    assert sentence in problem


def test_names_and_colours_are_used_once() -> None:
    other = replace(GOOD, name="Right_Thing", synonyms=("thing right",))
    problems = validate([GOOD, other])
    assert [problem.split(": ", 1)[1] for problem in problems] == [
        "the name 'right thing' is already one of 'right thing'.",
        "the name 'thing right' is already one of 'right thing'.",
        "its colour (10, 20, 30) is that of 'right thing'.",
    ]


def test_a_synonym_twice_in_one_category_is_a_problem() -> None:
    (problem,) = validate([replace(GOOD, synonyms=("Right thing",))])
    assert "is already one of 'right thing'" in problem


@pytest.mark.parametrize(
    ("code", "right"),
    [("10200004", True), ("64033007", True), ("840539006", True), ("10200005", False)],
)
def test_check_digits(code: str, right: bool) -> None:
    assert is_snomed_identifier(code) is right


def test_any_one_wrong_digit_is_found() -> None:
    code = "110765007"
    for place, digit in enumerate(code):
        for other in set("0123456789") - {digit}:
            assert not is_snomed_identifier(code[:place] + other + code[place + 1 :])
