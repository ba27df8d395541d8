"""Segmentation of one case of an archive: read its prompts, segment, write one label volume.

The file of prompts holds one object in the form of `Prompts`, or several:

    {"objects": [{"name": "liver", "prompts": {"boxes": [...], "points": [...]}, "axis": "k"}]}

An object may have `name`, `category`, `decoder`, `axis` and `propagate`, with the meaning of the
options of `segsam segment`. Without a file of prompts, `auto` finds the objects by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from segsam.batch.archive import Item
from segsam.batch.case_worker import CaseOutput
from segsam.batch.records import file_hash
from segsam.errors import PromptError
from segsam.imaging.volume import Segment, Volume
from segsam.imaging.voxels import count_values
from segsam.prediction.completion.carried import FindCarried
from segsam.prediction.labels import merge_objects, overlap_note
from segsam.prediction.predictor import Predictor
from segsam.prediction.result import Result
from segsam.prediction.taught.carried_files import find_carried_in
from segsam.prediction.taught.examples import TaughtNames
from segsam.prediction.taught.files import FOLDER, read_folder
from segsam.prompting.prompts import Prompts
from segsam.proposals.automatic import Search, segment_automatically
from segsam.system.reasons import reason_of
from segsam.system.unique_keys import unique_object
from segsam.types import AxisChoice, Cancel, DecoderName, PropagateChoice

LABELS = "labels"
_CACHE_BYTES = 1 << 28


def label_file(case: str, ending: str) -> str:
    """Return the name of a case's label volume below the batch's folder."""
    return f"{LABELS}/{case}{ending}"


class ObjectRequest(BaseModel):
    """Request for one object of a case; what is missing is taken from `SegmentTask`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompts: Any
    name: str | None = None
    category: str | None = None
    decoder: DecoderName | None = None
    axis: AxisChoice | None = None
    propagate: PropagateChoice | None = None


@dataclass(frozen=True)
class SegmentTask:
    """Settings for every image: the options of `segsam segment`.

    `auto` finds objects in images without prompts; `categories` limits the search (empty: all that
    the checkpoint was trained on); `studies` is a folder whose taught names are searched as well;
    `ending` is the file format of the labels.
    """

    checkpoint: str | None = None
    axis: AxisChoice = "auto"
    propagate: PropagateChoice | None = None
    decoder: DecoderName = "binary"
    window: str | tuple[float, float] | None = None
    auto: bool = False
    categories: tuple[str, ...] = ()
    ending: str = ".nii.gz"
    studies: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the settings that are stored with the batch; a folder of studies only if there is
        one, so that a batch of an earlier version can be continued.
        """
        settings = {"work": "segment", **asdict(self)}
        return settings if self.studies else {k: v for k, v in settings.items() if k != "studies"}

    def outputs(self, item: Item) -> tuple[str, ...]:
        """Return the name of the label volume of a case."""
        return (label_file(item.case, self.ending),)

    def prepare(self, out: Path) -> Segmenter:
        """Load the weights. Raises CheckpointError."""
        return Segmenter(self, out)


class Segmenter:
    """Segments case after case into the folder `out`."""

    def __init__(self, task: SegmentTask, out: Path) -> None:
        self._task = task
        self._out = out
        self._predictor = Predictor.from_pretrained(task.checkpoint, cache_bytes=_CACHE_BYTES)
        self._names_in = None if task.studies is None else Path(task.studies) / FOLDER
        self._taught = (
            TaughtNames() if self._names_in is None else read_folder(self._names_in).names
        )

    def __call__(self, item: Item, cancel: Cancel) -> CaseOutput:
        """Segment one case and write its label volume. Raises SegSamError."""
        requests = read_requests(Path(item.prompts)) if item.prompts else ()
        volume = Volume.load(item.path)
        self._predictor.set_volume(volume, window=self._task.window)
        (name,) = self._task.outputs(item)
        target = self._out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if requests:
            result = self._segment_prompted(requests, target, cancel)
        else:
            result = self._segment_automatically(target, cancel)
        self._predictor.reset()
        return CaseOutput(result, {name: file_hash(target)})

    def _segment_prompted(
        self, requests: Sequence[ObjectRequest], target: Path, cancel: Cancel
    ) -> dict[str, Any]:
        results = [self._predict(request, cancel).packed() for request in requests]
        segments = {
            value: _segment(request, result)
            for value, (request, result) in enumerate(zip(requests, results, strict=True), start=1)
        }
        regions = [(result.region, value) for value, result in enumerate(results, start=1)]
        labels = merge_objects(regions)
        results[0].volume.like(labels).save(target, segments=segments)
        kept = count_values(labels, len(results))
        return {
            "objects": [
                {"value": value, "name": segments[value].name, **_facts(result, kept[value])}
                for value, result in enumerate(results, start=1)
            ]
        }

    def _predict(self, request: ObjectRequest, cancel: Cancel) -> Result:
        task = self._task
        return self._predictor.predict(
            Prompts.from_json(request.prompts),
            axis=request.axis or task.axis,
            propagate=task.propagate if request.propagate is None else request.propagate,
            decoder=request.decoder or task.decoder,
            category=request.category,
            cancel=cancel,
        )

    def _segment_automatically(self, target: Path, cancel: Cancel) -> dict[str, Any]:
        axis = "auto" if self._task.axis == "all" else self._task.axis
        search = Search(axis, self._task.categories)
        damaged: list[str] = []
        found = segment_automatically(
            self._predictor,
            search,
            taught=self._taught,
            carried=self._carried(damaged.append),
            cancel=cancel,
        )
        found = replace(found, notes=(*damaged, *found.notes))
        found.save(target)
        return {key: value for key, value in found.to_json().items() if key != "seconds"}

    def _carried(self, report: Callable[[str], None]) -> FindCarried:
        """Return what finds what was learnt about the taught names."""
        weights = self._predictor.model.host.mask_decoder.state_dict()
        return find_carried_in(self._names_in, self._taught, weights, report)


def read_requests(path: Path) -> tuple[ObjectRequest, ...]:
    """Read a file of prompts. Raises PromptError if it does not have the form above."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique_object)
    except (OSError, ValueError) as error:
        raise PromptError(
            f"The prompts {path.name} cannot be read as JSON: {reason_of(error)}."
        ) from error
    objects = content.get("objects") if isinstance(content, Mapping) else None
    if objects is None:
        return (ObjectRequest(prompts=content),)
    if not isinstance(objects, list) or not objects:
        raise PromptError(
            f"{path.name}: expected objects to be a list with at least one, got {objects!r:.60}."
        )
    try:
        return tuple(ObjectRequest.model_validate(one) for one in objects)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise PromptError(f"{path.name}: {first['loc'][0]}: {first['msg'].lower()}.") from error


def _segment(request: ObjectRequest, result: Result) -> Segment:
    if request.name is None and result.segment is not None:
        return result.segment
    return Segment(request.name or result.category or "object")


def _facts(result: Result, kept: int) -> dict[str, Any]:
    """Return facts of an object of which the label volume holds so many voxels."""
    overlap = [overlap_note("The object", result.voxels, kept)] if kept < result.voxels else []
    return {
        "category": result.category,
        "confidence": result.confidence,
        "suggestions": dict(result.suggestions),
        "agreement": result.agreement,
        "predicted_iou": result.predicted_iou,
        "voxels": kept,
        "slices": len(result.slices),
        "notes": [*result.notes, *overlap],
    }
