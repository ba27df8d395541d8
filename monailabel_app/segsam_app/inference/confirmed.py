"""Confirmed slices in a request: `confirmed` of our dialect, in one of two forms.

::

    [{"axis": "k", "index": 41, "mask": {...}},     a mask as replies hold it, on this slice alone
     {"axis": "k", "index": 52, "mask": null}]      null: the object is not on it

    {"label": "case7", "tag": "final", "value": 3}      a label of the store: each slice that holds
                                                        the value is confirmed as it is
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from segsam.errors import LabelError, PromptError, VolumeError
from segsam.imaging.volume import Volume
from segsam.prediction.completion.confirmed import ConfirmedSlices
from segsam.prediction.completion.sparse_labels import read_sparse_labels
from segsam.types import AxisName, VoxelIndex
from segsam_app.errors import RequestError
from segsam_app.ids import IdText, ImageIdText
from segsam_app.inference.sent_masks import SentMask
from segsam_app.records import RequestRecord

MOST_SLICES = 200
"""Most slices of a list: each takes the memory of an embedding."""

FindLabel = Callable[[str, str], tuple[Path, Sequence[str]]]
"""(label, tag) -> its file, and notes about it; raises `NotFoundError`."""


class SentSlice(RequestRecord):
    """One confirmed slice."""

    model_config = ConfigDict(strict=True)
    prefix = "confirmed."

    axis: AxisName
    """Axis across which it lies."""
    index: int
    """Its index."""
    mask: SentMask | None
    """The object on it; null if it is not there."""

    def plane(self, shape_ijk: VoxelIndex) -> NDArray[np.bool_]:
        """Return the mask of the other two axes. Raises `RequestError` if it does not lie on this
        slice, `PromptError` if there is no such slice.
        """
        axis = "ijk".index(self.axis)
        if not 0 <= self.index < shape_ijk[axis]:
            raise PromptError(
                f"Expected confirmed slices 0 to {shape_ijk[axis] - 1} across {self.axis}, got "
                f"{self.index}."
            )
        if self.mask is None:
            return np.zeros([side for n, side in enumerate(shape_ijk) if n != axis], np.bool_)
        where = f"the mask of {self.axis} = {self.index}"
        self.mask.check_box(shape_ijk, where)
        first, last = self.mask.min_ijk[axis], self.mask.max_ijk[axis]
        if not first == last == self.index:
            raise RequestError(
                f"Expected {where} on this slice alone, got one on {self.axis} = {first} to {last}."
            )
        return self.mask.plane(shape_ijk, axis, where)


class StoredLabel(RequestRecord):
    """Label of the store, some slices of which are outlined."""

    model_config = ConfigDict(strict=True)
    prefix = "confirmed."

    label: ImageIdText
    """Id of the label, which is that of its image."""
    tag: IdText = "final"
    """Tag of the label."""
    value: Annotated[int, Field(ge=1)] | None = None
    """Label value of the object; needed if there are several. The others are not it."""
    axis: AxisName | Literal["auto"] = "auto"
    """Axis across which the slices were outlined."""
    empty: Annotated[list[int], Field(max_length=MOST_SLICES)] = Field(default_factory=list)
    """Slices across it on which the object is not."""


@dataclass(frozen=True, eq=False)
class Confirmed:
    """Confirmed slices in an image, where other objects are (i, j, k), and notes for the user."""

    slices: ConfirmedSlices
    others: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()


def read_confirmed(value: object) -> tuple[SentSlice, ...] | StoredLabel:
    """Return what a request confirms, in one of the forms above. Raises `RequestError`."""
    if isinstance(value, Mapping):
        return StoredLabel.model_validate(dict(value))
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_SLICES:
        got = f"{len(value)} slices" if isinstance(value, list) else f"{value!r:.80}"
        raise RequestError(
            f"Expected a list of 1 to {MOST_SLICES} slices, or a label of the store, as confirmed, "
            f"got {got}."
        )
    return tuple(SentSlice.model_validate(each) for each in value)


def confirmed_in(
    volume: Volume, sent: tuple[SentSlice, ...] | StoredLabel, find_label: FindLabel
) -> Confirmed:
    """Return the confirmed slices of an image.

    Raises:
        PromptError: slices that the image does not have, or that contradict each other; a picture.
        RequestError: masks that do not fit.
        LabelError, NotFoundError: a label that lies elsewhere, or that there is not.
    """
    if isinstance(sent, StoredLabel):
        if 1 in volume.shape_ijk:
            ConfirmedSlices.of({}, volume.shape_ijk)  # it raises
        path, notes = find_label(sent.label, sent.tag)
        try:
            read = read_sparse_labels(path, volume, sent.value, axis=sent.axis, empty=sent.empty)
        except LabelError:
            raise
        except VolumeError as error:  # of the label, and not of the image
            raise LabelError(str(error)) from error
        return Confirmed(read.confirmed, read.others, tuple(notes))
    planes: dict[tuple[AxisName | int, int], Any] = {}
    for each in sent if 1 not in volume.shape_ijk else ():
        plane = each.plane(volume.shape_ijk)
        before = planes.setdefault((each.axis, each.index), plane)
        if not np.array_equal(before, plane):
            raise PromptError(
                f"Expected one mask for the confirmed slice {each.axis} = {each.index}, got two "
                "that differ."
            )
    return Confirmed(ConfirmedSlices.of(planes, volume.shape_ijk))
