"""Names, colours, codes, descriptions and text embeddings of the categories."""

from __future__ import annotations

from segsam.categories.category import MODALITIES, Category
from segsam.categories.files import descriptions_digest, read_categories
from segsam.categories.terminology import Terminology
from segsam.categories.validation import validate
from segsam.categories.vocabulary import Categories

__all__ = [
    "MODALITIES",
    "Categories",
    "Category",
    "Terminology",
    "descriptions_digest",
    "read_categories",
    "validate",
]
