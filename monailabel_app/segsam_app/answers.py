"""A result in the form that was asked for: a label file for MONAI Label to send, or JSON with the
mask inside.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from segsam.result import Result
from segsam.volume import Segment

from .requests import Click


def describe(result: Result, click: Click) -> dict[str, Any]:
    """Everything but the voxels.

    `category`, `confidence` and `agreement` are None, and `present` is empty, while the
    checkpoint's semantic decoder is untrained; `notes` says so in words, and whatever else the
    annotator should know. `label_names` is what stock clients name the mask's values by.
    """
    return {
        "request_id": click.request_id,
        "label_names": {click.label: 1},
        "category": result.category,
        "confidence": result.confidence,
        "agreement": result.agreement,
        "present": result.present,
        "predicted_iou": result.predicted_iou,
        "axes": list(result.axes),
        "slices": [{"axis": "ijk"[s.axis], "index": s.index} for s in result.slices],
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
        segments = {1: Segment(click.label)} if click.extension == ".seg.nrrd" else None
        result.volume.like(result.labels).save(name, segments=segments)
        undo.pop_all()
    return Path(name)
