"""Replies to an inference request: the JSON description, and the label file for MONAI Label."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from segsam.categories import Categories
from segsam.errors import CategoryError
from segsam.imaging.volume import Segment, Volume
from segsam.prediction.result import Result
from segsam.remote.masks import encode_mask
from segsam_app.inference.dialects import ImageRequest
from segsam_app.storage import leftovers

ANY_OBJECT = "object"
"""Name of an object without one; stock clients offer it first."""


def describe(result: Result, request: ImageRequest, value: int) -> dict[str, Any]:
    """Return the JSON reply without the mask. `value` is that of the mask in a label file.

    `category`, `confidence` and `agreement` are None, and `present` and `suggestions` are empty, if
    the checkpoint has no trained semantic decoder; `notes` says so, among everything else the
    annotator should know, and first how the image was read. `suggestions` are the nearest guesses
    with their probabilities, the most probable first, also where no name is given; `notes` then
    says why. `name_source` is `checkpoint`, `request`, or `taught` for a name that a user taught;
    `taught` tells of each such name, suggestions included, where and by whom. `certainty` has one
    value per entry of `slices`: the agreement of the two decoders or, without it, the model's own
    estimate of its mask. `label_names` gives the mask's value a name for stock clients: the segment
    that they asked for, else the category.
    """
    return {
        "request_id": request.request_id,
        "label_names": {name_of(result, request): value},
        "category": result.category,
        "confidence": result.confidence,
        "suggestions": dict(result.suggestions),
        "name_source": result.name_source,
        "taught": {name: example.to_json() for name, example in result.taught.items()},
        "agreement": result.agreement,
        "present": result.present,
        "predicted_iou": result.predicted_iou,
        "axes": list(result.axes),
        "slices": [{"axis": "ijk"[s.axis], "index": s.index} for s in result.slices],
        "certainty": [
            s.predicted_iou if s.agreement is None else s.agreement for s in result.slices
        ],
        "encoded_slices": result.encoded,
        "notes": [*result.volume.notes, *request.notes, *result.notes],
    }


def latencies(
    result: Result, start: float, read: float, predicted: float, end: float
) -> dict[str, float]:
    """Return the seconds of each part of a reply, from the times at which these parts ended."""
    return {
        "read": read - start,
        "model": predicted - read,
        "answer": end - predicted,
        **result.seconds,
        "total": end - start,
    }


def answer(
    result: Result, request: ImageRequest, value: int = 1
) -> tuple[str | None, dict[str, Any]]:
    """Return (label file, or None if the mask is in the reply; JSON reply); the mask has this
    label value.
    """
    reply = describe(result, request, value)
    if request.form == "volume":
        return str(write_result(result, request, value)), reply
    reply["mask"] = encode_mask(result.region)
    return None, reply


def write_result(result: Result, request: ImageRequest, value: int) -> Path:
    """Write the label file of a result, with this value for the mask, see `write_labels`."""
    labels = result.labels if value == 1 else result.labels * np.uint8(value)
    segments = {value: _segment(result, request)}
    return write_labels(
        result.volume.like(labels), segments, request.extension, compress=request.compress
    )


def write_labels(
    labels: Volume, segments: Mapping[int, Segment], extension: str, *, compress: bool = True
) -> Path:
    """Write a new private label file into the temporary folder; the caller sends and deletes it.
    `segments` (label value -> segment) are for `.seg.nrrd` only, `compress` for `.nrrd`.
    """
    handle, name = tempfile.mkstemp(suffix=extension, prefix=leftovers.prefix("reply"))
    os.close(handle)
    with ExitStack() as undo:
        undo.callback(Path(name).unlink, missing_ok=True)
        kept = segments if extension == ".seg.nrrd" else None
        labels.save(name, segments=kept, compress=compress)
        undo.pop_all()
    return Path(name)


def disagreement(result: Result, request: ImageRequest, categories: Categories) -> tuple[str, ...]:
    """Return a note if the annotator's segment has the name of another category than the model
    found.
    """
    if request.label is None or result.category is None or result.confidence is None:
        return ()
    try:
        requested = categories.names[categories.index(request.label)]
    except CategoryError:
        return ()  # a name of the annotator's own
    if requested == result.category:
        return ()
    return (
        f"The model takes this for {result.category} ({result.confidence:.0%}); your segment is "
        f"{request.label}.",
    )


def name_of(result: Result, request: ImageRequest) -> str:
    """Return the name of the mask: the annotator's, else the model's, else "object"."""
    return request.label or result.category or ANY_OBJECT


def _segment(result: Result, request: ImageRequest) -> Segment:
    """Return the segment, with the category's colour and code if it has the category's name."""
    name = name_of(result, request)
    return result.segment if result.segment and name == result.category else Segment(name)
