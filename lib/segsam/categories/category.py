"""Category of segmented structures: name, colour, codes and description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segsam.categories.terminology import Terminology, check_keys
from segsam.errors import CategoryError

MODALITIES = (
    "CT",
    "MR",
    "PET",
    "ultrasound",
    "X-ray",
    "dermoscopy",
    "endoscopy",
    "fundus",
    "OCT",
)
"""The eight modalities of SA-Med2D-16M (paper, section 4.1), then others."""
PAPER_MODALITIES = MODALITIES[:8]
"""Those over which the study and its targets average."""
_REQUIRED = ("name", "colour", "texture", "shape", "position")
_OPTIONAL = ("synonyms", "modalities", "terminology")


@dataclass(frozen=True)
class Category:
    """One structure; `validation.validate` checks that it is complete."""

    name: str
    colour: tuple[int, int, int]
    """Red, green, blue, 0 to 255; 3D Slicer's generic anatomy colour, or one near it."""
    texture: str
    shape: str
    position: str
    synonyms: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    """Modalities of `MODALITIES` in which it occurs."""
    terminology: Terminology | None = None
    """Its codes; None if no reliable source gives one."""

    @property
    def snomed(self) -> tuple[str, str] | None:
        """Code and meaning of the SNOMED CT type, without the side; None if there is none."""
        if self.terminology is None or self.terminology.type[0] != "SCT":
            return None
        return self.terminology.type[1:]

    @property
    def description(self) -> str:
        """Texture, shape and position in the paper's template (appendix 6.2), for the embedding."""
        head = self.name[0].upper() + self.name[1:]
        return f"{head}. Texture: {self.texture} Shape: {self.shape} Position: {self.position}"

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Category:
        """Build a category from its YAML or JSON form.

        Raises:
            CategoryError: a key that is missing or unknown, or a value of the wrong form.
        """
        name = str(record.get("name", "?"))
        check_keys(record, _REQUIRED, _OPTIONAL, f"the category {name!r}")
        terms = record.get("terminology")
        return cls(
            name=_text(record["name"], "name", name),
            colour=_colour(record["colour"], name),
            texture=_text(record["texture"], "texture", name),
            shape=_text(record["shape"], "shape", name),
            position=_text(record["position"], "position", name),
            synonyms=_texts(record.get("synonyms", ()), "synonyms", name),
            modalities=_texts(record.get("modalities", ()), "modalities", name),
            terminology=None if terms is None else Terminology.from_record(terms, name),
        )

    def to_record(self) -> dict[str, object]:
        """Return the JSON form, which `from_record` reads back."""
        record: dict[str, object] = {"name": self.name}
        if self.synonyms:
            record["synonyms"] = list(self.synonyms)
        if self.modalities:
            record["modalities"] = list(self.modalities)
        if self.terminology:
            record["terminology"] = self.terminology.to_record()
        record["colour"] = list(self.colour)
        return record | {"texture": self.texture, "shape": self.shape, "position": self.position}


def _text(value: object, key: str, name: str) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise CategoryError(f"Expected a text as the {key} of {name!r}, got {value!r}.")


def _texts(value: object, key: str, name: str) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(_text(part, key, name) for part in value)
    raise CategoryError(f"Expected a list of texts as the {key} of {name!r}, got {value!r}.")


def _colour(value: object, name: str) -> tuple[int, int, int]:
    if (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(type(part) is int and 0 <= part <= 255 for part in value)
    ):
        return value[0], value[1], value[2]
    raise CategoryError(
        f"Expected three whole numbers from 0 to 255 as the colour of {name!r}, got {value!r}."
    )
