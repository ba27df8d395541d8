"""Validation of a category file: lists everything that is missing or wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from segsam.categories.category import MODALITIES, Category
from segsam.categories.terminology import Code, Terminology
from segsam.categories.vocabulary import folded

TEXT_LENGTHS = (10, 200)
"""Fewest and most characters of a texture, shape or position."""
_NAME_LENGTH = 60
_CODE_DIGITS = (6, 18)
"""Fewest and most digits of a SNOMED CT identifier; the last is a check digit (Verhoeff)."""
_SIDES = {"24028007": "right", "7771000": "left"}


def validate(categories: Sequence[Category]) -> tuple[str, ...]:
    """Return the problems as sentences that begin with the category's name.

    Checked are: texts and their lengths, modalities, the form of codes and their check digits,
    sides that agree with the name, colours, and names, synonyms or colours used twice.
    """
    problems = [f"{item.name}: {problem}" for item in categories for problem in _problems(item)]
    return (*problems, *_shared_names(categories), *_shared_colours(categories))


def _problems(item: Category) -> Iterator[str]:
    if not item.name.strip() or item.name != " ".join(item.name.split()):
        yield "the name has blanks at its ends or several in a row."
    if len(item.name) > _NAME_LENGTH:
        yield f"the name has {len(item.name)} characters, more than {_NAME_LENGTH}."
    for key in ("texture", "shape", "position"):
        yield from _text_problems(key, getattr(item, key))
    if not item.modalities:
        yield f"no modality is given, of {', '.join(MODALITIES)}."
    for modality in item.modalities:
        if modality not in MODALITIES:
            yield f"{modality!r} is not one of the modalities {', '.join(MODALITIES)}."
    known = [modality for modality in MODALITIES if modality in item.modalities]
    if len(known) == len(set(item.modalities)) and list(item.modalities) != known:
        yield f"the modalities are not {', '.join(known)}, each once and in this order."
    if not all(0 <= part <= 255 for part in item.colour):
        yield f"the colour {item.colour} is not three numbers from 0 to 255."
    if item.terminology is not None:
        yield from _term_problems(item, item.terminology)


def _text_problems(key: str, text: str) -> Iterator[str]:
    fewest, most = TEXT_LENGTHS
    if not fewest <= len(text) <= most:
        yield f"the {key} has {len(text)} characters, not {fewest} to {most}."
    if not text[:1].isupper() or not text.endswith("."):
        yield f"the {key} is not a sentence with a capital and a full stop."
    if text != " ".join(text.split()):
        yield f"the {key} has line breaks or several blanks in a row."


def _term_problems(item: Category, terms: Terminology) -> Iterator[str]:
    for key in ("category", "type", "modifier", "region"):
        code = getattr(terms, key)
        if code is not None:
            yield from _code_problems(key, code)
    if terms.modifier is not None:
        side = _SIDES.get(terms.modifier[1])
        if side is None:
            yield f"the modifier {terms.modifier[2]!r} is not a side."
        elif side not in folded(item.name).split():
            yield f"the modifier says {side}, the name does not."


def _code_problems(key: str, code: Code) -> Iterator[str]:
    scheme, value, meaning = code
    fewest, most = _CODE_DIGITS
    if scheme != "SCT":
        yield f"the {key} is of {scheme!r}, not of SNOMED CT (SCT)."
    elif not (value.isascii() and value.isdigit() and fewest <= len(value) <= most):
        yield f"the {key}'s code {value!r} is not {fewest} to {most} digits."
    elif not is_snomed_identifier(value):
        yield f"the {key}'s code {value} fails SNOMED CT's check digit."
    if not meaning.strip():
        yield f"the {key}'s code {value} has no meaning."


def is_snomed_identifier(value: str) -> bool:
    """Return True if the last digit is the check digit of the others (Verhoeff's scheme).

    Source: SNOMED CT Release File Specification, section "Check-digit computation".
    """
    check = 0
    for place, digit in enumerate(reversed(value)):
        check = _dihedral_product(check, _permuted(int(digit), place % 8))
    return check == 0


def _dihedral_product(a: int, b: int) -> int:
    """Product of two elements of the dihedral group D5: 0 to 4 rotations, 5 to 9 reflections."""
    rotation = (a + b) % 5 if a < 5 else (a - b) % 5
    return rotation + 5 * ((a >= 5) != (b >= 5))


def _permuted(digit: int, times: int) -> int:
    """Verhoeff's permutation, applied `times` times."""
    for _ in range(times):
        digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
    return digit


def _shared_names(categories: Sequence[Category]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for item in categories:
        for word in map(folded, (item.name, *item.synonyms)):
            if word in owners:
                yield f"{item.name}: the name {word!r} is already one of {owners[word]!r}."
            owners.setdefault(word, item.name)


def _shared_colours(categories: Sequence[Category]) -> Iterator[str]:
    owners: dict[tuple[int, int, int], str] = {}
    for item in categories:
        if item.colour in owners:
            yield f"{item.name}: its colour {item.colour} is that of {owners[item.colour]!r}."
        owners.setdefault(item.colour, item.name)
