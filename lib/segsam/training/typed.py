"""Plain values, as YAML has them, as the types that a record's fields are declared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segsam.errors import TrainingError

_PLAIN: Mapping[str, type] = {"str": str, "float": float, "int": int, "bool": bool}
_SCALARS = (str, float, int, bool)


def typed(name: str, value: Any, declared: str) -> Any:
    """The value as what a field is declared with: `int`, `tuple[float, ...]`, `Mapping[str, int]`,
    or a mapping to any of the plain types. Whole numbers pass for fractions, nothing else for
    another; a single value passes for a tuple of one.

    Raises:
        TrainingError: a value of another type; names the field.
    """
    kind, _, inner = declared.rstrip("]").partition("[")
    if kind == "Mapping":
        if not isinstance(value, dict):
            raise TrainingError(f"Expected values by name in {name}, got {value!r}.")
        wanted = inner.removeprefix("str, ")
        return {str(key): _one(f"{name}.{key}", item, wanted) for key, item in value.items()}
    if kind == "tuple":
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(_one(name, item, inner.removesuffix(", ...")) for item in values)
    return _one(name, value, kind)


def _one(name: str, value: Any, declared: str) -> Any:
    if declared not in _PLAIN:
        if not isinstance(value, _SCALARS):
            raise TrainingError(f"Expected a number or a word as {name}, got {value!r}.")
        return value
    wanted = _PLAIN[declared]
    if wanted is float and isinstance(value, str):
        value = _number(value)  # YAML reads 1e-4, without a point, as text
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not wanted:
        raise TrainingError(f"Expected {wanted.__name__} as {name}, got {value!r}.")
    return value


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
