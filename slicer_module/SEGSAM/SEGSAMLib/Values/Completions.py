"""Request to complete a segment from the slices that its user confirmed, or drew by hand."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any, Iterator, Mapping

import numpy as np

from SEGSAMLib.Errors import PromptError
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.ConfirmedSlices import ConfirmedSlices
from SEGSAMLib.Values.Geometry import AXES, Voxel
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import (
    PackedRegion,
    Region,
    bounding_region,
    bounds,
    part_of,
    whole_shift,
)
from SEGSAMLib.Values.SlicePredictions import Slice

ENCODING = "packbits-zlib"
_MOST_OTHERS = 400_000
"""Characters of the mask of other segments in a request; larger ones are kept apart here alone."""

_MOST_CLOSE = 3
"""Mean number of slices in a row up to which they count as drawn slice by slice."""


@dataclass(frozen=True, eq=False)
class Completion:
    """Parts of a request to complete a segment; `request` packs them, in any thread.

    `fields` are its other keys. `results` are those of the model for the segment, of which a later
    one replaced slices across `axis`; `has_unknown` is True if there was one that is not known any
    more, because the scene was loaded from a file.
    """

    layers: Layers
    segment_id: str
    confirmed: ConfirmedSlices
    fields: Mapping[str, Any]
    axis: int | None = None
    results: tuple[PackedRegion, ...] = ()
    has_unknown: bool = False
    keeps_others: bool = True

    def request(self) -> dict[str, Any]:
        """Return the JSON of the request. Raises `PromptError` if no slice is confirmed."""
        shape = self.confirmed.shape_ijk
        segment = _inside(self.layers.whole(self.segment_id), shape)
        others = [
            found
            for each in self.layers.ids
            if each != self.segment_id
            and (found := _inside(self.layers.whole(each), shape)) is not None
        ]
        slices = self.confirmed.plus(self._drawn(segment, others))
        if not any(_encoded(part, shape) for part in _sections(segment, slices)):
            sentence = _(
                "Confirm a slice of the segment first (C): outline the object on it, or correct "
                "what the model drew."
            )
            raise PromptError(sentence)
        masks = zip(sorted(slices.slices), _sections(segment, slices))
        return {
            **self.fields,
            "confirmed": [
                {"axis": AXES[axis], "index": index, "mask": _encoded(part, shape)}
                for (axis, index), part in masks
            ],
            "others": _union(others, shape) if self.keeps_others else None,
        }

    def _drawn(self, segment: Region | None, others: list[Region]) -> set[Slice]:
        """Return the slices that the user drew or corrected by hand since the model's last result:
        those that differ from it across the axis along which the fewest follow each other.

        A stroke in an axial view changes one axial slice, and many sagittal and coronal ones.
        """
        layer = self.layers.label_of(self.segment_id).layer
        if self.has_unknown or whole_shift(layer.to_layer) is None:
            return set()  # what is the user's cannot be told
        made = [each.unpack() for each in self.results]
        known = made if segment is None else [segment, *made]
        if not known:
            return set()
        box = bounding_region(known)
        drawn = np.zeros_like(box.values) if segment is None else part_of(segment, box)
        changed = drawn ^ self._made(made, box)
        for each in others:
            changed &= drawn | ~part_of(each, box)  # another segment took the voxel
        rest = self.confirmed.removed_from(Region(box.min_ijk, changed))
        return _drawn_slices(rest.values, box.min_ijk, self.axis)

    def _made(self, results: list[Region], box: Region) -> np.ndarray:
        """Return what the model made of the segment, in a box."""
        made = np.zeros_like(box.values)
        for each in results:
            part = part_of(each, box)
            if self.axis is None:
                made |= part
                continue
            others = tuple(axis for axis in range(3) if axis != self.axis)
            replaced = part.any(axis=others, keepdims=True)
            made = np.where(replaced, part, made)
        return made


def drawn_axis(layers: Layers, segment_id: str) -> int | None:
    """Return the axis across which a segment was drawn slice by slice, None if it is empty."""
    found = layers.whole(segment_id)
    return None if found is None else _sparse_axis(_filled(found.values))


def _drawn_slices(changed: np.ndarray, min_ijk: Voxel, axis: int | None) -> set[Slice]:
    """Return the slices with changed voxels across the axis along which the fewest follow each
    other; nothing if that is another one than `axis`, or if many do, as after a tool that works in
    3D.
    """
    if not changed.any():
        return set()
    filled = _filled(changed)
    sparse = _sparse_axis(filled)
    found = sparse if axis is None else axis
    if _run(filled[found]) > min(_run(filled[sparse]), _MOST_CLOSE):
        return set()
    return {(found, int(index) + min_ijk[found]) for index in filled[found]}


def _filled(values: np.ndarray) -> list[np.ndarray]:
    """Return the slices of each axis on which an array that is not empty holds True."""
    return [
        np.flatnonzero(values.any(axis=tuple(a for a in range(3) if a != axis)))
        for axis in range(3)
    ]


def _run(filled: np.ndarray) -> float:
    """Return the mean number of slices that follow each other without a gap."""
    return len(filled) / (1 + int(np.count_nonzero(np.diff(filled) > 1)))


def _sparse_axis(filled: list[np.ndarray]) -> int:
    """Return the axis of the shortest runs of slices; of equal ones, that of the fewest slices."""
    return min(range(3), key=lambda axis: (_run(filled[axis]), len(filled[axis])))


def _sections(segment: Region | None, slices: ConfirmedSlices) -> Iterator[Region | None]:
    """Yield what a segment has on each slice, in their order."""
    for axis, index in sorted(slices.slices):
        yield None if segment is None else segment.within(axis, index, index)


def _inside(region: Region | None, shape_ijk: Voxel) -> Region | None:
    """Return the part of a region inside the volume: a segment may reach out of it."""
    for axis, side in enumerate(shape_ijk):
        region = None if region is None else region.within(axis, 0, side - 1)
    return None if region is None or region.is_empty else region


def _union(regions: list[Region], shape_ijk: Voxel) -> dict[str, Any] | None:
    if not regions:
        return None
    box = bounding_region(regions)
    for each in regions:
        box.values[...] |= part_of(each, box)
    found = _encoded(box, shape_ijk)
    return found if found is not None and len(found["data"]) <= _MOST_OTHERS else None


def _encoded(region: Region | None, shape_ijk: Voxel) -> dict[str, Any] | None:
    """Return a mask in the server's form, None if it is empty."""
    if region is None or region.is_empty:
        return None
    box = bounds(region.values)
    low = [first + side.start for first, side in zip(region.min_ijk, box)]
    values = region.values[box]
    packed = zlib.compress(np.packbits(values).tobytes(), 1)
    return {
        "shape_ijk": list(shape_ijk),
        "min_ijk": low,
        "max_ijk": [first + side - 1 for first, side in zip(low, values.shape)],
        "encoding": ENCODING,
        "data": base64.b64encode(packed).decode("ascii"),
    }
