"""One case of an archive segmented: its prompts read, its objects found, one label volume written.

The file of prompts is one object as `Prompts` has it, or several:

    {"objects": [{"name": "liver", "prompts": {"boxes": [...], "points": [...]}, "axis": "k"}]}

An object may have `name`, `category`, `decoder`, `axis` and `propagate`, as the options of
`segsam segment`. Without a file, and if that was asked for, the objects are looked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from segsam.batch.archive import Item
from segsam.errors import PromptError
from segsam.imaging.volume import Segment, Volume
from segsam.prediction.labels import merge_objects
from segsam.prediction.predictor import Predictor
from segsam.prediction.result import Result
from segsam.prompting.prompts import Prompts
from segsam.proposals.automatic import Search, segment_automatically
from segsam.types import AxisChoice, Cancel, DecoderName

LABELS = "labels"
_CACHE_BYTES = 1 << 28


class ObjectOrder(BaseModel):
    """One object of a case; what is not said is as in `SegmentOrder`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompts: Any
    name: str | None = None
    category: str | None = None
    decoder: DecoderName | None = None
    axis: AxisChoice | None = None
    propagate: bool | None = None


@dataclass(frozen=True)
class SegmentOrder:
    """What is asked of every image: the options of `segsam segment`.

    `auto` looks for objects where there are no prompts, of `categories` (all that the checkpoint
    has seen when empty); `ending` chooses the format of the labels.
    """

    checkpoint: str | None = None
    axis: AxisChoice = "auto"
    propagate: bool | None = None
    decoder: DecoderName = "binary"
    window: str | tuple[float, float] | None = None
    auto: bool = False
    categories: tuple[str, ...] = ()
    ending: str = ".nii.gz"

    def to_json(self) -> dict[str, Any]:
        """For the ledger."""
        return {"work": "segment", **asdict(self)}

    def open(self, out: Path) -> Segmenter:
        """Load the weights. Raises CheckpointError."""
        return Segmenter(self, out)


class Segmenter:
    """Segments case after case into `out`."""

    def __init__(self, order: SegmentOrder, out: Path) -> None:
        self._order = order
        self._out = out
        self._predictor = Predictor.from_pretrained(order.checkpoint, cache_bytes=_CACHE_BYTES)

    def __call__(self, item: Item, cancel: Cancel) -> tuple[dict[str, Any], dict[str, int]]:
        """(what there is to say, file below `out` -> its bytes). Raises SegSamError."""
        asked = read_orders(Path(item.prompts)) if item.prompts else ()
        volume = Volume.load(item.path)
        self._predictor.set_volume(volume, window=self._order.window)
        name = f"{LABELS}/{item.case}{self._order.ending}"
        target = self._out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        told = self._prompted(asked, target, cancel) if asked else self._found(target, cancel)
        self._predictor.reset()
        return told, {name: target.stat().st_size}

    def _prompted(
        self, asked: tuple[ObjectOrder, ...], target: Path, cancel: Cancel
    ) -> dict[str, Any]:
        results = [self._result(one, cancel) for one in asked]
        volume = results[0].volume
        values = range(1, len(results) + 1)
        pairs = [(one.region, value) for one, value in zip(results, values, strict=True)]
        segments = {
            value: _segment(one, result)
            for value, one, result in zip(values, asked, results, strict=True)
        }
        volume.like(merge_objects(pairs)).save(target, segments=segments)
        return {
            "objects": [
                {"value": value, "name": segments[value].name, **_facts(result)}
                for value, result in zip(values, results, strict=True)
            ]
        }

    def _result(self, one: ObjectOrder, cancel: Cancel) -> Result:
        return self._predictor.predict(
            Prompts.from_json(one.prompts),
            axis=one.axis or self._order.axis,
            propagate=self._order.propagate if one.propagate is None else one.propagate,
            decoder=one.decoder or self._order.decoder,
            category=one.category,
            cancel=cancel,
        )

    def _found(self, target: Path, cancel: Cancel) -> dict[str, Any]:
        axis = "auto" if self._order.axis == "all" else self._order.axis
        search = Search(axis, self._order.categories)
        found = segment_automatically(self._predictor, search, cancel=cancel)
        found.save(target)
        return {key: value for key, value in found.to_json().items() if key != "seconds"}


def read_orders(path: Path) -> tuple[ObjectOrder, ...]:
    """What a file of prompts asks for. Raises PromptError for anything but the form above."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PromptError(f"The prompts {path.name} cannot be read: {error}.") from error
    objects = content.get("objects") if isinstance(content, Mapping) else None
    if objects is None:
        return (ObjectOrder(prompts=content),)
    if not isinstance(objects, list) or not objects:
        raise PromptError(f"{path.name}: objects is a list with at least one; got {objects!r:.60}.")
    try:
        return tuple(ObjectOrder.model_validate(one) for one in objects)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PromptError(f"{path.name}: {where}: {first['msg'].lower()}.") from error


def _segment(one: ObjectOrder, result: Result) -> Segment:
    if one.name is None and result.segment is not None:
        return result.segment
    return Segment(one.name or result.category or "object")


def _facts(result: Result) -> dict[str, Any]:
    return {
        "category": result.category,
        "confidence": result.confidence,
        "agreement": result.agreement,
        "predicted_iou": result.predicted_iou,
        "voxels": result.voxels,
        "slices": len(result.slices),
        "notes": list(result.notes),
    }
