"""Sides in mirrored pictures: what is left in one is right in the other, in picture and name."""

from __future__ import annotations

from functools import cache

from segsam.categories import Categories, Category
from segsam.categories.vocabulary import folded
from segsam.datasets.folder import Dataset
from segsam.errors import CategoryError, TrainingError

_OTHER = {"left": "right", "right": "left"}


def mirrored_values(dataset: Dataset) -> dict[int, int]:
    """Return label value -> value that the same object has in a mirrored picture.

    "left kidney" becomes "right kidney", and "liver" stays. Some names contain a side that does not
    follow the picture: a mirrored right ventricle is neither a left one nor, in its place, a right
    one. A data set with such a name cannot be mirrored, nor can one that labels one kidney only.

    Raises:
        TrainingError: a name that has no counterpart in a mirrored picture.
    """
    names = {value: _canonical(name) for value, name in dataset.labels.items()}
    values: dict[int, int] = {}
    for value, (name, category) in names.items():
        other = other_side(name)
        twin = next((each for each, (its_name, _) in names.items() if its_name == other), None)
        if other == name:
            twin = value
        elif twin is None or not (category is None or has_side(category)):
            raise TrainingError(
                f"Expected no mirrored copies of {dataset.name}: its label "
                f"{dataset.labels[value]!r} has no counterpart on the other side there."
            )
        values[value] = twin
    return values


def _canonical(label: str) -> tuple[str, Category | None]:
    """Return the name that the vocabulary has for a label, and its category; else the label."""
    try:
        category = _vocabulary().items[_vocabulary().index(label)]
    except CategoryError:
        return folded(label), None
    return folded(category.name), category


@cache
def _vocabulary() -> Categories:
    return Categories.load()


def other_side(name: str) -> str:
    """Return the name of the same structure on the other side; the name itself without a side."""
    return " ".join(_OTHER.get(word, word) for word in name.split())


def has_side(category: Category) -> bool:
    """Return True if the side is a modifier of the structure, which exists on both sides."""
    return category.terminology is not None and category.terminology.modifier is not None
