"""Categories that a user adds, in a file of their own: beside a checkpoint or anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.categories.category import Category
from segsam.categories.files import read_categories, write_categories, write_embeddings
from segsam.categories.providers import check_encoder
from segsam.categories.validation import validate
from segsam.categories.vocabulary import Categories
from segsam.errors import CategoryError

_COLOUR_STEP = 15


def additions_path(checkpoint: Path) -> Path:
    """Return the file of categories added to a checkpoint: `<its name>.categories.yaml` beside it.

    Their embeddings are in `<its name>.categories.safetensors`.
    """
    return checkpoint.with_suffix(".categories.yaml")


def check_addition(category: Category, known: Sequence[Category]) -> None:
    """Refuse a category that is incomplete or clashes with a known one.

    Raises:
        CategoryError: lists the problems that `validate` finds.
    """
    known_problems = set(validate(known))
    problems = [line for line in validate([*known, category]) if line not in known_problems]
    if problems:
        raise CategoryError("The category cannot be added. " + " ".join(problems))


def append_to_file(
    path: Path, category: Category, embedding: NDArray[np.float32], model: str
) -> Path:
    """Append a category and its embedding (D,), made by the encoder `model`, to a user's file.

    A missing file is created. It holds additions only, and `Categories.load` reads it.

    Raises:
        CategoryError: a file with embeddings of another encoder.
        OutputError: a file that cannot be written.
    """
    items: tuple[Category, ...] = ()
    rows = embedding[None]
    if path.is_file():
        known = Categories.load(path)
        check_encoder(known, model, embedding.size)
        items, rows = known.items, np.concatenate([known.text_embeddings, rows])
    write_categories(path, [*items, category])
    write_embeddings(path, [*items, category], rows, model)
    return path


def with_additions(base: Sequence[Category], path: Path | None) -> tuple[Category, ...]:
    """Return the base categories, then those of a user's file that have other names."""
    if path is None:
        return tuple(base)
    names = {item.name for item in base}
    return (*base, *(item for item in read_categories(path) if item.name not in names))


def free_colour(known: Sequence[Category]) -> tuple[int, int, int]:
    """Return the colour farthest from all known ones (sum of differences) on a coarse grid."""
    levels = range(30, 256, _COLOUR_STEP)
    grid = np.array(list(product(levels, levels, levels)), dtype=np.int32)
    nearest = np.full(len(grid), np.iinfo(np.int32).max, dtype=np.int32)
    for item in known:
        np.minimum(nearest, np.abs(grid - np.array(item.colour)).sum(1), out=nearest)
    red, green, blue = (int(part) for part in grid[int(nearest.argmax())])
    return red, green, blue
