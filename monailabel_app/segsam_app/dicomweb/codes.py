"""Coded terms for the names of segments.

What the vocabulary of categories has a code for gets that code (SNOMED CT, from the sources that
docs/categories.md names). Any other name is a tissue whose type is a code of our own private scheme
(PS3.3 8.2: its designator begins with 99): nothing is invented in somebody else's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset

from segsam.categories import Categories, Category
from segsam.categories.terminology import Code
from segsam.errors import CategoryError

PRIVATE_SCHEME = "99SEGSAM"
_TISSUE: Code = ("SCT", "85756007", "Tissue")
_LONGEST_VALUE, _LONGEST = 16, 64


@dataclass(frozen=True)
class Terms:
    """Of one segment: what kind of thing, which one (with its side, if any), and where."""

    category: CodedConcept
    type: CodedConcept
    region: CodedConcept | None = None


def terms_of(name: str, categories: Sequence[Category]) -> Terms:
    """The terms for a segment's name: of `categories` first, then of the package's vocabulary."""
    terminology = next(
        (
            found.terminology
            for found in (*categories, _of_the_package(name))
            if found is not None and _is_called(found, name)
        ),
        None,
    )
    if terminology is None:
        return Terms(_concept(_TISSUE), _concept((PRIVATE_SCHEME, _private_value(name), name)))
    which = _concept(terminology.type)
    if terminology.modifier is not None:
        which.SegmentedPropertyTypeModifierCodeSequence = [_concept(terminology.modifier)]
    region = None if terminology.region is None else _concept(terminology.region)
    return Terms(_concept(terminology.category), which, region)


def private_scheme() -> Dataset:
    """What a file with private codes says of their scheme (PS3.3 C.12.1.1.1)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = "SEG-SAM: names of segments without a public code"
    scheme.CodingSchemeResponsibleOrganization = "SEG-SAM"
    return scheme


def long_string(text: str) -> str:
    r"""`text` as a value of the type LO can hold it: 64 characters, no control ones, no `\`."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f\\]+", " ", text).split())[:_LONGEST].strip()


def _concept(code: Code) -> CodedConcept:
    scheme, value, meaning = code
    return CodedConcept(value, scheme, long_string(meaning) or value)


def _private_value(name: str) -> str:
    """The name itself where it can be a code's value, else its beginning and a digest."""
    plain = re.sub(r"[^A-Z0-9_]+", "_", name.strip().upper()).strip("_")
    if plain and len(plain) <= _LONGEST_VALUE and plain == name.strip().upper().replace(" ", "_"):
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8].upper()
    return f"{plain[: _LONGEST_VALUE - 9]}_{digest}".strip("_")


def _is_called(category: Category, name: str) -> bool:
    words = {_folded(word) for word in (category.name, *category.synonyms)}
    return _folded(name) in words


def _folded(name: str) -> str:
    return " ".join(re.sub(r"[_-]+", " ", name.casefold()).split())


def _of_the_package(name: str) -> Category | None:
    try:
        return _vocabulary().items[_vocabulary().index(name)]
    except CategoryError:
        return None


@cache
def _vocabulary() -> Categories:
    return Categories.load()
