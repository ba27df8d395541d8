"""Coded terms of a category, as in DICOM segmentations and 3D Slicer's terminology lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from segsam.errors import CategoryError

Code: TypeAlias = tuple[str, str, str]
"""Coding scheme, value and meaning, e.g. ("SCT", "10200004", "Liver")."""

_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGION_CONTEXT = "Anatomic codes - DICOM master list"
_NO_CODE = "^^"
_REQUIRED = ("category", "type")
_OPTIONAL = ("modifier", "region")


@dataclass(frozen=True)
class Terminology:
    """Segmented property category and type, with a type modifier and an anatomic region if any.

    Source: DICOM PS3.3 C.8.20.4 (segment description macro).
    """

    category: Code
    """Kind of structure, e.g. Anatomical Structure."""
    type: Code
    """Structure, e.g. Kidney."""
    modifier: Code | None = None
    """Side, e.g. Right."""
    region: Code | None = None
    """Location of a structure that occurs anywhere, e.g. Kidney for a Cyst."""

    @property
    def slicer_entry(self) -> str:
        """Text of a segment's `TerminologyEntry` tag in 3D Slicer."""
        parts = (self.category, self.type, self.modifier)
        coded = "~".join(_NO_CODE if code is None else "^".join(code) for code in parts)
        region = _NO_CODE if self.region is None else "^".join(self.region)
        return f"{_CONTEXT}~{coded}~{_REGION_CONTEXT}~{region}~{_NO_CODE}"

    @classmethod
    def from_record(cls, record: object, name: str) -> Terminology:
        """Build terms from their YAML or JSON form; `name` of the category is for messages.

        Raises:
            CategoryError: keys that are missing or unknown, or a code that is not three texts.
        """
        if not isinstance(record, Mapping):
            raise CategoryError(
                f"Expected the terminology of {name!r} with a category and a type, got {record!r}."
            )
        check_keys(record, _REQUIRED, _OPTIONAL, f"the terminology of {name!r}")
        return cls(**{str(key): _code(value, name) for key, value in record.items()})

    def to_record(self) -> dict[str, list[str]]:
        """Return the JSON form, which `from_record` reads back."""
        codes = {key: getattr(self, key) for key in _REQUIRED + _OPTIONAL}
        return {key: list(code) for key, code in codes.items() if code is not None}


def check_keys(
    record: Mapping[Any, Any], required: Sequence[str], optional: Sequence[str], subject: str
) -> None:
    """Refuse a record with missing or unknown keys. Raises CategoryError that lists them."""
    missing = [key for key in required if key not in record]
    unknown = [str(key) for key in record if key not in (*required, *optional)]
    if missing or unknown:
        raise CategoryError(
            f"Expected the keys {', '.join(required)} and optionally {', '.join(optional)} in "
            f"{subject}; missing or unknown: {', '.join(sorted(missing + unknown))}."
        )


def _code(value: Any, name: str) -> Code:
    if isinstance(value, list | tuple) and len(value) == 3:
        scheme, code, meaning = value
        if all(isinstance(part, str) for part in value):
            return scheme, code, meaning
    raise CategoryError(
        f"Expected scheme, value and meaning as three texts in the terminology of {name!r}, "
        f"got {value!r}."
    )
