"""Values of an answer as positions in the model's list of labels, for clients that read them so.

The web viewer OHIF takes value n of an answer for the n-th entry, counted from 1, of the model's
labels in `/info/`, and says so by `restore_label_idx: false` in each request. Everybody else gets
the values 1 to N with `label_names`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from segsam.types import LabelArray
from segsam_app.errors import RequestError

_MAX_VALUE = 255
"""Such clients read one byte per voxel."""


def position_of(name: str, listed: Sequence[str], *, otherwise: str) -> int:
    """Return the position of the name of a single object. A name that is not listed has that of
    `otherwise`, or the position after the last one, which is no other object's.

    Raises `RequestError` for a position beyond 255.
    """
    found = next((each for each in (name, otherwise) if each in listed), None)
    return _checked(len(listed) + 1 if found is None else listed.index(found) + 1)


def at_positions(
    labels: LabelArray, names: Mapping[str, int], listed: Sequence[str]
) -> tuple[LabelArray, dict[str, int]]:
    """Return labels (i, j, k) whose values 1 to N, the values of `names`, became the positions of
    the names in `listed`, as uint8; and the names with their positions.

    Raises `RequestError` for a name that is not listed, and for a position beyond 255.
    """
    unlisted = [name for name in names if name not in listed]
    if unlisted:
        raise RequestError(
            "with restore_label_idx false, values are positions in the model's labels: expected "
            f"categories that it lists, got {', '.join(unlisted):.200}"
        )
    positions = {name: _checked(listed.index(name) + 1) for name in names}
    table = np.zeros(max(names.values(), default=0) + 1, np.uint8)
    for name, value in names.items():
        table[value] = positions[name]
    return table[labels], positions


def names_at(positions: Sequence[int], listed: Sequence[str]) -> tuple[str, ...]:
    """Return the names at positions in a model's list, counted from 1.

    Raises `RequestError` for a position that is not in the list, and for none at all.
    """
    if not positions:
        raise RequestError("expected at least one label in label_prompt, got none; choose one")
    for position in positions:
        if not 1 <= position <= len(listed):
            raise RequestError(
                f"expected label_prompt to be positions from 1 to {len(listed)} in the model's "
                f"labels, got {position}"
            )
    return tuple(listed[position - 1] for position in positions)


def _checked(position: int) -> int:
    if position > _MAX_VALUE:
        raise RequestError(
            f"with restore_label_idx false, values are positions up to {_MAX_VALUE}; this label "
            f"is number {position} of the model's list"
        )
    return position
