"""Replies to an inference request: the JSON description, and the label file for MONAI Label."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from segsam.categories import Categories
from segsam.errors import CategoryError
from segsam.imaging.volume import Segment, Volume
from segsam.prediction.result import Result
from segsam_app.inference.dialects import ImageRequest
from segsam_app.storage import leftovers


def describe(result: Result, request: ImageRequest) -> dict[str, Any]:
    """Return the JSON reply without the mask.

    `category`, `confidence` and `agreement` are None, and `present` and `suggestions` are empty, if
    the checkpoint has no trained semantic decoder; `notes` says so, among everything else the
    annotator should know, and first how the image was read. `suggestions` are the nearest guesses
    with their probabilities, the most probable first, also where no name is given; `notes` then
    says why. `certainty` has one value per entry of `slices`: the agreement
    of the two decoders or, without it, the model's own estimate of its mask. `label_names` gives
    the mask's value a name for stock clients: the segment that they asked for, else the category.
    """
    return {
        "request_id": request.request_id,
        "label_names": {_name(result, request): 1},
        "category": result.category,
        "confidence": result.confidence,
        "suggestions": dict(result.suggestions),
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


def write_result(result: Result, request: ImageRequest) -> Path:
    """Write the label file of a result, see `write_labels`."""
    labels = result.volume.like(result.labels)
    return write_labels(labels, {1: _segment(result, request)}, request.extension)


def write_labels(labels: Volume, segments: Mapping[int, Segment], extension: str) -> Path:
    """Write a new private label file, compressed, into the temporary folder; the caller sends and
    deletes it. `segments` (label value -> segment) are for `.seg.nrrd` only.
    """
    handle, name = tempfile.mkstemp(suffix=extension, prefix=leftovers.prefix("reply"))
    os.close(handle)
    with ExitStack() as undo:
        undo.callback(Path(name).unlink, missing_ok=True)
        labels.save(name, segments=segments if extension == ".seg.nrrd" else None)
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


def _name(result: Result, request: ImageRequest) -> str:
    return request.label or result.category or "object"


def _segment(result: Result, request: ImageRequest) -> Segment:
    """Return the segment, with the category's colour and code if it has the category's name."""
    name = _name(result, request)
    return result.segment if result.segment and name == result.category else Segment(name)
