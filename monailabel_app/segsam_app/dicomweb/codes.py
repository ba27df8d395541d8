"""Coded terms for the names of segments (PS3.3 C.8.20.2).

A name that the vocabulary of categories has a code for gets that code (SNOMED CT, from the sources
in docs/categories.md). Any other name is a tissue whose type has a code of our own private scheme,
whose designator begins with 99 (PS3.3 8.2); codes of public schemes are never made up.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache

from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset

from segsam.categories import Categories
from segsam.categories.terminology import Code, Terminology
from segsam.errors import CategoryError

PRIVATE_SCHEME = "99SEGSAM"
_TISSUE: Code = ("SCT", "85756007", "Tissue")
_MAX_CODE_LENGTH, _MAX_LO_LENGTH = 16, 64


@dataclass(frozen=True)
class SegmentCodes:
    """Codes of one segment: property category, property type (with its side), anatomic region."""

    category: CodedConcept
    type: CodedConcept
    region: CodedConcept | None = None


def segment_codes(name: str) -> SegmentCodes:
    """Return the codes for a segment's name."""
    terminology = _terminology(name)
    if terminology is None:
        private: Code = (PRIVATE_SCHEME, _private_value(name), name)
        return SegmentCodes(_concept(_TISSUE), _concept(private))
    kind = _concept(terminology.type)
    if terminology.modifier is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(terminology.modifier)]
    region = None if terminology.region is None else _concept(terminology.region)
    return SegmentCodes(_concept(terminology.category), kind, region)


def private_scheme() -> Dataset:
    """Return the description of the private scheme for a file that uses it (PS3.3 C.12.1.1.1)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = "SEG-SAM: names of segments without a public code"
    scheme.CodingSchemeResponsibleOrganization = "SEG-SAM"
    return scheme


def long_string(text: str) -> str:
    r"""Return `text` as a value of type LO: at most 64 characters, no control ones, no `\`."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f\\]+", " ", text).split())[:_MAX_LO_LENGTH].strip()


def _concept(code: Code) -> CodedConcept:
    scheme, value, meaning = code
    return CodedConcept(value, scheme, long_string(meaning) or value)


def _private_value(name: str) -> str:
    """Return the name itself if it can be a code value, else its beginning and a hash."""
    plain = re.sub(r"[^A-Z0-9_]+", "_", name.strip().upper()).strip("_")
    is_short = bool(plain) and len(plain) <= _MAX_CODE_LENGTH
    if is_short and plain == name.strip().upper().replace(" ", "_"):
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8].upper()
    return f"{plain[: _MAX_CODE_LENGTH - 9]}_{digest}".strip("_")


def _terminology(name: str) -> Terminology | None:
    """Codes of the category with this name or synonym in the packaged vocabulary."""
    try:
        return _vocabulary().items[_vocabulary().index(name)].terminology
    except CategoryError:
        return None


@cache
def _vocabulary() -> Categories:
    return Categories.load()
