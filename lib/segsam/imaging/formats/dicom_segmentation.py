"""DICOM segmentation (PS3.3 A.51): label maps, their place in the patient, and segment names.

Every frame is one plane of one segment. It gives the number of its segment and the position of its
first pixel; frames without any voxel are usually left out:

    frame 0: segment 1 at z = 0        value of a voxel = number of its segment
    frame 1: segment 1 at z = 3        name of a value  = label of the segment
    frame 2: segment 2 at z = 3        segments that overlap come into different maps

A label map segmentation (PS3.3 A.90) has one frame per plane, whose pixels are segment numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_files import DicomFile, is_dicom, read_file
from segsam.imaging.formats.dicom_pixels import check_pixel_bytes, stored_values
from segsam.imaging.formats.raw import reading
from segsam.imaging.formats.seg_nrrd import Segmentation, StoredSegment, default_name
from segsam.imaging.geometry import swap_lps_ras, validated_affine
from segsam.imaging.voxels import check_declared_shape
from segsam.types import Affine, LabelArray

_SEGMENTATION, _LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
_PLANE_TOLERANCE_MM, _STEP_TOLERANCE = 0.01, 0.01
_PARALLEL = 0.9999
"""Least cosine between the normal of frames and an axis of an image whose planes they are."""


@dataclass(frozen=True, eq=False)
class _Frames:
    """Orientation of all frames, and for each its place: segment number and plane k."""

    affine_ras: Affine
    shape_ijk: tuple[int, int, int]
    segments: tuple[int, ...] | None
    """Segment number of each frame; None for a label map, whose pixels are segment numbers."""
    planes: tuple[int, ...]


def is_dicom_segmentation(path: Path) -> bool:
    """Return True for a DICOM segmentation. Raises VolumeError for damaged DICOM."""
    return path.is_file() and is_dicom(path) and _is_segmentation(read_file(path))


def _is_segmentation(file: DicomFile) -> bool:
    return str(file.header.get("SOPClassUID") or "") in {_SEGMENTATION, _LABEL_MAP}


def read_dicom_segmentation(path: Path, image_ras: Affine | None = None) -> Segmentation:
    """Read the label maps, their affine and the segments of a file.

    Where the file does not tell how far its planes are apart, because some without a voxel are left
    out, the affine of its image does, `image_ras`.

    Raises VolumeError for frames without a place, for probabilities, and for damaged files.
    """
    with reading(path, "DICOM", _sentence(path)):
        file = read_file(path)
        segments = _segments(file)
        frames = _frames(file, image_ras)
        _check_described(frames, segments, path.name)
        check_declared_shape(frames.shape_ijk, path.name)
        check_pixel_bytes(file)
        pixels = stored_values(file).values
        if frames.segments is None:
            maps: tuple[LabelArray, ...] = (_label_map(pixels, frames, path.name),)
        else:
            numbers = [one.value for one in segments]
            maps = _layers(_masks(pixels, file), frames.segments, frames, numbers)
        return Segmentation(maps, frames.affine_ras, segments)


def read_dicom_segments(path: Path) -> tuple[StoredSegment, ...]:
    """Read the segments from the header of a segmentation. Raises VolumeError."""
    with reading(path, "DICOM", _sentence(path)):
        return _segments(read_file(path))


def _sentence(path: Path) -> str:
    return (
        f"{path.name} could not be read as a DICOM segmentation: expected segments, and frames "
        "with a segment and a position each, got damaged or missing attributes."
    )


def _segments(file: DicomFile) -> tuple[StoredSegment, ...]:
    found = [
        (int(item.SegmentNumber), _name(item)) for item in file.header.get("SegmentSequence") or []
    ]
    numbers = [number for number, _ in found]
    if not numbers or len(set(numbers)) < len(numbers) or not all(0 <= n < 2**16 for n in numbers):
        raise VolumeError(
            f"{file.path.name}: expected segments with different numbers from 1, got "
            f"{numbers[:8] or 'none'}."
        )
    return tuple(
        StoredSegment.named(name, default_name(number), 0, number, number)
        for number, name in found
        if number
    )


def _name(item: pydicom.Dataset) -> str:
    """Label of a segment; without one, what its code means; "" for none."""
    label = str(item.get("SegmentLabel") or "").strip()
    codes = item.get("SegmentedPropertyTypeCodeSequence") or [pydicom.Dataset()]
    return label or str(codes[0].get("CodeMeaning") or "").strip()


def _frames(file: DicomFile, image_ras: Affine | None) -> _Frames:
    shared = (file.header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    per_frame = list(file.header.get("PerFrameFunctionalGroupsSequence") or [])
    if len(per_frame) != file.frames:
        raise VolumeError(
            f"{file.path.name}: expected the place of each of {file.frames} frames, got "
            f"{len(per_frame)}."
        )
    orientations = np.array(
        [
            _macro(own, shared, "PlaneOrientationSequence").ImageOrientationPatient
            for own in per_frame
        ],
        dtype=np.float64,
    )
    if np.ptp(orientations, axis=0).max() > 1e-4:
        raise VolumeError(f"{file.path.name}: expected frames of one orientation, got several.")
    positions = np.array(
        [_macro(own, shared, "PlanePositionSequence").ImagePositionPatient for own in per_frame],
        dtype=np.float64,
    )
    measures = _macro(per_frame[0], shared, "PixelMeasuresSequence")
    is_label_map = str(file.header.SOPClassUID) == _LABEL_MAP
    segments = tuple(
        int(_macro(own, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        for own in (() if is_label_map else per_frame)
    )
    normal = np.cross(orientations[0][:3], orientations[0][3:])
    step = _step_mm(positions @ normal, measures, _step_of_image(image_ras, normal))
    affine, planes = _grid(orientations[0], positions, measures, step, file.path.name)
    places = planes if is_label_map else list(zip(segments, planes, strict=True))
    if len(set(places)) < len(places):
        raise VolumeError(
            f"{file.path.name}: expected one frame for each segment and plane, got several; it may "
            "hold several points in time."
        )
    shape = (int(file.header.Columns), int(file.header.Rows), max(planes) + 1)
    return _Frames(affine, shape, None if is_label_map else segments, tuple(planes))


def _check_described(frames: _Frames, segments: Sequence[StoredSegment], name: str) -> None:
    """Refuse frames of segments that the file does not describe: their voxels would be lost."""
    numbers = {one.value for one in segments}
    for frame, number in enumerate(frames.segments or (), start=1):
        if number not in numbers:
            raise VolumeError(
                f"{name}: frame {frame} belongs to segment {number}, which the file does not "
                f"describe; expected one of its segments {', '.join(map(str, sorted(numbers)))}."
            )


def _macro(own: pydicom.Dataset, shared: pydicom.Dataset, name: str) -> pydicom.Dataset:
    return (own.get(name) or shared.get(name))[0]


def _grid(
    orientation: NDArray[np.float64],
    positions: NDArray[np.float64],
    measures: pydicom.Dataset,
    step: float,
    name: str,
) -> tuple[Affine, list[int]]:
    """Return the affine in RAS, and the plane k of each position (n, 3), `step` mm apart."""
    row, column = orientation[:3], orientation[3:]
    normal = np.cross(row, column)
    along = positions @ normal
    first = int(along.argmin())
    planes = np.rint((along - along[first]) / step).astype(int)
    expected = positions[first] + planes[:, None] * step * normal
    distance = float(np.abs(positions - expected).max())
    if distance > max(_PLANE_TOLERANCE_MM, _STEP_TOLERANCE * step):
        raise VolumeError(
            f"{name}: expected frames on planes {step:.4g} mm apart along their normal, got one "
            f"{distance:.4g} mm beside them."
        )
    between_rows, between_columns = (float(value) for value in measures.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * between_columns, column * between_rows
    # The mean step: header values are rounded.
    last = int(along.argmax())
    whole = planes[last]
    affine[:3, 2] = (positions[last] - positions[first]) / whole if whole else normal * step
    affine[:3, 3] = positions[first]
    return validated_affine(swap_lps_ras(affine), name), planes.tolist()


def _step_of_image(image_ras: Affine | None, normal_lps: NDArray[np.float64]) -> float | None:
    """Distance of the planes of an image along a normal; None if it has none there."""
    if image_ras is None:
        return None
    steps_lps = swap_lps_ras(image_ras)[:3, :3]
    along_mm = np.abs(normal_lps @ steps_lps)
    axis = int(along_mm.argmax())
    length_mm = float(np.linalg.norm(steps_lps[:, axis]))
    return length_mm if along_mm[axis] >= _PARALLEL * length_mm else None


def _step_mm(
    along: NDArray[np.float64], measures: pydicom.Dataset, of_image_mm: float | None
) -> float:
    """Distance of planes: as in the image, or as declared, if all frames lie on such planes, else
    the smallest found. Some programs declare the distance of the planes that they kept, and the
    thickness of a slice says it only where slices touch each other.
    """
    distances = [b - a for a, b in pairwise(sorted(along.tolist())) if b - a > _PLANE_TOLERANCE_MM]
    declared = [
        abs(float(value))
        for value in (
            of_image_mm,
            measures.get("SpacingBetweenSlices"),
            measures.get("SliceThickness"),
        )
        if value
    ]
    for step in declared:
        counts = [distance / step for distance in distances]
        if all(abs(count - round(count)) <= _STEP_TOLERANCE and count > 0.5 for count in counts):
            return step
    return min(distances) if distances else 1.0


def _masks(pixels: NDArray[Any], file: DicomFile) -> NDArray[np.bool_]:
    """Frames as masks; fractions only if each is nothing or all."""
    if str(file.header.get("SegmentationType") or "BINARY") == "BINARY":
        return np.asarray(pixels != 0)
    highest = int(file.header.get("MaximumFractionalValue") or 255)
    if not np.isin(pixels, (0, highest)).all():
        raise VolumeError(
            f"{file.path.name}: expected a binary segmentation, got one of fractions "
            "(probabilities or shares of voxels). Save it with a threshold first."
        )
    return np.asarray(pixels == highest)


def _label_map(pixels: NDArray[Any], frames: _Frames, name: str) -> LabelArray:
    if pixels.dtype.kind not in "iu" or pixels.min() < 0:
        raise VolumeError(f"{name}: expected segment numbers as pixels, got {pixels.dtype}.")
    labels: LabelArray = np.zeros(frames.shape_ijk, np.min_scalar_type(int(pixels.max())))
    for plane, frame in zip(frames.planes, pixels, strict=True):
        labels[:, :, plane] = frame.T
    return labels


def _layers(
    masks: NDArray[np.bool_], segments: Sequence[int], frames: _Frames, numbers: Sequence[int]
) -> tuple[LabelArray, ...]:
    """Label maps with segment numbers: as few as hold all segments without loss of a voxel."""
    kind = np.min_scalar_type(max(numbers))
    layers: list[LabelArray] = [np.zeros(frames.shape_ijk, kind)]
    for number in numbers:
        own = [
            (plane, masks[frame].T)
            for frame, (segment, plane) in enumerate(zip(segments, frames.planes, strict=True))
            if segment == number
        ]
        free = (
            layer
            for layer in layers
            if not any(layer[:, :, plane][mask].any() for plane, mask in own)
        )
        target = next(free, None)
        if target is None:
            target = np.zeros(frames.shape_ijk, kind)
            layers.append(target)
        for plane, mask in own:
            target[:, :, plane][mask] = number
    return tuple(layers)
