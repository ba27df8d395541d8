"""Unsaved work on a volume as JSON, which the server keeps in case Slicer crashes. Plain data.

A draft holds the segments of one segmentation with their prompts and voxels. What a server sends
back is read as untrusted input: bounded, and on the voxel grid of the volume.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field, replace
from typing import Any, Mapping

import numpy as np

from SEGSAMLib.Errors import DraftError, PromptError
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import VolumeGrid
from SEGSAMLib.Values.Masks import PackedRegion
from SEGSAMLib.Values.Prompts import PromptSet
from SEGSAMLib.Values.Terminology import Identity

FORMAT = 1
MAX_BYTES = 4 << 20
"""Largest draft, as JSON; a server takes no larger one."""
_MAX_SEGMENTS = 1024
_MAX_VOLUMES = 16
"""Voxels of all boxes together, in volumes: a draft of a few bytes may stand for many voxels."""
_MAX_TEXT = 4096
_SAME_AS_VOXELS = "voxels"
"""Stands for a result that is exactly the voxels of its segment, as most are."""


@dataclass(frozen=True)
class SegmentDraft:
    """Segment with what belongs to it: `prompts` is the text of a `PromptSet`, `tags` are other
    texts by name, `result` is the model's last result, which the next one replaces.
    """

    identity: Identity
    prompts: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    voxels: PackedRegion | None = None
    result: PackedRegion | None = None

    @property
    def is_empty(self) -> bool:
        """True if there is nothing that a user would miss."""
        return self.voxels is None and not self.prompts


@dataclass(frozen=True)
class Draft:
    """Unsaved work on the volume with the voxel grid `grid`.

    `selected` is the number of the selected segment, `saved` the time in seconds since 1970.
    """

    grid: VolumeGrid
    segments: tuple[SegmentDraft, ...]
    selected: int = 0
    saved: float = 0.0

    @property
    def is_empty(self) -> bool:
        """True if there is nothing that a user would miss."""
        return all(segment.is_empty for segment in self.segments)

    def has_same(self, other: Draft) -> bool:
        """Return True if another draft has the same segments, whatever results they came from."""
        own, others = ([replace(s, result=None) for s in d.segments] for d in (self, other))
        return own == others

    @property
    def voxels(self) -> int:
        """Voxels of the boxes of all segments."""
        packed = [each.voxels for each in self.segments if each.voxels is not None]
        return sum(_count(region) for region in packed)

    def to_json(self) -> bytes:
        """Return the JSON that `from_json` reads. Raises `DraftError` if it is too large."""
        value = {
            "format": FORMAT,
            "saved": self.saved,
            "grid": {"shape_ijk": self.grid.shape_ijk, "ijk_to_ras": self.grid.ijk_to_ras},
            "selected": self.selected,
            "segments": [_segment_value(segment) for segment in self.segments],
        }
        text = json.dumps(value, separators=(",", ":")).encode()
        if len(text) > MAX_BYTES:
            sentence = _(
                "This unsaved work is not kept on the server: it has {size} MB, and at most "
                "{most} MB are kept. Save the scene, or submit the label."
            )
            size = f"{len(text) / (1 << 20):.1f}"
            raise DraftError(sentence.format(size=size, most=MAX_BYTES >> 20))
        return text

    @classmethod
    def from_json(cls, value: Mapping[str, Any], grid: VolumeGrid) -> Draft:
        """Read a draft of a volume with this grid. Raises `DraftError` for one of a later version,
        on another grid, or with anything that `to_json` does not write.
        """
        found = value.get("format")
        if found != FORMAT:
            sentence = _(
                "The unsaved work on the server has the format {found}, and this module reads "
                "format {format}. A newer version of it may read it."
            )
            raise DraftError(sentence.format(found=str(found)[:20], format=FORMAT))
        try:
            if not _is_same_grid(value["grid"], grid):
                raise DraftError(_("The unsaved work on the server lies on another voxel grid."))
            rows, selected, saved = value["segments"], value["selected"], value["saved"]
            if not isinstance(rows, list) or len(rows) > _MAX_SEGMENTS:
                raise ValueError
            segments = tuple(_segment_of(row, grid) for row in rows)
            draft = cls(grid, segments, int(selected), float(saved))
            if not 0 <= draft.selected < max(len(segments), 1) or not 0 <= draft.saved < 3e10:
                raise ValueError
            if draft.voxels > _MAX_VOLUMES * int(np.prod(grid.shape_ijk, dtype=np.int64)):
                raise ValueError
        except (
            *(ValueError, KeyError, TypeError, AttributeError),
            *(OverflowError, zlib.error, PromptError),
        ) as error:
            raise DraftError(_("The unsaved work on the server cannot be read.")) from error
        return draft


def _segment_value(segment: SegmentDraft) -> dict[str, Any]:
    identity = segment.identity
    is_same = segment.result is not None and _is_same(segment.result, segment.voxels)
    return {
        "name": identity.name,
        "colour": identity.colour,
        "terminology": identity.terminology,
        "chosen_by": identity.chosen_by,
        "prompts": segment.prompts,
        "tags": dict(segment.tags),
        "voxels": _region_value(segment.voxels),
        "result": _SAME_AS_VOXELS if is_same else _region_value(segment.result),
    }


def _segment_of(row: Any, grid: VolumeGrid) -> SegmentDraft:
    red, green, blue = (float(value) for value in row["colour"])
    if not all(0 <= value <= 1 for value in (red, green, blue)):
        raise ValueError
    name, terminology, chosen_by = (_text(row[key]) for key in ("name", "terminology", "chosen_by"))
    identity = Identity(name, (red, green, blue), terminology, chosen_by)
    prompts, tags = row["prompts"], {_text(key): str(text) for key, text in row["tags"].items()}
    if not isinstance(prompts, str):
        raise ValueError
    if prompts:
        PromptSet.from_text(prompts)
    voxels = _region_of(row["voxels"], grid)
    is_same = row["result"] == _SAME_AS_VOXELS
    result = voxels if is_same else _region_of(row["result"], grid)
    return SegmentDraft(identity, prompts, tags, voxels, result)


def _region_value(region: PackedRegion | None) -> dict[str, Any] | None:
    if region is None:
        return None
    bits = base64.b64encode(region.bits).decode("ascii")
    return {"min_ijk": region.min_ijk, "size_ijk": region.size_ijk, "bits": bits}


def _region_of(value: Any, grid: VolumeGrid) -> PackedRegion | None:
    """Read a region. Raises `ValueError` unless it lies in the volume and has the bits of its box,
    which are unpacked no further than that.
    """
    if value is None:
        return None
    low, size = _voxel(value["min_ijk"]), _voxel(value["size_ijk"])
    sides = zip(low, size, grid.shape_ijk)
    if not all(first >= 0 and side > 0 and first + side <= most for first, side, most in sides):
        raise ValueError
    region = PackedRegion(low, size, base64.b64decode(value["bits"], validate=True))
    expected = (_count(region) + 7) // 8
    unpacker = zlib.decompressobj()
    if len(unpacker.decompress(region.bits, expected + 1)) != expected or not unpacker.eof:
        raise ValueError
    return region


def _is_same(result: PackedRegion, voxels: PackedRegion | None) -> bool:
    """Return True if two regions have the same voxels, in whatever boxes."""
    first = result.unpack().trimmed()
    second = None if voxels is None else voxels.unpack().trimmed()
    if first is None or second is None or first.min_ijk != second.min_ijk:
        return False
    return np.array_equal(first.values, second.values)


def _is_same_grid(value: Any, grid: VolumeGrid) -> bool:
    matrix = np.array([float(number) for number in value["ijk_to_ras"]])
    is_same_shape = _voxel(value["shape_ijk"]) == grid.shape_ijk
    return is_same_shape and matrix.shape == (16,) and np.allclose(matrix, grid.ijk_to_ras)


def _count(region: PackedRegion) -> int:
    return int(np.prod(region.size_ijk, dtype=np.int64))


def _voxel(values: Any) -> tuple[int, int, int]:
    i, j, k = values
    if not all(type(value) is int for value in (i, j, k)):
        raise ValueError
    return i, j, k


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ValueError
    return value
