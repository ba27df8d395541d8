"""Names, colours, codes, descriptions and text embeddings of the categories."""

from __future__ import annotations

from segsam.categories.vocabulary import Categories, Category, descriptions_digest, read_categories

__all__ = ["Categories", "Category", "descriptions_digest", "read_categories"]
