"""The categories a model knows: names, colours, codes, and T2VSE's texts (paper, appendix 6.2)."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from segsam.errors import CategoryError

DEFAULT_PATH = Path(__file__).parent / "categories.yaml"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same safe loader, ten times faster where libyaml is there."""
_KEYS = {"name", "synonyms", "colour", "snomed", "texture", "shape", "position"}


@dataclass(frozen=True)
class Category:
    """One structure: how it is called, shown, coded and described."""

    name: str
    colour: tuple[int, int, int]
    """Red, green, blue, 0 to 255; 3D Slicer's generic anatomy colour, or one near it."""
    texture: str
    shape: str
    position: str
    synonyms: tuple[str, ...] = ()
    snomed: tuple[str, str] | None = None
    """SNOMED CT code and its meaning; None where no code is certain."""

    @property
    def description(self) -> str:
        """The three texts in the paper's template, as they enter the text embedding."""
        head = self.name[0].upper() + self.name[1:]
        return f"{head}. Texture: {self.texture} Shape: {self.shape} Position: {self.position}"

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Category:
        """A category from its YAML or JSON form.

        Raises:
            CategoryError: a key that is missing or unknown, or a value of the wrong form.
        """
        wrong = sorted((_KEYS - {"synonyms", "snomed"} - set(record)) | (set(record) - _KEYS))
        if wrong:
            raise CategoryError(
                f"Expected a category with the keys {', '.join(sorted(_KEYS))}; "
                "missing or unknown in "
                f"{str(record.get('name', '?'))!r}: {', '.join(map(str, wrong))}."
            )
        snomed = record.get("snomed")
        return cls(
            name=str(record["name"]),
            colour=_checked_colour(record["colour"], str(record["name"])),
            texture=str(record["texture"]),
            shape=str(record["shape"]),
            position=str(record["position"]),
            synonyms=tuple(map(str, record.get("synonyms", ()))),
            snomed=(str(snomed[0]), str(snomed[1])) if snomed else None,
        )

    def to_record(self) -> dict[str, object]:
        """The JSON form, which `from_record` reads back."""
        record: dict[str, object] = {"name": self.name, "colour": list(self.colour)}
        if self.synonyms:
            record["synonyms"] = list(self.synonyms)
        if self.snomed:
            record["snomed"] = list(self.snomed)
        return record | {"texture": self.texture, "shape": self.shape, "position": self.position}


@dataclass(frozen=True, eq=False)
class Categories:
    """An ordered vocabulary; its order belongs to a checkpoint, as category k is output k + 1."""

    items: tuple[Category, ...]
    text_embeddings: NDArray[np.float32] = field(repr=False)
    """(K, D), one row per category, from `embedding_model`."""
    embedding_model: str

    def __post_init__(self) -> None:
        """Refuse a vocabulary that cannot be told apart, or embeddings of another length."""
        if len(self.text_embeddings) != len(self.items):
            raise CategoryError(
                f"Expected one text embedding for each of {len(self.items)} categories, "
                f"got {len(self.text_embeddings)}."
            )
        seen: dict[str, str] = {}
        for item in self.items:
            for word in {_folded(item.name), *map(_folded, item.synonyms)}:
                if word in seen:
                    raise CategoryError(
                        f"The name {word!r} stands for both {seen[word]!r} and {item.name!r}."
                    )
                seen[word] = item.name

    @classmethod
    def load(cls, path: str | Path | None = None) -> Categories:
        """Categories from a YAML file and the embeddings beside it (same name, `.safetensors`); the
        package's own by default.

        Raises:
            CategoryError: a file that is missing or malformed, or embeddings made from other
                descriptions.
        """
        path = DEFAULT_PATH if path is None else Path(path)
        items = read_categories(path)
        embeddings, metadata = _read_embeddings(path.with_suffix(".safetensors"))
        made_from, wanted = metadata.get("descriptions_sha256"), descriptions_digest(items)
        if made_from != wanted:
            raise CategoryError(
                f"The text embeddings beside {path.name} were made from other descriptions "
                f"({str(made_from)[:12]}) than it holds ({wanted[:12]}); make them again with: "
                f"python -m segsam.categories.embed {path.name}"
            )
        return cls(items, embeddings, metadata.get("model", "unknown"))

    def __len__(self) -> int:
        """K, the number of categories."""
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in order."""
        return tuple(item.name for item in self.items)

    def index(self, name: str) -> int:
        """Position of a category by name or synonym; case, underscores and hyphens do not matter.

        Raises:
            CategoryError: an unknown name; the three nearest names are given.
        """
        found = self._index_by_word.get(_folded(name))
        if found is None:
            near = difflib.get_close_matches(_folded(name), self._index_by_word, n=20, cutoff=0.0)
            nearest = list(
                dict.fromkeys(self.items[self._index_by_word[word]].name for word in near)
            )[:3]
            raise CategoryError(
                f"There is no category {name!r}; the nearest are {', '.join(map(repr, nearest))}."
            )
        return found

    def colour(self, name: str) -> tuple[int, int, int]:
        """Red, green, blue (0 to 255) of a category by name or synonym."""
        return self.items[self.index(name)].colour

    @cached_property
    def _index_by_word(self) -> dict[str, int]:
        words = [
            (word, k) for k, item in enumerate(self.items) for word in (item.name, *item.synonyms)
        ]
        return {_folded(word): k for word, k in words}


def read_categories(path: Path) -> tuple[Category, ...]:
    """The categories of a YAML file, in its order.

    Raises:
        CategoryError: a missing file, or one that is not a list of categories.
    """
    try:
        records = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506
    except FileNotFoundError as error:
        raise CategoryError(f"There is no category file {path.name}.") from error
    except yaml.YAMLError as error:
        raise CategoryError(
            f"Expected YAML in {path.name}: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CategoryError(f"Expected a list of categories in {path.name}.")
    return tuple(map(Category.from_record, records))


def descriptions_digest(items: Sequence[Category]) -> str:
    """SHA-256 of the descriptions in order: what text embeddings are made from."""
    return hashlib.sha256("\n".join(item.description for item in items).encode()).hexdigest()


def _read_embeddings(path: Path) -> tuple[NDArray[np.float32], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor("text_embeddings"), file.metadata() or {}
    except FileNotFoundError as error:
        raise CategoryError(
            f"There are no text embeddings {path.name} beside the category file."
        ) from error
    except SafetensorError as error:
        raise CategoryError(f"Expected text embeddings in {path.name}: {error}.") from error


def _checked_colour(value: object, name: str) -> tuple[int, int, int]:
    if (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(part, int) and 0 <= part <= 255 for part in value)
    ):
        return value[0], value[1], value[2]
    raise CategoryError(
        f"Expected three whole numbers from 0 to 255 as the colour of {name!r}, got {value!r}."
    )


def _folded(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
