"""Slices of a DICOM file: the attributes and the place of each of its frames.

The place of a frame is in its functional groups (enhanced objects), in the header (one frame), or
follows from one position for the whole stack:

    RT dose              position + normal * offset of the frame; or the offset is its z itself
    nuclear tomography   position in the detector's item + normal * spacing * (slice number - 1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_files import DicomFile
from segsam.imaging.formats.dicom_grid import Slice
from segsam.imaging.formats.dicom_pictures import about_place, about_tiles
from segsam.imaging.formats.dicom_regions import about_scales, scaled_regions
from segsam.imaging.formats.dicom_values import modality_transform

_SLICE_VECTOR = 0x00540080
_SAME_MM = 0.01
_IN_VOLUME = (
    "gives the places of its frames in its own volume and not in the patient; its axes were read "
    "as left, posterior, superior (LPS), so left and right may be swapped."
)


@dataclass(frozen=True, eq=False)
class FrameStack:
    """Places of the frames of an object that gives one position: (frames, 3) in LPS, and (6,)."""

    positions_lps: NDArray[np.float64]
    orientation_lps: NDArray[np.float64]
    step_mm: float | None
    """Usual distance of neighbouring frames; None for one frame."""


def frame_stack(file: DicomFile) -> FrameStack | None:
    """Return the places of the frames of an RT dose or of nuclear tomography, if it gives them."""
    if "GridFrameOffsetVector" in file.header:
        return _dose_stack(file)
    return _nuclear_stack(file) if "DetectorInformationSequence" in file.header else None


def _dose_stack(file: DicomFile) -> FrameStack | None:
    header = file.header
    offsets = _finite_numbers(header.get("GridFrameOffsetVector"), file.frames)
    position = _finite_numbers(header.get("ImagePositionPatient"), 3)
    orientation = _finite_numbers(header.get("ImageOrientationPatient"), 6)
    if offsets is None or position is None or orientation is None:
        return None
    if abs(offsets[0]) > _SAME_MM:
        # The vector holds coordinates z, which only axial planes have (PS3.3, C.8.8.3.2).
        is_axial = bool(np.allclose(np.abs(orientation), [1, 0, 0, 0, 1, 0], atol=1e-4))
        if not is_axial or abs(offsets[0] - position[2]) > _SAME_MM:
            return None
        along, offsets = np.array([0.0, 0, 1]), offsets - position[2]
    else:
        along = np.cross(orientation[:3], orientation[3:])
    return _stack(position, orientation, along, offsets)


def _nuclear_stack(file: DicomFile) -> FrameStack | None:
    """Return the stack of a tomography whose frames are the slices of one volume, each once."""
    header, detectors = file.header, file.header.DetectorInformationSequence
    pointers = np.atleast_1d(header.get("FrameIncrementPointer") or [])
    numbers = _finite_numbers(header.get("SliceVector"), file.frames)
    spacing = _finite_numbers(header.get("SpacingBetweenSlices"), 1)
    if len(detectors) != 1 or numbers is None or spacing is None or spacing[0] == 0:
        return None
    position = _finite_numbers(detectors[0].get("ImagePositionPatient"), 3)
    orientation = _finite_numbers(detectors[0].get("ImageOrientationPatient"), 6)
    is_each_once = sorted(numbers.tolist()) == list(range(1, file.frames + 1))
    by_slice = all(int(pointer) == _SLICE_VECTOR for pointer in pointers)
    if position is None or orientation is None or not is_each_once or not by_slice:
        return None
    along = np.cross(orientation[:3], orientation[3:])
    return _stack(position, orientation, along, (numbers - 1) * spacing[0])


def _stack(
    position: NDArray[np.float64],
    orientation: NDArray[np.float64],
    along: NDArray[np.float64],
    offsets: NDArray[np.float64],
) -> FrameStack:
    steps = np.abs(np.diff(np.sort(offsets)))
    step_mm = float(np.median(steps)) if len(steps) else None
    return FrameStack(position + offsets[:, None] * along, orientation, step_mm)


def has_one_position(file: DicomFile) -> bool:
    """Return True for several frames of which the header gives the position of all in one."""
    has_groups = bool(file.header.get("PerFrameFunctionalGroupsSequence"))
    if file.frames == 1 or has_groups or frame_stack(file) is not None:
        return False
    return _finite_numbers(file.header.get("ImagePositionPatient"), 3) is not None


def _without_positions(file: DicomFile, given: int) -> str:
    """Return the sentence for frames of which only `given` have a place."""
    name, header = file.path.name, file.header
    alone = "One frame can be read alone (--frame)."
    if "GridFrameOffsetVector" in header:
        return (
            f"{name}: expected the position and the orientation of the first of {file.frames} "
            "frames and a grid frame offset vector that begins with 0 or its z and has a number "
            f"for each frame, got less or other ones; its geometry is incomplete. {alone}"
        )
    if "DetectorInformationSequence" in header:
        return (
            f"{name} holds {file.frames} frames of nuclear medicine: expected one volume, with one "
            "position and orientation in its detector information, a spacing between slices and "
            f"a slice vector that names each slice once, got less or more. {alone}"
        )
    if has_one_position(file):
        return (
            f"{name} holds {file.frames} frames but gives one position for all of them; its "
            f"geometry is incomplete. {alone}"
        )
    return (
        f"{name} holds {file.frames} frames but gives the position of "
        f"{given}; its geometry is incomplete. {alone}"
    )


def one_frame(file: DicomFile, frame: int) -> Slice:
    """Return the slice of a frame, from 1. Raises VolumeError for one that the file lacks."""
    _check_one_slice_each(file)
    if not 1 <= frame <= file.frames:
        raise VolumeError(
            f"Expected a frame from 1 to {file.frames} of {file.path.name}, got {frame}."
        )
    per_frame = file.header.get("PerFrameFunctionalGroupsSequence") or []
    own = per_frame[frame - 1] if len(per_frame) == file.frames else pydicom.Dataset()
    return _make_slice(file, frame - 1, own)


def slices_of(file: DicomFile) -> list[Slice]:
    """Return the slice of a classic file, or the frames of an enhanced one.

    Each frame has its own functional groups, and may be the only frame. Raises VolumeError for
    frames without a place, and for a mosaic.
    """
    _check_one_slice_each(file)
    per_frame = list(file.header.get("PerFrameFunctionalGroupsSequence") or [])
    if file.frames == 1 and len(per_frame) != 1:
        per_frame = [pydicom.Dataset()]
    if len(per_frame) != file.frames:
        if frame_stack(file) is None:
            raise VolumeError(_without_positions(file, len(per_frame)))
        per_frame = [pydicom.Dataset()] * file.frames
    return [_make_slice(file, frame, own) for frame, own in enumerate(per_frame)]


def _check_one_slice_each(file: DicomFile) -> None:
    if problem := about_tiles(file):
        raise VolumeError(f"{file.path.name}: {problem}")


def macros_of(file: DicomFile, own: pydicom.Dataset) -> Callable[[str], pydicom.Dataset]:
    """Return the data set that holds the attributes of a functional group macro.

    It is the frame's own, else the shared one, else the header itself (PS3.3, C.7.6.16.2).
    """
    shared = (file.header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    return lambda name: (own.get(name) or shared.get(name) or [file.header])[0]


def _make_slice(file: DicomFile, frame: int, own: pydicom.Dataset) -> Slice:
    """Collect the attributes of a slice or frame; `own` holds the frame's functional groups."""
    macro = macros_of(file, own)
    measures = macro("PixelMeasuresSequence")
    spacing_mm = _finite_numbers(measures.get("PixelSpacing"), 2)
    if spacing_mm is None:
        spacing_mm = _finite_numbers(measures.get("ImagerPixelSpacing"), 2)
    regions = scaled_regions(file.header.get("SequenceOfUltrasoundRegions") or [])
    if spacing_mm is None and regions:
        spacing_mm = regions[0].spacing_mm
    thickness_mm = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    place, direction = place_of(macro)
    is_in_patient = "ImagePositionVolume" not in macro("PlanePositionVolumeSequence")
    about = about_place(file) if is_in_patient and place is not None else ""
    position, orientation = _finite_numbers(place, 3), _finite_numbers(direction, 6)
    rounding_mm = _rounding_mm(place)
    stack = None if file.header.get("PerFrameFunctionalGroupsSequence") else frame_stack(file)
    if stack is not None:
        position, orientation = stack.positions_lps[frame], stack.orientation_lps
        thickness_mm, rounding_mm = stack.step_mm or thickness_mm, None
    values = macro("PixelValueTransformationSequence")
    return Slice(
        path=file.path,
        frame=frame,
        columns=int(file.header.Columns),
        rows=int(file.header.Rows),
        position_lps=position,
        orientation_lps=orientation,
        spacing_mm=spacing_mm,
        thickness_mm=abs(float(thickness_mm)) if thickness_mm else None,
        rounding_mm=rounding_mm,
        aspect_ratio=_aspect_ratio(file.header),
        about_place=about if is_in_patient else _IN_VOLUME,
        about_spacing="" if spacing_mm is None else about_scales(regions, spacing_mm),
        transform=modality_transform(file.header, values, file.path.name),
    )


def place_of(macro: Callable[[str], pydicom.Dataset]) -> tuple[Any, Any]:
    """Return position and orientation as they are in the patient, else in the volume (ultrasound).

    `macro` returns the data set that holds the attributes of a functional group macro. A value that
    is missing is None.
    """
    position = macro("PlanePositionSequence").get("ImagePositionPatient")
    orientation = macro("PlaneOrientationSequence").get("ImageOrientationPatient")
    if position is not None or orientation is not None:
        return position, orientation
    return (
        macro("PlanePositionVolumeSequence").get("ImagePositionVolume"),
        macro("PlaneOrientationVolumeSequence").get("ImageOrientationVolume"),
    )


def _aspect_ratio(header: pydicom.Dataset) -> float:
    """Return the vertical by the horizontal size of a pixel; 1 if it is missing or no ratio."""
    ratio = _finite_numbers(header.get("PixelAspectRatio"), 2)
    if ratio is None or ratio.min() <= 0:
        return 1.0
    return float(ratio[0] / ratio[1])


def _finite_numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    listed = [] if values is None else np.atleast_1d(values).tolist()
    if len(listed) != count:
        return None
    numbers = np.array([float(value) for value in listed])
    return numbers if np.isfinite(numbers).all() else None


def _rounding_mm(position: Any) -> NDArray[np.float64] | None:
    """Return half of the last decimal of each coordinate as it is written; None for binary ones."""
    texts = [getattr(value, "original_string", None) for value in position or []]
    if len(texts) != 3 or not all(isinstance(text, str) for text in texts):
        return None
    exponents = [int(Decimal(str(text).strip()).as_tuple().exponent) for text in texts]
    return np.array([0.5 * 10.0**exponent for exponent in exponents])
