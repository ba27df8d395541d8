"""Reader of sparse labels: a file in which some slices of an object are outlined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from segsam.errors import LabelError, PromptError
from segsam.imaging.label_files import Labels, read_labels
from segsam.imaging.volume import Volume
from segsam.prediction.completion.confirmed import ConfirmedSlices, check_object_value
from segsam.types import AxisName

_MOST_LISTED = 10


@dataclass(frozen=True, eq=False)
class SparseLabels:
    """Confirmed slices of the object with one label value, and where other values are (i, j, k)."""

    value: int
    confirmed: ConfirmedSlices
    others: NDArray[np.bool_]


def read_sparse_labels(
    path: Path,
    volume: Volume,
    value: int | None = None,
    *,
    axis: str = "auto",
    empty: Sequence[int] = (),
) -> SparseLabels:
    """Read the slices of an object that a label file holds on the voxels of a volume.

    Args:
        path: a label file in any format.
        volume: the image that it belongs to.
        value: of the object; None if the file has only one.
        axis: across which the slices were outlined: i, j, k, or auto.
        empty: indices of slices across it on which the object is not.

    Raises:
        LabelError: labels that lie elsewhere, are no labels, or overlap.
        PromptError: no such value, several to choose from, an axis or slices that do not fit.
        VolumeError: a file that cannot be read.
    """
    if axis not in ("auto", "i", "j", "k"):
        raise PromptError(f"Expected an axis auto, i, j or k, got {axis!r}.")
    if value is not None:
        check_object_value(value)
    try:
        read = read_labels(path, volume)
    except LabelError as error:
        raise LabelError(f"{path.name}: {error}.") from error
    value = _one_value(read, path) if value is None else value
    labelled = np.any([each != 0 for each in read.maps], axis=0)
    is_object = np.any([each == value for each in read.maps], axis=0)
    if not is_object.any():
        raise PromptError(f"Expected slices with the label value {value}, got none.")
    across = None if axis == "auto" else cast("AxisName", axis)
    confirmed = ConfirmedSlices.of_labels(is_object, 1, across)
    number = confirmed.main_axis
    for index in empty:
        if index in confirmed.along(number):
            raise PromptError(
                "Expected slices without the object as empty, got "
                f"{index}, on which it is outlined."
            )
        sides = [side for each, side in enumerate(volume.shape_ijk) if each != number]
        nothing = np.zeros((sides[0], sides[1]), np.bool_)
        confirmed = confirmed.with_one(number, index, nothing)
    return SparseLabels(value, confirmed, labelled & ~is_object)


def _one_value(labels: Labels, path: Path) -> int:
    """Return the only value of a label file. Raises PromptError if there are more, with them."""
    if len(labels.values) == 1:
        return labels.values[0]
    named = [
        f"{value} {labels.names[value]}" if value in labels.names else str(value)
        for value in labels.values[:_MOST_LISTED]
    ]
    raise PromptError(
        f"Expected the label value of one object in {path.name}, which holds "
        f"{', '.join(named) or 'none'}{', ...' * (len(labels.values) > _MOST_LISTED)}."
    )
