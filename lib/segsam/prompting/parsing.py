"""Strict parsing of prompts from JSON or text.

Nothing is guessed: an unknown key, a number that is not whole, or too many items is a PromptError
that names the value.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np

from segsam.errors import OutputError, PromptError
from segsam.types import VoxelIndex

_LARGEST_INDEX = 2**31
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60

MAX_PROMPTS = 1000
"""Most points, and most boxes, in one request."""


def voxel_index(value: object, what: str) -> VoxelIndex:
    """Return a value as voxel index (i, j, k); raises PromptError, which names `what`."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 3:
        raise PromptError(
            f"Expected {what} as three whole numbers (i, j, k), got {short_repr(value)}."
        )
    i, j, k = (_whole_number(number, value, what) for number in value)
    return i, j, k


def _whole_number(number: Any, value: object, what: str) -> int:
    if isinstance(number, (np.integer, np.floating)):
        number = number.item()
    is_integer = isinstance(number, int) and not isinstance(number, bool)
    if is_integer or (isinstance(number, float) and number.is_integer()):
        if abs(number) > _LARGEST_INDEX:
            raise PromptError(f"Expected {what} inside a volume, got {short_repr(number)}.")
        return int(number)
    raise PromptError(
        f"Expected {what} as three whole numbers (i, j, k), got {short_repr(number)} in "
        f"{short_repr(value)}."
    )


def short_repr(value: object) -> str:
    """Return a value as text for a sentence; long texts, long lists and deep nesting are cut."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"a very long {type(value).__name__}"


def checked_mapping(
    value: object, what: str, *, required: tuple[str, ...], optional: tuple[str, ...]
) -> Mapping[str, object]:
    """Return a JSON object that has all required and no unknown keys; raises PromptError."""
    known = ", ".join(required + optional)
    if not isinstance(value, Mapping):
        raise PromptError(f"Expected {what} to be an object with {known}, got {short_repr(value)}.")
    unknown = [key for key in value if key not in required + optional]
    if unknown:
        raise PromptError(
            f"Expected only the keys {known} in {what}, got {short_repr(unknown[0])}."
        )
    missing = [key for key in required if key not in value]
    if missing:
        raise PromptError(f"Expected {missing[0]} in {what}, got none.")
    return value


def checked_items(value: object, what: str) -> Sequence[object]:
    """Return a JSON list of at most `MAX_PROMPTS` items; raises PromptError."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise PromptError(f"Expected {what} to be a list, got {short_repr(value)}.")
    check_count(value, what)
    return value


def check_count(items: Sized, what: str) -> None:
    """Raise PromptError for more than `MAX_PROMPTS` items."""
    if len(items) > MAX_PROMPTS:
        raise PromptError(f"Expected at most {MAX_PROMPTS} {what}, got {len(items)}.")


def whole_numbers(parts: Sequence[str], text: str) -> list[int]:
    """Return parts of a text as whole numbers; raises PromptError."""
    return [_whole_from_text(part, text) for part in parts]


def _whole_from_text(part: str, text: str) -> int:
    try:
        number = float(part)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number != int(number):
        raise PromptError(f"Expected whole numbers, got {short_repr(part)} in {short_repr(text)}.")
    return int(number)


def window_from_text(text: str | None) -> str | tuple[float, float] | None:
    """Return a display window from a preset's name or "low,high"; None for None.

    Raises:
        OutputError: ends that are not numbers.
    """
    low, comma, high = (text or "").partition(",")
    if not comma:
        return text
    try:
        return float(low), float(high)
    except ValueError:
        raise OutputError(
            f"Expected a window as a preset's name or low,high, got {text!r}."
        ) from None
