"""Readers of the server's JSON, which return the values of `Replies`. What is missing, of the wrong
type, too long or impossible is refused with a sentence, or left out if it is optional.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import zlib
from typing import Any, Mapping

import numpy as np

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import AXES, VolumeGrid, Voxel
from SEGSAMLib.Values.Masks import Region, unpacked_bits
from SEGSAMLib.Values.Replies import (
    FindReply,
    FoundObject,
    InferReply,
    LabelVersion,
    LeftOutCase,
    Model,
    ModelVersion,
    NotFound,
    Offer,
    Saved,
    ServerInfo,
    TrainingStatus,
    Versions,
)
from SEGSAMLib.Values.SlicePredictions import SlicePredictions

_ENCODING = "packbits-zlib"
_MAX_ITEMS = 2000
_MAX_CHARACTERS = 2000
_PRESENT, _SUGGESTIONS = 100, 5
"""Categories that are kept of one slice, and guesses of one object."""
_MAX_OBJECTS = 200
"""Objects of one reply to a search by name."""
_LISTED = 5
"""Images that cannot be opened, as many as a label of the panel names."""
_STATES = {
    "SUBMITTED": "waiting",
    "RUNNING": "running",
    "DONE": "done",
    "ERROR": "failed",
    "STOPPED": "stopped",
}
_CURVE = re.compile(r"\b([a-z][a-z ]{0,20}?) (\d{1,6}\.\d{1,6})\b")

Json = Mapping[str, Any]


def read_info(value: Json) -> ServerInfo:
    """Read the reply to `GET /info/`."""
    models = tuple(_model(name, each) for name, each in _items(value, "models"))
    return ServerInfo(
        name=_text(value.get("name")),
        version=_text(value.get("version")),
        is_segsam=any(
            isinstance(each.get("checkpoint"), Mapping) for _name, each in _items(value, "models")
        ),
        models=models,
        trainers=tuple(name for name, _trainer in _items(value, "trainers")),
    )


def read_infer(value: Json, grid: VolumeGrid, request_id: str) -> InferReply:
    """Read the reply to `POST /infer/...` with `result: region`, for a volume of `grid`."""
    if value.get("request_id") != request_id:
        raise _invalid(_("belongs to another request"))
    slices = _slices(value.get("slices"), grid)
    certainty = value.get("certainty")
    known = certainty if isinstance(certainty, list) and len(certainty) == len(slices) else []
    return InferReply(
        request_id=request_id,
        region=_region(value.get("mask"), grid),
        category=_text(value.get("category"))[:200],
        confidence=_share(value.get("confidence")),
        axes=tuple(AXES.index(axis) for axis in _list(value.get("axes")) if _is_axis(axis)),
        slices=slices,
        predictions=SlicePredictions(
            {at: share for at, share in zip(slices, map(_share, known)) if share is not None},
            _present(value, grid),
            next(iter(_slices([value.get("next_slice")], grid)), None),
        ),
        notes=tuple(_text(note) for note in _list(value.get("notes")) if _text(note)),
        suggestions=_shares(value.get("suggestions"))[:_SUGGESTIONS],
        confirmed=_slices(value.get("confirmed"), grid),
        state=_text(value.get("state"))[:200],
        taught=_cases(value.get("taught")),
    )


def read_find(value: Json, grid: VolumeGrid, request_id: str) -> FindReply:
    """Read the reply to `POST /infer/...` with `find`, for a volume of `grid`."""
    if value.get("request_id") != request_id:
        raise _invalid(_("belongs to another request"))
    objects, missing = [], []
    for each in map(_mapping, _list(value.get("objects"), _MAX_OBJECTS)):
        name, region = _text(each.get("name"))[:200], _region(each.get("mask"), grid)
        if name and region is not None:
            objects.append(FoundObject(name, region, _share(each.get("certainty"))))
    for each in map(_mapping, _list(value.get("not_found"), _MAX_OBJECTS)):
        if name := _text(each.get("name"))[:200]:
            reason = _text(each.get("reason"))
            missing.append(NotFound(name, _share(each.get("probability")), reason))
    notes = tuple(_text(note) for note in _list(value.get("notes")) if _text(note))
    return FindReply(tuple(objects), tuple(missing), notes)


def read_offer(value: Json) -> Offer:
    """Read why an image comes next, and the notes about it and about images that are passed over.
    Raises `ClientError` with the server's sentence if none of them can be opened.
    """
    why = _text(value.get("why"))
    refused = _mapping(value.get("refused"))
    if "id" not in value and refused:
        raise ClientError(why or _("No image without a label can be opened."), code="refused")
    notes = [_text(note) for note in _list(value.get("notes")) if _text(note)]
    if count := _count(refused.get("count")):
        names = [_text(name) for name in list(_mapping(refused.get("images")))[:_LISTED]]
        note = (
            _("{count} image(s) cannot be opened: {names} and others.")
            if count > len(names)
            else _("{count} image(s) cannot be opened: {names}.")
        )
        notes.append(note.format(count=count, names=", ".join(names)))
    return Offer(why, tuple(notes))


def read_saved(value: Json, image_id: str) -> Saved:
    """Read the reply to a saved or restored label."""
    version = value.get("version")
    if not _is_count(version) or version < 1:
        raise _invalid(_("does not contain the version under which the label was saved"))
    return Saved(image_id, version)


def read_label_versions(value: Json) -> tuple[int, tuple[LabelVersion, ...]]:
    """Read the reply to `GET /datastore/label/versions`: the current number (0: none), and all
    versions, oldest first.
    """
    found = [
        LabelVersion(
            each["version"],
            _text(each.get("kind")),
            _text(each.get("created")),
            _text(each.get("user")),
            _names(each.get("names")),
        )
        for each in _list(value.get("versions"))
        if isinstance(each, Mapping) and _is_count(each.get("version"))
    ]
    return _count(value.get("current")), tuple(found)


def read_training(value: Json) -> TrainingStatus:
    """Read the reply to `GET /train/`."""
    progress = _mapping(value.get("progress"))
    state = _STATES.get(_text(value.get("status")), "")
    if not state:
        raise _invalid(_("does not contain the state of the training"))
    done, message = _count(progress.get("done")), _text(progress.get("what"))
    if state == "done" and _text(progress.get("status")) == "stopped":
        state = "stopped"
    lines = [_text(line) for line in _list(value.get("details"))]
    last = lines[-1] if lines and state == "failed" else message
    points = [(done, name.strip(), float(number)) for name, number in _CURVE.findall(message)]
    return TrainingStatus(
        state=state,
        epoch=_count(progress.get("epoch")),
        epochs=_count(progress.get("total_epochs")),
        sentence=_text(value.get("why")) or _text(progress.get("why")) or last,
        curve=tuple(points),
        left_out=_left_out(value),
    )


def read_versions(value: Json) -> Versions:
    """Read the reply to `GET /versions/...`."""
    found = []
    for each in _list(value.get("versions")):
        if not isinstance(each, Mapping) or not _text(each.get("id")):
            continue
        metrics = _mapping(each.get("metrics"))
        found.append(
            ModelVersion(
                _text(each.get("id")),
                _text(each.get("created")),
                _text(each.get("why")),
                _count(each.get("cases")),
                _numbers(metrics.get("before")),
                _numbers(metrics.get("after")),
                _left_out(each),
            )
        )
    if not found:
        raise _invalid(_("contains no version of the model"))
    return Versions(_text(value.get("model")), _text(value.get("current")), tuple(found))


def _left_out(value: Json) -> tuple[LeftOutCase, ...]:
    """Read the cases that a training could not use."""
    cases = [_mapping(each) for each in _list(value.get("left_out"))]
    found = [(_text(case.get("image"))[:200], _text(case.get("reason"))[:500]) for case in cases]
    return tuple(LeftOutCase(image, reason) for image, reason in found if image)


def _model(name: str, value: Json) -> Model:
    checkpoint = _mapping(value.get("checkpoint"))
    categories = tuple(_text(each) for each in _list(checkpoint.get("categories")))
    weights, licence = _text(checkpoint.get("name")), _text(checkpoint.get("licence"))
    taught = [_text(each)[:200] for each in _list(value.get("taught"))]
    return Model(
        name,
        categories,
        weights,
        licence,
        completes=value.get("completes") is True,
        finds=value.get("finds") is True,
        taught=tuple(each for each in taught if each),
    )


def _region(mask: Any, grid: VolumeGrid) -> Region | None:
    """Decode a mask. Raises `ClientError` if it does not fit the volume. Never uses more memory
    than the box of the mask needs, which must lie in the volume.
    """
    if mask is None:
        return None
    if not isinstance(mask, Mapping) or mask.get("encoding") != _ENCODING:
        problem = _("contains a mask whose encoding is not {encoding}")
        raise _invalid(problem.format(encoding=_ENCODING))
    if mask.get("shape_ijk") != list(grid.shape_ijk):
        problem = _("is for a volume of {other} voxels, and this one has {own}")
        other = repr(mask.get("shape_ijk"))[:60]
        raise _invalid(problem.format(other=other, own=list(grid.shape_ijk)))
    low, high = _voxel(mask.get("min_ijk")), _voxel(mask.get("max_ijk"))
    inside = all(0 <= a <= b < side for a, b, side in zip(low, high, grid.shape_ijk))
    if not inside:
        problem = _("contains a mask from {low} to {high}, which is not in the volume")
        raise _invalid(problem.format(low=low, high=high))
    i, j, k = (b - a + 1 for a, b in zip(low, high))
    size = (i * j * k + 7) // 8
    try:
        packed = base64.b64decode(mask.get("data", ""), validate=True)
        # Limited in size: a small reply must not unpack to gigabytes.
        bits = zlib.decompressobj().decompress(packed, size + 1)
        return Region(low, np.array(unpacked_bits(bits, (i, j, k))))
    except (TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise _invalid(_("contains a mask that cannot be unpacked")) from error


def _slices(value: Any, grid: VolumeGrid) -> tuple[tuple[int, int], ...]:
    found = []
    for each in _list(value, max_items=sum(grid.shape_ijk) * 3):
        entry = _mapping(each)
        if _is_axis(entry.get("axis")) and _is_count(entry.get("index")):
            found.append((AXES.index(entry["axis"]), entry["index"]))
    return tuple(found)


def _present(value: Json, grid: VolumeGrid) -> dict[tuple[int, int], tuple[tuple[str, float], ...]]:
    """Read the other categories by slice of the first axis, the most probable first."""
    axes = [axis for axis in _list(value.get("axes")) if _is_axis(axis)]
    if not axes:
        return {}
    found = {}
    for index, names in list(_mapping(value.get("present")).items())[: sum(grid.shape_ijk)]:
        if not (isinstance(index, str) and index.isdigit() and len(index) < 7):
            continue
        found[AXES.index(axes[0]), int(index)] = _shares(names)[:_PRESENT]
    return found


def _shares(value: Any) -> tuple[tuple[str, float], ...]:
    """Read probabilities by category, the most probable first."""
    pairs = list(_mapping(value).items())[:_MAX_ITEMS]
    shares = [(_text(name)[:200], _share(share)) for name, share in pairs]
    known = [(name, share) for name, share in shares if name and share is not None]
    return tuple(sorted(known, key=lambda each: -each[1]))


def _cases(value: Any) -> dict[str, str]:
    """Read the case in which each taught name was given first."""
    pairs = list(_mapping(value).items())[:_MAX_ITEMS]
    found = {_text(name)[:200]: _text(_mapping(each).get("case"))[:200] for name, each in pairs}
    return {name: case for name, case in found.items() if name and case}


def _names(value: Any) -> dict[int, str]:
    """Read the names by voxel value."""
    pairs = _mapping(value).items()
    return {int(key): _text(name) for key, name in pairs if str(key).isdigit() and _text(name)}


def _items(value: Json, key: str) -> list[tuple[str, Json]]:
    inner = _mapping(value.get(key))
    return [(str(name)[:200], _mapping(each)) for name, each in list(inner.items())[:_MAX_ITEMS]]


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any, max_items: int = _MAX_ITEMS) -> list[Any]:
    return value[:max_items] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Return one line without control characters, for labels of the panel."""
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value[:_MAX_CHARACTERS]).strip()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e300 and math.isfinite(value) else None


def _numbers(value: Any) -> dict[str, float]:
    found = {_text(name): _number(each) for name, each in _mapping(value).items()}
    return {name: each for name, each in found.items() if name and each is not None}


def _share(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else min(max(number, 0.0), 1.0)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _count(value: Any) -> int:
    return value if _is_count(value) else 0


def _is_axis(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1 and value in AXES


def _voxel(value: Any) -> Voxel:
    if not isinstance(value, list) or len(value) != 3 or not all(_is_count(v) for v in value):
        problem = _("contains {found} where a voxel was expected")
        raise _invalid(problem.format(found=repr(value)[:60]))
    return value[0], value[1], value[2]


def _invalid(problem: str) -> ClientError:
    sentence = _("The server's reply {problem}; nothing was changed.")
    return ClientError(sentence.format(problem=problem), code="reply")
