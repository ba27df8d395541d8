"""The categories that a model knows, in order, each with the embedding of its description."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.categories.category import Category
from segsam.categories.files import (
    DEFAULT_PATH,
    descriptions_digest,
    embeddings_path,
    read_categories,
    read_embeddings,
)
from segsam.errors import CategoryError

_NAMED = 3


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
            for word in dict.fromkeys(map(folded, (item.name, *item.synonyms))):
                if word in seen:
                    raise CategoryError(
                        f"The name {word!r} stands for both {seen[word]!r} and {item.name!r}."
                    )
                seen[word] = item.name

    @classmethod
    def load(cls, path: str | Path | None = None) -> Categories:
        """Categories from YAML and the embeddings beside it; the package's own by default.

        Args:
            path: one `.yaml` with embeddings of the same name (`.safetensors`), or a folder of
                `.yaml` files, read in the order of their names, with `embeddings.safetensors`.

        Raises:
            CategoryError: a file that is missing or malformed, or embeddings made from other
                descriptions.
        """
        path = DEFAULT_PATH if path is None else Path(path)
        items = read_categories(path)
        embeddings, metadata = read_embeddings(embeddings_path(path))
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

    @property
    def dimension(self) -> int:
        """D, the numbers in one text embedding."""
        return int(self.text_embeddings.shape[1])

    def index(self, name: str) -> int:
        """Position of a category by name or synonym; case, underscores and hyphens do not matter.

        Raises:
            CategoryError: an unknown name; the three nearest names are given.
        """
        found = self._index_by_word.get(folded(name))
        if found is None:
            near = difflib.get_close_matches(folded(name), self._index_by_word, n=20, cutoff=0.0)
            nearest = list(
                dict.fromkeys(self.items[self._index_by_word[word]].name for word in near)
            )[:_NAMED]
            raise CategoryError(
                f"There is no category {name!r}; the nearest are {', '.join(map(repr, nearest))}."
            )
        return found

    def colour(self, name: str) -> tuple[int, int, int]:
        """Red, green, blue (0 to 255) of a category by name or synonym."""
        return self.items[self.index(name)].colour

    def with_category(self, category: Category, embedding: NDArray[np.float32]) -> Categories:
        """These and one more at the end; `embedding` (D,) comes from the same encoder.

        Raises:
            CategoryError: a name that is taken, or an embedding of another length.
        """
        if embedding.shape != (self.dimension,):
            raise CategoryError(
                f"Expected {self.dimension} numbers as the text embedding of {category.name!r}, as "
                f"{self.embedding_model} makes them, got {embedding.size}."
            )
        rows = np.concatenate([self.text_embeddings, embedding[None].astype(np.float32)])
        return Categories((*self.items, category), rows, self.embedding_model)

    def only(self, names: Iterable[str]) -> Categories:
        """Those of the given names or synonyms, in the order they have here.

        Raises:
            CategoryError: an unknown name; the nearest are given.
        """
        kept = sorted({self.index(name) for name in names})
        items = tuple(self.items[k] for k in kept)
        return Categories(items, self.text_embeddings[kept], self.embedding_model)

    @cached_property
    def _index_by_word(self) -> dict[str, int]:
        words = [
            (word, k) for k, item in enumerate(self.items) for word in (item.name, *item.synonyms)
        ]
        return {folded(word): k for word, k in words}


def folded(name: str) -> str:
    """A name without what does not matter when names are compared."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def search(items: Iterable[Category], text: str) -> tuple[Category, ...]:
    """The categories that have all words of a text in name, synonyms, modalities or codes."""
    words = folded(text).split()
    return tuple(item for item in items if all(word in _searched(item) for word in words))


def _searched(item: Category) -> str:
    return folded(" ".join(_words(item)))


def _words(item: Category) -> Iterator[str]:
    yield item.name
    yield from item.synonyms
    yield from item.modalities
    if item.terminology is not None:
        terms = item.terminology
        for code in (terms.type, terms.modifier, terms.region):
            if code is not None:
                yield from code[1:]
