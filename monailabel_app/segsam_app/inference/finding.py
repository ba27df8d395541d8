"""Objects by their names: one request of our dialect with `find`, and its reply.

::

    {"find": ["spleen", "left kidney"],     names, synonyms, or names that users taught
     "axis": "auto|i|j|k", "slices": 5, "least": 0.4,     how to search, as for `segsam_auto`
     "window": ..., "result": "region|volume", "request_id": "..."}

The reply is that of `segsam_auto`. `not_found` has the names that no object got, with the reason
and the probability that it is there after all. With `region`, `objects` holds a mask for each name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from segsam.prediction.labels import Region
from segsam.prediction.predictor import Predictor
from segsam.proposals.automatic import Search, segment_automatically
from segsam.proposals.first_labels import FirstLabels
from segsam.remote.masks import encode_mask
from segsam.types import AxisName, Cancel, Progress
from segsam_app.inference.carried import find_carried
from segsam_app.inference.engine import Engine
from segsam_app.inference.positions import at_positions
from segsam_app.inference.progress import ProgressTracker
from segsam_app.inference.replies import write_labels
from segsam_app.inference.requests import (
    AnswerKeys,
    MonaiLabelKeys,
    RequestId,
    ShortText,
    window_of,
)
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.strict_json import json_safe

logger = logging.getLogger(__name__)

MOST_NAMES = 50
"""Most names of a request: each may have to be followed through the whole volume."""

AskedName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class SearchRequest(MonaiLabelKeys):
    """Request to search for objects without prompts; see `Search`."""

    is_preemptible: ClassVar[bool] = True
    """It takes seconds and a prompt takes moments, so waiting prompts are served in between."""

    axis: AxisName | Literal["auto"] = "auto"
    """Axis of the slices."""
    slices: Annotated[int, Field(ge=1, le=1000)] = Search.slices
    """Number of slices that are searched."""
    grid: Annotated[int, Field(ge=1, le=32)] = Search.grid
    """Points per side of the grid of prompts on a slice."""
    least: Annotated[float, Field(ge=0, le=1)] = Search.min_certainty
    """Least certainty of an object."""
    window: ShortText | list[float] | None = None
    """Intensity window: the name of a preset or [low, high]."""
    request_id: RequestId = None
    """Id that the client chooses, for `GET /segsam/progress` and the reply."""
    label: Any = None
    """No effect: stock clients send it."""

    def search_for(self, names: Sequence[str]) -> Search:
        """Return the search of the library for some names; for all that it knows without any."""
        how = {"slices": self.slices, "grid": self.grid}
        return Search(self.axis, tuple(names), **how, min_certainty=self.least)


class FindRequest(SearchRequest):
    """Request for the objects of some names."""

    find: Annotated[list[AskedName], Field(min_length=1, max_length=MOST_NAMES)]
    """Names, synonyms or taught names, in any spelling."""
    result: Literal["region", "volume"] = "volume"
    """Form of the reply: the masks in JSON, or a label file."""


class Finder:
    """Answers requests with names, with one checkpoint; `taught` returns the store of the names
    that users taught, None without one.
    """

    def __init__(
        self,
        engine: Engine,
        checkpoint: str | None,
        progress: ProgressTracker,
        taught: Callable[[], TaughtStore | None],
    ) -> None:
        self._engine, self._checkpoint = engine, checkpoint
        self._progress, self._taught = progress, taught

    def find(
        self,
        image: Path,
        request: FindRequest,
        listed: Sequence[str],
        *,
        temporary: bool = False,
        cancel: Cancel | None = None,
    ) -> tuple[str | None, dict[str, Any]]:
        """Return (label file, which now belongs to the caller, or None; JSON reply). `listed` are
        the model's labels. Other arguments as in `SegSamInfer.segment`. Raises `SegSamError`.
        """
        search = request.search_for(request.find)
        with self._engine.interactive(), self._progress.track(request.request_id) as progress:
            volume = self._engine.volume(image, temporary=temporary)
            window = window_of(request.window)
            predictor = self._engine.predictor(image, volume, window, checkpoint=self._checkpoint)
            found = searched(predictor, search, self._taught(), progress=progress, cancel=cancel)
            if request.result == "region":
                reply = described(found, found.label_names, request.request_id)
                return None, json_safe({**reply, "objects": _objects(found)})
            file, names = written(found, request, listed)
        return str(file), json_safe(described(found, names, request.request_id))


def searched(
    predictor: Predictor,
    search: Search,
    taught: TaughtStore | None,
    *,
    progress: Progress,
    cancel: Cancel | None,
) -> FirstLabels:
    """Search the predictor's volume, also for the names that users taught. Raises `SegSamError`."""
    notes: list[str] = []
    found = segment_automatically(
        predictor,
        search,
        taught=None if taught is None else taught.names(),
        carried=find_carried(taught, predictor, notes),
        progress=progress,
        cancel=cancel,
    )
    return replace(found, notes=(*notes, *found.notes))


def described(found: FirstLabels, names: dict[str, int], request_id: str | None) -> dict[str, Any]:
    """Return the JSON reply to a search, with the label values by name; and log it."""
    logger.info(
        "%d objects on %d slices, %d encoded, %.3f s",
        len(found.objects),
        len(found.searched_slices),
        found.encoded,
        found.seconds["total"],
    )
    return {
        **found.to_json(),
        "label_names": names,
        "notes": [*found.volume.notes, *found.notes, *found.overlap_notes],
        "request_id": request_id,
        "latencies": dict(found.seconds),
    }


def written(
    found: FirstLabels, request: AnswerKeys, listed: Sequence[str]
) -> tuple[Path, dict[str, int]]:
    """Write the label file, with the values that the request asked for; return it and the values by
    name. Raises `RequestError` for values that cannot be had.
    """
    labels, names = found.labels, found.label_names
    if not request.restore_label_idx:
        labels, names = at_positions(labels, names, listed)
    by_name = {one.name: found.segments[one.value] for one in found.objects}
    segments = {value: by_name[name] for name, value in names.items()}
    file = write_labels(
        found.volume.like(labels),
        segments,
        request.result_extension,
        compress=request.result_compress,
    )
    return file, names


def _objects(found: FirstLabels) -> list[dict[str, Any]]:
    """Return each object with its mask in the labels, its certainty, colour and code."""
    return [
        {
            "name": one.name,
            "value": one.value,
            "certainty": one.certainty,
            "confidence": one.confidence,
            "name_source": one.result.name_source,
            "colour": found.segments[one.value].colour_rgb,
            "code": found.segments[one.value].snomed,
            "mask": encode_mask(Region.of_mask(found.labels == one.value)),
        }
        for one in found.objects
    ]
