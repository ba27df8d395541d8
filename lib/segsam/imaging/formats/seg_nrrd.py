"""3D Slicer's segmentation file: NRRD with label layers and fields per segment.

    Segment0_Name: liver    Segment0_LabelValue: 3    Segment0_Layer: 0

A layer ("binary labelmap") is shared by segments that do not overlap; each has its own label value
there. Segments that overlap lie in different layers, possibly with the same value. A label volume
is written as one layer. Files from before 2020 have one layer per segment, without values.
See Slicer's vtkMRMLSegmentationStorageNode for the fields.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.nrrd_file import (
    StoredLayers,
    read_nrrd_layers,
    read_nrrd_segment_fields,
    stored_nrrd_layers,
    write_nrrd,
)
from segsam.imaging.formats.raw import reading
from segsam.imaging.name_text import name_in_file
from segsam.imaging.voxels import zeros
from segsam.types import Affine, LabelArray, Voxels

_PALETTE = ((128, 174, 128), (241, 214, 145), (177, 122, 101), (111, 184, 210), (216, 101, 79))
_FIELD = re.compile(r"Segment(\d{1,6})_[A-Za-z]+")
_MAX_DIGITS = 9
_NO_VALUE = 2**31
"""Number beyond every value of a segment; larger ones in a file count as the one below it."""
_NOT_STRUCTURES = ("background", "background_scribbles", "foreground_scribbles")
"""Names of segments that MONAI Label's module keeps beside those of the structures."""
_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGION_CONTEXT = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Segment:
    """Meaning of a label value: a name, a colour (0 to 255), and SNOMED CT code and meaning."""

    name: str
    colour_rgb: tuple[int, int, int] | None = None
    snomed: tuple[str, str] | None = None


@dataclass(frozen=True)
class StoredSegment:
    """Segment of a file: its name, and where its voxels are."""

    name: str
    layer: int
    """Layer of the file that holds it."""
    label_value: int
    """Value of its voxels in that layer."""
    value: int
    """Value that it gets when the layers are read together: different for every segment."""
    note: str = ""
    """Sentence for the user if the file's own name could not be used as it is."""

    @classmethod
    def named(cls, text: str, default: str, layer: int, label_value: int, value: int) -> Self:
        """Return the segment that a file calls `text`; `default` is the name of one without."""
        name, wrong = name_in_file(text, default)
        note = f"the file's name of the value {value} has {wrong}; it is called {name!r}"
        return cls(name, layer, label_value, value, note if wrong else "")


def default_name(number: int) -> str:
    """Return the name of a segment without one, as 3D Slicer shows it."""
    return f"Segment_{number}"


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Content of a segmentation file: label maps (i, j, k), their affine, and the segments.

    `maps` is one map if no segments overlap, else one per layer; in both, a voxel of a segment has
    its `value`.
    """

    maps: tuple[Voxels, ...]
    affine_ras: Affine
    segments: tuple[StoredSegment, ...]


def read_segmentation(path: Path) -> Segmentation | None:
    """Read a segmentation by its segments; None for a NRRD without any. Raises VolumeError.

    Scribbles and background, which MONAI Label keeps as segments, are left out.
    """
    read = read_nrrd_layers(path)
    if read is None:
        return None
    segments = _parse_segments(read.fields, len(read.layers), path.name)
    drawn = tuple(segment for segment in segments if segment.name not in _NOT_STRUCTURES)
    own = _by_layer(segments)
    maps = [
        _by_value(layer, own.get(number, []), path.name) for number, layer in enumerate(read.layers)
    ]
    return Segmentation(_merged(maps), read.affine_ras, drawn)


def read_segment_values(path: Path) -> set[int] | None:
    """Read which segments have voxels, by their `value`, one block of the file at a time.

    None for a NRRD without segments, or with voxels written as text. Raises VolumeError.
    """
    stored = stored_nrrd_layers(path)
    if stored is None:
        return None
    segments = _parse_segments(stored.fields, stored.count, path.name)
    found: set[int] = set()
    own = _by_layer(segments)
    for layer, present in _values_by_layer(stored, path).items():
        target = _targets(sorted(present), own.get(layer, []), path.name)
        found |= {target[value] for value in present}
    return found - {0}


def _by_layer(segments: Sequence[StoredSegment]) -> dict[int, list[StoredSegment]]:
    found: dict[int, list[StoredSegment]] = {}
    for segment in segments:
        found.setdefault(segment.layer, []).append(segment)
    return found


def _values_by_layer(stored: StoredLayers, path: Path) -> dict[int, set[int]]:
    """The values other than 0 in each layer."""
    if stored.voxels.dtype.kind not in "iu":
        kind = stored.voxels.value_type
        raise VolumeError(f"{path.name}: expected whole numbers in a segmentation, got {kind}.")
    step = math.prod(stored.voxels.shape[: stored.axis or 0])
    found: dict[int, set[int]] = {}
    first = 0
    with reading(path, "NRRD"):
        for block in stored.voxels.values():
            filled = np.flatnonzero(block)
            layers = (first + filled) // step % stored.count
            values = np.clip(block[filled].astype(np.int64), -_NO_VALUE, _NO_VALUE - 1)
            for pair in np.unique(layers * 2 * _NO_VALUE + values + _NO_VALUE).tolist():
                layer, value = divmod(pair, 2 * _NO_VALUE)
                found.setdefault(layer, set()).add(value - _NO_VALUE)
            first += block.size
    return found


def read_segments(path: Path) -> tuple[StoredSegment, ...]:
    """Read the segments from the header of a NRRD; empty if it has none. Raises VolumeError."""
    read = read_nrrd_segment_fields(path)
    if read is None:
        return ()
    segments = _parse_segments(*read, path.name)
    return tuple(segment for segment in segments if segment.name not in _NOT_STRUCTURES)


def _parse_segments(fields: Mapping[str, Any], layers: int, name: str) -> list[StoredSegment]:
    """The segments that the header of a file with so many layers describes, in its order."""
    numbers = sorted({int(match[1]) for key in fields if (match := _FIELD.fullmatch(key))})
    places = []
    one_each = layers == len(numbers) > 1
    for place, number in enumerate(numbers):
        layer = _whole(fields, f"Segment{number}_Layer", place if one_each else 0, name)
        value = _whole(fields, f"Segment{number}_LabelValue", 1, name)
        if value < 1 or layer >= layers:
            raise VolumeError(
                f"{name}: expected each segment in one of {layers} layers with a value from 1, got "
                f"layer {layer} and value {value} for segment {number}."
            )
        places.append((layer, value))
    if len(set(places)) < len(places):
        layer, value = Counter(places).most_common(1)[0][0]
        raise VolumeError(
            f"{name}: expected one segment for each value of a layer, got several for the value "
            f"{value} in layer {layer}."
        )
    values = [value for _, value in places]
    if len(set(values)) < len(values):  # of overlapping segments: told apart by their layer
        values = list(range(1, len(places) + 1))
    return [
        StoredSegment.named(
            str(fields.get(f"Segment{number}_Name", "")), default_name(number + 1), *place, value
        )
        for number, place, value in zip(numbers, places, values, strict=True)
    ]


def _whole(fields: Mapping[str, Any], key: str, default: int, name: str) -> int:
    text = str(fields.get(key, default)).strip()
    if not text.isdecimal() or len(text) > _MAX_DIGITS:
        raise VolumeError(f"{name}: expected a whole number as {key}, got {text!r:.40}.")
    return int(text)


def _by_value(layer: Voxels, segments: Sequence[StoredSegment], name: str) -> Voxels:
    """A layer whose voxels have the `value` of their segments, and 0 for what is no structure."""
    if layer.dtype.kind not in "iu":
        raise VolumeError(f"{name}: expected whole numbers in a segmentation, got {layer.dtype}.")
    present = [int(value) for value in np.unique(layer) if value]
    target = _targets(present, segments, name)
    changed = [value for value in present if target[value] != value]
    if not changed:
        return layer
    result = zeros(layer.shape, np.uint16 if max(target.values()) < 2**16 else np.uint32)
    for value in present:
        result[layer == value] = target[value]
    return result


def _targets(
    present: Sequence[int], segments: Sequence[StoredSegment], name: str
) -> dict[int, int]:
    """New value of each value in a layer; 0 for what is no structure."""
    target = {one.label_value: 0 if one.name in _NOT_STRUCTURES else one.value for one in segments}
    unknown = [value for value in present if value not in target]
    if unknown:
        raise VolumeError(
            f"{name}: expected a segment for every value, got the values {unknown[:8]} without one."
        )
    return target


def _merged(maps: Sequence[Voxels]) -> tuple[Voxels, ...]:
    """One map if no voxel has two values, else the maps that hold something."""
    filled = [each for each in maps if each.any()]
    if len(filled) < 2:
        return tuple(filled) or (maps[0],)
    merged = filled[0].copy()
    for other in filled[1:]:
        if np.logical_and(merged, other).any():
            return tuple(filled)
        merged = np.where(other != 0, other, merged)
    return (merged,)


def write_seg_nrrd(
    path: Path, voxels: Voxels, affine_ras: Affine, segments: Mapping[int, Segment] | None
) -> None:
    """Write labels (i, j, k) with their names; without `segments`, every value gets a number.

    Raises OutputError if the voxels are not labels, or hold a value that `segments` lacks.
    """
    if voxels.ndim != 3 or voxels.dtype.kind not in "iu" or voxels.min() < 0:
        raise OutputError(
            f"A .seg.nrrd holds labels, whole numbers from 0; these voxels are {voxels.dtype}."
        )
    labels = np.asarray(voxels, dtype=voxels.dtype)
    present = [int(value) for value in np.unique(labels) if value != 0]
    if segments is None:
        segments = {value: Segment(f"Segment {value}") for value in present}
    unnamed = [value for value in present if value not in segments]
    if unnamed:
        raise OutputError(f"The labels hold the values {unnamed}, for which no segment is given.")
    write_nrrd(path, labels, affine_ras, fields=_fields(labels, segments))


def _fields(labels: LabelArray | Voxels, segments: Mapping[int, Segment]) -> dict[str, str]:
    fields = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for number, (value, segment) in enumerate(segments.items()):
        colour = segment.colour_rgb or _PALETTE[number % len(_PALETTE)]
        own = {
            "ID": f"Segment_{value}",
            "Name": _one_line(segment.name),
            "NameAutoGenerated": "0",
            "Color": " ".join(f"{channel / 255:.6g}" for channel in colour),
            "ColorAutoGenerated": "0" if segment.colour_rgb else "1",
            "LabelValue": str(value),
            "Layer": "0",
            "Extent": _extent(labels == value),
            "Tags": _tags(segment),
        }
        fields |= {f"Segment{number}_{key}": text for key, text in own.items()}
    return fields


def _one_line(text: str) -> str:
    """Replace line breaks, because a header field ends with its line."""
    return " ".join(text.split())


def _extent(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
    """First and last index along i, j and k; "0 -1" three times if the segment is empty."""
    ends: list[int] = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        ends += [int(filled[0]), int(filled[-1])] if filled.size else [0, -1]
    return " ".join(map(str, ends))


def _tags(segment: Segment) -> str:
    if segment.snomed is None:
        return "|"
    code, meaning = (_one_line(text) for text in segment.snomed)
    category = "SCT^123037004^Anatomical Structure"
    return (
        f"TerminologyEntry:{_CONTEXT}~{category}~SCT^{code}^{meaning}~^^~{_REGION_CONTEXT}~^^~^^|"
    )
