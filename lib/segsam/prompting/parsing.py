"""Strict parsing of what comes from outside as JSON or text: right, or refused by name.

Nothing is guessed: an unknown key, a number that is not whole, or too many items is a PromptError.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
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
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 3:
        raise PromptError(f"A {what} is three whole numbers (i, j, k); got {shown(value)}.")
    i, j, k = (_whole(number, value, what) for number in value)
    return i, j, k


def _whole(number: Any, value: object, what: str) -> int:
    if isinstance(number, (np.integer, np.floating)):
        number = number.item()
    is_integer = isinstance(number, int) and not isinstance(number, bool)
    if is_integer or (isinstance(number, float) and number.is_integer()):
        if abs(number) > _LARGEST_INDEX:
            raise PromptError(f"A {what} holds {shown(number)}, which is outside any volume.")
        return int(number)
    raise PromptError(
        f"A {what} is three whole numbers (i, j, k); {shown(number)} in {shown(value)} is none."
    )


def shown(value: object) -> str:
    """A value as a sentence can bear it: long texts, long lists and deep nesting are cut."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        return f"a very long {type(value).__name__}"


def checked_mapping(
    value: object, what: str, *, required: tuple[str, ...], optional: tuple[str, ...]
) -> Mapping[str, object]:
    known = ", ".join(required + optional)
    if not isinstance(value, Mapping):
        raise PromptError(f"{what} must be an object with {known}; got {shown(value)}.")
    unknown = [key for key in value if key not in required + optional]
    if unknown:
        raise PromptError(f"{what} has the unknown key {shown(unknown[0])}; known are {known}.")
    missing = [key for key in required if key not in value]
    if missing:
        raise PromptError(f"{what} lacks {missing[0]}.")
    return value


def checked_items(value: object, what: str) -> Sequence[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise PromptError(f"{what} must be a list; got {shown(value)}.")
    if len(value) > MAX_PROMPTS:
        raise PromptError(f"At most {MAX_PROMPTS} {what} are accepted; got {len(value)}.")
    return value


def whole_from_text(part: str, text: str) -> int:
    try:
        number = float(part)
    except ValueError:
        raise PromptError(f"{shown(part)} in {shown(text)} is not a whole number.") from None
    if not math.isfinite(number) or number != int(number):
        raise PromptError(f"{shown(part)} in {shown(text)} is not a whole number.")
    return int(number)


def window_from_text(text: str | None) -> str | tuple[float, float] | None:
    """A window of displayed values, as a preset's name or "low,high"; None for none.

    Raises OutputError for ends that are no numbers.
    """
    low, comma, high = (text or "").partition(",")
    if not comma:
        return text
    try:
        return float(low), float(high)
    except ValueError:
        raise OutputError(f"A window is a preset's name or low,high; got {text!r}.") from None
