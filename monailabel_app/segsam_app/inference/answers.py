"""A result in the form that was asked for: a label file for MONAI Label to send, or JSON with the
mask inside.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from segsam.categories import Categories
from segsam.errors import CategoryError
from segsam.imaging.volume import Segment
from segsam.prediction.result import Result
from segsam_app.inference.requests import Click


def describe(result: Result, click: Click) -> dict[str, Any]:
    """Everything but the voxels.

    `category`, `confidence` and `agreement` are None, and `present` is empty, where the checkpoint
    has no trained semantic decoder; `notes` says so in words, and whatever else the annotator
    should know. `certainty` goes with `slices`: the agreement of the two decoders there, or else
    the model's own estimate of its mask. `label_names` is what stock clients name the mask's
    values by: the segment that they asked for, else what the model calls the object.
    """
    return {
        "request_id": click.request_id,
        "label_names": {_name(result, click): 1},
        "category": result.category,
        "confidence": result.confidence,
        "agreement": result.agreement,
        "present": result.present,
        "predicted_iou": result.predicted_iou,
        "axes": list(result.axes),
        "slices": [{"axis": "ijk"[s.axis], "index": s.index} for s in result.slices],
        "certainty": [
            s.predicted_iou if s.agreement is None else s.agreement for s in result.slices
        ],
        "encoded_slices": result.encoded,
        "notes": [*click.notes, *result.notes],
    }


def write_labels(result: Result, click: Click) -> Path:
    """A new private label file, compressed, in the temporary folder: the caller sends it and
    deletes it.
    """
    handle, name = tempfile.mkstemp(suffix=click.extension, prefix="segsam-")
    os.close(handle)
    with ExitStack() as undo:
        undo.callback(Path(name).unlink, missing_ok=True)
        segments = {1: _segment(result, click)} if click.extension == ".seg.nrrd" else None
        result.volume.like(result.labels).save(name, segments=segments)
        undo.pop_all()
    return Path(name)


def disagreement(result: Result, click: Click, categories: Categories) -> tuple[str, ...]:
    """A sentence when the annotator's segment has the name of another category than was found."""
    if click.label is None or result.category is None or result.confidence is None:
        return ()
    try:
        wanted = categories.names[categories.index(click.label)]
    except CategoryError:
        return ()  # the annotator's own word
    if wanted == result.category:
        return ()
    return (
        f"The model takes this for {result.category} ({result.confidence:.0%}); your segment is "
        f"{click.label}.",
    )


def _name(result: Result, click: Click) -> str:
    return click.label or result.category or "object"


def _segment(result: Result, click: Click) -> Segment:
    """With the category's colour and code, where the mask is called by the category's name."""
    name = _name(result, click)
    return result.segment if result.segment and name == result.category else Segment(name)
