"""Vocabulary of a model: its categories in order, with the embeddings of their descriptions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
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

_SUGGESTIONS = 3


@dataclass(frozen=True, eq=False)
class Categories:
    """Ordered vocabulary; category k is class k + 1 of the semantic decoder, class 0 is none."""

    items: tuple[Category, ...]
    text_embeddings: NDArray[np.float32] = field(repr=False)
    """(K, D), one row per category, from `embedding_model`."""
    embedding_model: str

    def __post_init__(self) -> None:
        """Refuse names that stand for two categories, and a wrong number of embeddings."""
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
                        f"Expected each name or synonym in one category, got {word!r} in both "
                        f"{seen[word]!r} and {item.name!r}."
                    )
                seen[word] = item.name

    @classmethod
    def load(cls, path: str | Path | None = None) -> Categories:
        """Read categories from YAML and the embeddings beside it; by default those of the package.

        Args:
            path: one `.yaml` with embeddings of the same name (`.safetensors`), or a folder of
                `.yaml` files, read in alphabetical order, with `embeddings.safetensors`.

        Raises:
            CategoryError: a file that is missing or malformed, or embeddings made from other
                descriptions.
        """
        path = DEFAULT_PATH if path is None else Path(path)
        items = read_categories(path)
        embeddings, metadata = read_embeddings(embeddings_path(path))
        found, expected = metadata.get("descriptions_sha256"), descriptions_digest(items)
        if found != expected:
            raise CategoryError(
                f"The text embeddings beside {path.name} were made from other descriptions "
                f"({str(found)[:12]}) than it holds ({expected[:12]}); make them again with: "
                f"python -m segsam.categories.embed {path.name}"
            )
        return cls(items, embeddings, metadata.get("model", "unknown"))

    def __len__(self) -> int:
        """Return K, the number of categories."""
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the categories, in order."""
        return tuple(item.name for item in self.items)

    @property
    def dimension(self) -> int:
        """D, the length of one text embedding."""
        return int(self.text_embeddings.shape[1])

    def index(self, name: str) -> int:
        """Return the index of a category by name or synonym; case, "_" and "-" do not matter.

        Raises:
            CategoryError: an unknown name; the message lists the three nearest names.
        """
        found = self.find(name)
        if found is None:
            nearest = ", ".join(map(repr, self.nearest(name)))
            raise CategoryError(f"There is no category {name!r}; the nearest are {nearest}.")
        return found

    def find(self, name: str) -> int | None:
        """Return the index of a category as `index` does; None for an unknown name."""
        return self._index_by_word.get(folded(name))

    def nearest(self, name: str, others: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the three names nearest to an unknown one, of categories (also by their synonyms)
        and of `others`.
        """
        named = {word: self.items[k].name for word, k in self._index_by_word.items()}
        named |= {folded(other): other for other in others}
        near = difflib.get_close_matches(folded(name), named, n=20, cutoff=0.0)
        return tuple(dict.fromkeys(named[word] for word in near))[:_SUGGESTIONS]

    def colour(self, name: str) -> tuple[int, int, int]:
        """Return red, green, blue (0 to 255) of a category by name or synonym."""
        return self.items[self.index(name)].colour

    def with_category(self, category: Category, embedding: NDArray[np.float32]) -> Categories:
        """Return a vocabulary with one more category at the end.

        Args:
            category: the new category.
            embedding: its text embedding (D,) by the same encoder.

        Raises:
            CategoryError: a name that is already used, or an embedding of another length.
        """
        if embedding.shape != (self.dimension,):
            raise CategoryError(
                f"Expected {self.dimension} numbers as the text embedding of {category.name!r}, by "
                f"{self.embedding_model}, got {embedding.size}."
            )
        rows = np.concatenate([self.text_embeddings, embedding[None].astype(np.float32)])
        return Categories((*self.items, category), rows, self.embedding_model)

    def only(self, names: Iterable[str]) -> Categories:
        """Return the categories of the given names or synonyms, in the order of this vocabulary.

        Raises:
            CategoryError: an unknown name; the message lists the three nearest names.
        """
        indices = sorted({self.index(name) for name in names})
        items = tuple(self.items[k] for k in indices)
        return Categories(items, self.text_embeddings[indices], self.embedding_model)

    @cached_property
    def _index_by_word(self) -> dict[str, int]:
        return {
            folded(word): k
            for k, item in enumerate(self.items)
            for word in (item.name, *item.synonyms)
        }


def folded(name: str) -> str:
    """Return the form of a name that is compared: lower case, single blanks for "_" and "-"."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def search(items: Iterable[Category], text: str) -> tuple[Category, ...]:
    """Return the categories with all words of a text in name, synonyms, modalities or codes."""
    words = folded(text).split()
    return tuple(item for item in items if all(word in _searched_text(item) for word in words))


def _searched_text(item: Category) -> str:
    texts = [item.name, *item.synonyms, *item.modalities]
    if item.terminology is not None:
        terms = item.terminology
        codes = (code for code in (terms.type, terms.modifier, terms.region) if code)
        texts += [text for code in codes for text in code[1:]]
    return folded(" ".join(texts))
