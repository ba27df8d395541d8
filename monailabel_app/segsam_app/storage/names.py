"""What the values of a submitted label mean, by name.

MONAI Label's module of 3D Slicer sends `label_info = [{"name", "idx"}, ...]`, and its `idx` is not
the voxel value: it counts background and scribble segments that were left out of the label. There
the position in the list, from 1, is the value. Other clients send `idx` as the value. The sender
gives itself away: the module's `idx` always grow and are never below the position, and a label
that holds more than the positions is not the module's.

`label_names = {"liver": 1, ...}`, the form of our own replies, has no such doubt and wins.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

from segsam.errors import VolumeError
from segsam_app.errors import RequestError

_MOST_NAMES = 65_535
_LONGEST_NAME = 200
_MOST_LISTED = 8


def names_by_value(info: Mapping[str, Any], values: Collection[int]) -> dict[int, str]:
    """Voxel value -> name as submitted; empty when the client named nothing.

    `values` are those that the label holds beside 0. Raises `RequestError` for names that cannot be
    meant, `VolumeError` for a value without a name.
    """
    names = _submitted(info, values)
    unknown = sorted(set(values) - set(names))
    if names and unknown:
        raise VolumeError(
            f"the label holds {_few(unknown)}, which no name was sent for; named are "
            f"{_few(sorted(names))}"
        )
    return names


def _submitted(info: Mapping[str, Any], values: Collection[int]) -> dict[int, str]:
    names = info.get("label_names")
    if names is not None:
        if not isinstance(names, Mapping):
            raise RequestError(f"label_names must be {{name: value}}, got {names!r:.80}")
        return _unique([(value, name) for name, value in names.items()])
    listed = info.get("label_info")
    if not listed:
        return {}
    if not isinstance(listed, list) or len(listed) > _MOST_NAMES:
        raise RequestError(f"label_info must be a list of {{name, idx}}, got {listed!r:.80}")
    words = [_field(item, "name") for item in listed]
    indices = [_field(item, "idx") for item in listed]
    fits = set(values) <= set(range(1, len(listed) + 1))
    if not any(isinstance(index, int) for index in indices) or (fits and _grows(indices)):
        return _unique(list(enumerate(words, start=1)))
    return _unique(list(zip(indices, words, strict=True)))


def _grows(indices: list[Any]) -> bool:
    if not all(isinstance(index, int) for index in indices):
        return False
    grows = all(one < other for one, other in pairwise(indices))
    return grows and all(index >= place for place, index in enumerate(indices, start=1))


def _field(item: Any, key: str) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
        raise RequestError(f"each item of label_info needs a name, got {item!r:.80}")
    return item.get(key)


def _unique(pairs: list[tuple[Any, Any]]) -> dict[int, str]:
    found: dict[int, str] = {}
    for value, name in pairs:
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
        if not whole or not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise RequestError(
                f"a label has a name of at most {_LONGEST_NAME} characters and a value from 0, "
                f"got {name!r:.80} = {value!r:.40}"
            )
        if value in found:
            raise RequestError(
                f"the value {value} has two names, {found[value]!r:.80} and {name!r:.80}"
            )
        found[value] = name
    return found


def _few(values: list[int]) -> str:
    more = ", ..." if len(values) > _MOST_LISTED else ""
    return ", ".join(map(str, values[:_MOST_LISTED])) + more
