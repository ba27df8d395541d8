"""Dialects: the two forms of an inference request, in the field `params` of `POST /infer/segsam`.

Each is one JSON object. **Our dialect** is recognised by its key `prompts`. An unknown key is
refused by name, so that a typo never leads to a silently different mask::

    {"prompts": {"points": [{"ijk": [i, j, k], "positive": true}],
                 "boxes": [{"min_ijk": [i, j, k], "max_ijk": [i, j, k]}]},
     "axis": "auto|i|j|k|all", "propagate": null | true | false | "memory",
     "decoder": "binary|semantic", "category": null,
     "window": null | "lung" | [low, high],
     "result": "slice|region|volume", "request_id": "..."}

A box may have `"positive": false`, too: no voxel in it belongs to the object. A request with the
key `confirmed` completes an object from some of its slices, see `completing.py`; one with the key
`find` names objects and marks none, see `finding.py`.

**The stock dialect** is what the unchanged MONAI Label module of 3D Slicer and OHIF send::

    {"label": "spleen", "foreground": [[i, j, k], ...], "background": [...],
     "roi": [i, i, j, j, k, k],      the ends of each axis in RAS order: unsorted for most images
     "slice": k,                     only for models of dimension 2
     "result_extension": ".nrrd", "device": ..., "client_id": ..., and keys of `config`,
     "restore_label_idx": false, "result_compress": false}          from OHIF

Points and `roi` together are a box refined by points. Three weaknesses of the stock module are
corrected here:

* each pair of `roi` is sorted and clamped to the image;
* the module filters points by slice but takes slice 0 for "no slice", so the points are filtered
  again by `slice`;
* with a box only, the module sends the slice view's offset in millimetres as `slice`. If the box is
  one voxel thin along k, or does not contain that slice, the box is used instead.

Voxel indices are those of the stored array: (i, j, k) as nibabel, pynrrd and 3D Slicer count them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from pydantic import ConfigDict, Field

from segsam.errors import PromptError
from segsam.prompting.prompts import Box, Point, Prompts
from segsam.types import AxisChoice, DecoderName, PropagateChoice, VoxelIndex
from segsam_app.errors import RequestError
from segsam_app.inference.requests import (
    AnswerKeys,
    Extension,
    MonaiLabelKeys,
    Name,
    RequestId,
    ShortText,
    Window,
    window_of,
)

Shape = tuple[int, int, int]
ResultForm = Literal["slice", "region", "volume"]
Following = Literal["in boxes", "always", "never", "memory"]

FOLLOWING: dict[Following, PropagateChoice | None] = {
    "in boxes": None,
    "always": True,
    "never": False,
    "memory": "memory",
}
"""Choices that the stock module offers for `propagate`; it sends the first unless the user chooses
another. The last one is offered if the checkpoint's host has a memory.
"""

_OURS = "prompts"
_STOCK = ("foreground", "background", "roi")


@dataclass(frozen=True)
class ImageRequest:
    """Inference request for one image, the same for both dialects: what to segment, how, and in
    which form to reply.

    `propagate` is that of `Predictor.predict`: None follows the object in 3D boxes only, "memory"
    needs a host of SAM 2, whose weights do not come with this product. `label`
    names the mask in the reply; None for the model's own name of the object. `by_position` makes
    the mask's value the position of its name in the model's labels. `notes` are sentences about
    what had to be interpreted.
    """

    prompts: Prompts
    axis: AxisChoice | None = None
    propagate: PropagateChoice | None = None
    decoder: DecoderName = "binary"
    category: str | None = None
    window: Window | None = None
    form: ResultForm = "volume"
    extension: Extension = ".nrrd"
    compress: bool = True
    by_position: bool = False
    label: str | None = None
    request_id: str | None = None
    notes: tuple[str, ...] = ()


class Request(Protocol):
    """Validated request. Its meaning can depend on the image, because stock boxes are clamped."""

    def for_image(self, shape_ijk: Shape) -> ImageRequest:
        """Return the request for an image of `shape_ijk`. Raises `PromptError` for invalid
        prompts.
        """
        ...


class OurRequest(AnswerKeys):
    """Request in our dialect."""

    model_config = ConfigDict(strict=True)

    is_preemptible: ClassVar[bool] = False
    """An annotator waits for each reply, so it is not interrupted."""

    prompts: Any
    """Points and boxes, see `Prompts.from_json`."""
    axis: AxisChoice | None = None
    """Axis of the slices; without it, the setting `axis`."""
    propagate: PropagateChoice | None = None
    """Follow the object through the slices; null: in 3D boxes only; "memory": by the memory of a
    host of SAM 2, whose weights do not come with this product."""
    decoder: DecoderName = "binary"
    """Decoder of the mask."""
    category: ShortText | None = None
    """Category of the object, if it is known."""
    window: ShortText | list[float] | None = None
    """Intensity window: the name of a preset or [low, high]."""
    result: ResultForm = "volume"
    """Form of the reply: one plane or a region in JSON, or a label file."""
    request_id: RequestId = None
    """Id that the client chooses, for `GET /segsam/progress` and the reply."""

    def for_image(self, shape_ijk: Shape) -> ImageRequest:
        """Return the request; our prompts mean the same in every image. Raises `PromptError`."""
        del shape_ijk
        return ImageRequest(
            prompts=Prompts.from_json(self.prompts),
            axis=self.axis,
            propagate=self.propagate,
            decoder=self.decoder,
            category=self.category,
            window=window_of(self.window),
            form=self.result,
            request_id=self.request_id,
            **_answer(self),
        )


class StockRequest(MonaiLabelKeys):
    """Request in the stock dialect."""

    is_preemptible: ClassVar[bool] = False
    """As that of `OurRequest`."""

    foreground: list[list[float]] = Field(default_factory=list)
    """Points on the object, [i, j, k] each."""
    background: list[list[float]] = Field(default_factory=list)
    """Points outside the object, [i, j, k] each."""
    roi: list[float] = Field(default_factory=list)
    """Ends of the box along each axis: [i, i, j, j, k, k]."""
    slice: int | None = None
    """Slice along k, for clients that work in 2D."""
    label: Name | None = None
    """Name of the annotator's segment."""
    axis: AxisChoice | None = None
    """Axis of the slices; without it, the setting `axis`."""
    propagate: bool | Following | None = None
    """Follow the object through the slices."""
    request_id: RequestId = None
    """Id that the client chooses, for `GET /segsam/progress` and the reply."""

    def for_image(self, shape_ijk: Shape) -> ImageRequest:
        """Return the request for an image of `shape_ijk`. Raises `PromptError` for invalid
        prompts.
        """
        box = _box(self.roi, shape_ijk) if self.roi else None
        slice_k, notes = _effective_slice(self.slice, box)
        points = [Point(_voxel(p), positive=True) for p in self.foreground]
        points += [Point(_voxel(p), positive=False) for p in self.background]
        if slice_k is not None:
            points = _on_slice(points, slice_k, box is not None)
            box = box and box.section(2, slice_k)
        propagate = self.propagate
        return ImageRequest(
            prompts=Prompts(points=tuple(points), boxes=() if box is None else (box,)),
            axis=self.axis if slice_k is None else "k",
            propagate=FOLLOWING[propagate] if isinstance(propagate, str) else propagate,
            label=self.label or None,
            request_id=self.request_id,
            notes=notes,
            **_answer(self),
        )


def read_request(params: Mapping[str, Any]) -> Request:
    """Return the validated request. Raises `RequestError` for an unknown key, an invalid value or a
    mixture of the dialects.
    """
    if _OURS not in params:
        return StockRequest.model_validate(dict(params))
    mixed = [key for key in _STOCK if key in params]
    if mixed:
        raise RequestError(f"{_OURS} and {mixed[0]} are of two dialects; send one of them")
    return OurRequest.model_validate(dict(params))


def _answer(request: AnswerKeys) -> dict[str, Any]:
    """Return the fields of `ImageRequest` about the file of the answer."""
    return {
        "extension": request.result_extension,
        "compress": request.result_compress,
        "by_position": not request.restore_label_idx,
    }


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


def _effective_slice(slice_k: int | None, box: Box | None) -> tuple[int | None, tuple[str, ...]]:
    """Return the slice along k to segment, and a note if it is not the one that was sent."""
    if slice_k is None or box is None or box.min_ijk[2] <= slice_k <= box.max_ijk[2]:
        return slice_k, ()
    low, high = box.min_ijk[2], box.max_ijk[2]
    if low == high:
        return low, (f"slice {slice_k} is not the box's slice {low}; the box was used",)
    return None, (f"slice {slice_k} is not in the box's slices {low} to {high}; all were used",)


def _on_slice(points: list[Point], slice_k: int, has_box: bool) -> list[Point]:
    found = [point for point in points if point.ijk[2] == slice_k]
    if points and not found and not has_box:
        slices = sorted({point.ijk[2] for point in points})
        raise PromptError(f"no point lies on slice {slice_k}; the points are on slices {slices}")
    return found


def _voxel(point: list[float]) -> VoxelIndex:
    if len(point) != 3 or not all(math.isfinite(value) for value in point):
        raise PromptError(f"a point must be three finite indices [i, j, k], got {point!r:.80}")
    i, j, k = (round(value) for value in point)
    return i, j, k
