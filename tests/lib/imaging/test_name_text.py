"""Text of names: what may be in one, and what is made of the name in a file."""

from __future__ import annotations

import pytest

from segsam.imaging.name_text import name_in_file, part_of_file_name, refused_in

GOOD = [
    "liver",
    "Lobe (upper, left) #2 / IV",
    " kidney ",
    "foie (côté droit)",
    "肝臓",
    "нырка",
    "کبد",
    "نیم\u200cکر\u0647ٔ مغز",  # Persian, with the joiner of its spelling
    "क्\u200dष",
    "x" * 200,
]
BAD = {
    "": "no name",
    " \t": "the character U+0009",
    "   ": "no name",
    "\u3000\u00a0": "no name",
    "\u3164\u2800": "no name",
    "li\0ver": "the character U+0000",
    "liver\n": "the character U+000A",
    "li\x1bver": "the character U+001B",
    "li\u200bver": "the character U+200B",
    "li\u200dver": "the character U+200D",
    "\u202eliver": "the character U+202E",
    "\u2066liver": "the character U+2066",
    "\ufeffliver": "the character U+FEFF",
    "liver\u2028": "the character U+2028",
    "x" * 201: "201 characters",
}


@pytest.mark.parametrize("name", GOOD)
def test_names_of_any_script_are_kept(name: str) -> None:
    assert refused_in(name) == ""
    assert name_in_file(name, "Segment_1") == (name.strip(), "")


@pytest.mark.parametrize(("name", "wrong"), BAD.items())
def test_what_is_not_shown_is_refused(name: str, wrong: str) -> None:
    assert refused_in(name) == wrong


@pytest.mark.parametrize(
    ("text", "name", "wrong"),
    [
        ("", "Segment_1", "no name"),
        (" \t ", "Segment_1", "no name"),
        ("\u200b", "Segment_1", "no name"),
        ("left\nkidney", "left kidney", "the character U+000A"),
        ("li\u200bv\u202eer", "liver", "the character U+200B"),
        ("نیم\u200cکر\u0647\u202e", "نیم\u200cکر\u0647", "the character U+202E"),
        ("y" * 5000, "y" * 200, "5000 characters"),
    ],
)
def test_the_name_in_a_file_is_cleaned(text: str, name: str, wrong: str) -> None:
    assert name_in_file(text, "Segment_1") == (name, wrong)
    assert refused_in(name) == ""


def test_a_part_of_a_file_name_is_no_path_and_tells_texts_apart() -> None:
    kept = ("volumes", "Läsion ß", "肝臓", "hvsmr2_mr", "liver (right)", "a.b")
    assert [part_of_file_name(text) for text in kept] == list(kept)
    others = (
        "",
        ".",
        "..",
        "../x",
        "/x",
        "a/b",
        "a%2Fb",
        "a\\b",
        "a\0b",
        "C:x",
        "x" * 300,
        "x" * 301,
    )
    made = [part_of_file_name(text) for text in others]
    assert len({*made, *kept}) == len(others) + len(kept)
    for name in made:
        assert len(name.encode()) <= 150
        assert not set(name) & set("/\\\0:")
        assert not name.startswith(".")
