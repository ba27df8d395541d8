"""The dialect of the stock MONAI Label module of 3D Slicer (and of OHIF), answered without
changing either.

What the module sends in `params`::

    {"label": "spleen", "foreground": [[i, j, k], ...], "background": [...],
     "roi": [i, i, j, j, k, k],      the ends of each axis in RAS order: unsorted for most images
     "slice": k,                     only for models of dimension 2
     "result_extension": ".nrrd", "device": ..., "client_id": ..., and keys of `config`}

Points and `roi` together are a box refined by points. Known weaknesses of the sender, put right
here:

* each pair of `roi` is sorted and clamped to the image;
* the test that filters points by slice takes slice 0 for "no slice": points are filtered again by
  `slice`;
* with a box only, `slice` is the slice view's offset in millimetres: when the box is one voxel
  thin along k, or does not contain that slice, the box is believed.

Nothing a client sends chooses a file, a model or a device: such keys are known, and have no
effect.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from segsam.errors import PromptError
from segsam.prompting.prompts import Box, Point, Prompts
from segsam.types import AxisChoice, VoxelIndex
from segsam_app.ids import IdText
from segsam_app.inference.requests import Click, Extension, ShortText

Shape = tuple[int, int, int]
Following = Literal["in boxes", "always", "never"]

FOLLOWING: dict[Following, bool | None] = {"in boxes": None, "always": True, "never": False}
"""What the module's options offer for `propagate`; it sends the first unless the user chooses."""


class StockKeys(BaseModel):
    """What MONAI Label's clients send with every request, and has no effect."""

    model_config = ConfigDict(extra="forbid")

    model: IdText | None = None
    image: IdText | None = None
    session: IdText | dict[str, Any] | None = None
    session_id: IdText | None = None
    description: Any = None
    device: Any = None
    client_id: Any = None
    user: Any = None
    reset_state: Any = None
    label_info: Any = None
    label_tag: IdText | None = None
    save_label: Any = None
    logging: Any = None
    timeout: Any = None
    result_dtype: Any = None
    result_compress: Any = None
    result_write_to_file: Any = None


class StockRequest(StockKeys):
    """The stock dialect."""

    foreground: list[list[float]] = []
    background: list[list[float]] = []
    roi: list[float] = []
    slice: int | None = None
    label: ShortText | None = None
    axis: AxisChoice | None = None
    propagate: bool | Following | None = None
    result_extension: Extension = ".nrrd"
    request_id: ShortText | None = None

    def click(self, shape_ijk: Shape) -> Click:
        """What is meant in an image of `shape_ijk`. Raises `PromptError` for prompts that cannot
        be meant.
        """
        box = None if not self.roi else _box(self.roi, shape_ijk)
        slice_k, notes = _believed_slice(self.slice, box)
        points = [Point(_voxel(p), positive=True) for p in self.foreground]
        points += [Point(_voxel(p), positive=False) for p in self.background]
        if slice_k is not None:
            points = _on_slice(points, slice_k, box is not None)
            box = box and box.section(2, slice_k)
        return Click(
            prompts=Prompts(points=tuple(points), boxes=() if box is None else (box,)),
            axis=self.axis if slice_k is None else "k",
            propagate=self._follows(),
            extension=self.result_extension,
            label=self.label or None,
            request_id=self.request_id,
            notes=notes,
        )

    def _follows(self) -> bool | None:
        return FOLLOWING[self.propagate] if isinstance(self.propagate, str) else self.propagate


def _box(roi: list[float], shape_ijk: Shape) -> Box:
    if len(roi) != 6 or not all(math.isfinite(value) for value in roi):
        raise PromptError(f"roi must be six finite numbers [i, i, j, j, k, k], got {roi!r:.120}")
    low: list[int] = []
    high: list[int] = []
    for axis, size in enumerate(shape_ijk):
        first, last = sorted(round(value) for value in roi[2 * axis : 2 * axis + 2])
        if last < 0 or first >= size:
            raise PromptError(
                f"roi is outside the image: {first} to {last} along {'ijk'[axis]}, "
                f"where the image has 0 to {size - 1}"
            )
        low.append(max(first, 0))
        high.append(min(last, size - 1))
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _believed_slice(slice_k: int | None, box: Box | None) -> tuple[int | None, tuple[str, ...]]:
    """The slice along k that is meant, and what to say when it is not the one that was sent."""
    if slice_k is None or box is None or box.min_ijk[2] <= slice_k <= box.max_ijk[2]:
        return slice_k, ()
    low, high = box.min_ijk[2], box.max_ijk[2]
    if low == high:
        return low, (f"slice {slice_k} is not the box's slice {low}; the box was used",)
    return None, (f"slice {slice_k} is not in the box's slices {low} to {high}; all were used",)


def _on_slice(points: list[Point], slice_k: int, has_box: bool) -> list[Point]:
    kept = [point for point in points if point.ijk[2] == slice_k]
    if points and not kept and not has_box:
        found = sorted({point.ijk[2] for point in points})
        raise PromptError(f"no point lies on slice {slice_k}; the points are on slices {found}")
    return kept


def _voxel(point: list[float]) -> VoxelIndex:
    if len(point) != 3 or not all(math.isfinite(value) for value in point):
        raise PromptError(f"a point must be three finite indices [i, j, k], got {point!r:.80}")
    i, j, k = (round(value) for value in point)
    return i, j, k
