"""DICOM series: the slices of one folder, or the frames of one enhanced file.

Headers are read first, and the slices must form a regular grid. Only then are the pixels decoded,
and each slice's own rescale slope and intercept applied.

    normal ^   p3  ------      The header of each slice has the position p of its first pixel (LPS).
           |   p2  ------      Steps along the normal must be equal (otherwise slices are missing),
           |   p1  ------      and all p must lie on one line along the normal (otherwise the gantry
               p0  ------      was tilted, and the volume is sheared).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import UID

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_files import DicomFile, image_files, is_dicom, read_file
from segsam.imaging.formats.dicom_grid import (
    Slice,
    grid_of,
    lie_at_one_position,
    lie_in_one_view,
)
from segsam.imaging.formats.dicom_pixels import check_pixel_bytes, stored_values
from segsam.imaging.formats.dicom_values import COLOUR, ValueStack, modality_transform
from segsam.imaging.formats.raw import RawImage, reading
from segsam.imaging.formats.stored_voxels import implausible, plausible_bytes
from segsam.imaging.geometry import swap_lps_ras
from segsam.imaging.voxels import check_declared_shape
from segsam.types import Voxels

__all__ = ["is_dicom", "read_dicom"]

_XRAY = frozenset({"CR", "DX", "MG", "RG", "RF", "XA", "IO", "PX"})
"""Modalities whose MONOCHROME1 pictures are shown inverted: their values have no scale."""
_MODALITIES = MappingProxyType(
    {
        "CT": "CT", "MR": "MR", "Ultrasound": "US", "Positron": "PT", "Computed": "CR",
        "Digital X-Ray": "DX", "Digital Mammography": "MG", "X-Ray Angiographic": "XA",
        "X-Ray Radiofluoroscopic": "RF", "Nuclear": "NM",
    }
)  # fmt: skip
"""Beginnings of the names of SOP classes, after "Enhanced"; modality."""
_CENTIMETRES, _TISSUE = 3, 1
_SLICE_AXIS = 2
"""Slices are stacked along k: across the planes of the scanner, or of a reformatted series."""
_LISTED = 4


@dataclass(frozen=True, eq=False)
class _Selection:
    """Files to read with their slices, and notes about what was chosen."""

    files: list[DicomFile]
    slices: list[Slice]
    notes: tuple[str, ...] = ()


def read_dicom(path: Path, frame: int | None = None) -> RawImage:
    """Read the only series of a folder, or the image to which the given file belongs.

    A file belongs to the parallel slices of its series; one without a position is read alone.
    `frame` (from 1) reads one frame of a file. Raises VolumeError for no series, several, missing
    or unevenly spaced slices, gantry tilt, and multi-frame files without complete geometry.
    """
    sentence = (
        f"{path.name} could not be read as DICOM: expected a header that describes its image in "
        "full, got one with damaged or missing attributes."
    )
    with reading(path, "DICOM", sentence):
        selection = _only_series(path, frame) if path.is_dir() else _named(path, frame)
        slices, header = selection.slices, selection.files[0].header
        check_declared_shape((header.Columns, header.Rows, len(slices)), path.name)
        for file in selection.files:
            check_pixel_bytes(file)
        _check_plausible(selection.files, path)
        grid = grid_of(slices, path.name)
        voxels = _read_voxels(selection.files, [slices[index] for index in grid.order], path.name)
        modality, about_modality = _modality(header, path.name)
        is_inverted, about_display = _display(selection.files, modality, path.name)
        return RawImage(
            voxels,
            swap_lps_ras(grid.affine_lps),
            modality,
            (*selection.notes, *grid.notes, *about_modality, *about_display),
            is_inverted,
            slice_axis=_SLICE_AXIS,
        )


def _check_plausible(files: Sequence[DicomFile], path: Path) -> None:
    """Refuse a series that unpacks to far more than is plausible. Raises VolumeTooLargeError."""
    declared = sum(file.pixel_bytes for file in files)
    stored = sum(file.path.stat().st_size for file in files)
    if declared > plausible_bytes(stored):
        raise implausible(path, declared, stored)


def _only_series(folder: Path, frame: int | None) -> _Selection:
    if frame is not None:
        raise VolumeError(
            f"Expected a file to read frame {frame} of, got the folder {folder.name}."
        )
    by_series: dict[str, list[DicomFile]] = {}
    for file in image_files(folder):
        by_series.setdefault(file.series_uid, []).append(file)
    if not by_series:
        raise VolumeError(f"The folder {folder.name} holds no DICOM image.")
    if len(by_series) > 1:
        listed = "; ".join(_description(files) for files in by_series.values())
        raise VolumeError(
            f"Expected one DICOM series in the folder {folder.name}, got {len(by_series)}: "
            f"{listed}. Give one file of the series."
        )
    files = next(iter(by_series.values()))
    _check_alone(files, folder.name)
    slices = [piece for file in files for piece in _slices_of(file)]
    if len(slices) > 1 and not any(piece.is_placed for piece in slices):
        names = ", ".join(file.path.name for file in files[:_LISTED])
        more = ", ..." if len(files) > _LISTED else ""
        raise VolumeError(
            f"Expected one image or one series of slices in the folder {folder.name}, got "
            f"{_description(files)} without positions in the patient, so they form no volume: "
            f"{names}{more}. Give the file that is meant."
        )
    return _Selection(files, slices)


def _description(files: list[DicomFile]) -> str:
    header = files[0].header
    description = str(header.get("SeriesDescription", "")).strip() or "without description"
    modality = header.get("Modality", "?")
    return f"{modality} {description!r} ({len(files)} files, {files[0].path.name} ...)"


def _check_alone(files: Sequence[DicomFile], name: str) -> None:
    many = next((file for file in files if file.frames > 1), None)
    if many and len(files) > 1:
        raise VolumeError(
            f"{name}: the series has {len(files)} files, and {many.path.name} alone "
            f"holds {many.frames} frames; give that file on its own."
        )


def _named(path: Path, frame: int | None) -> _Selection:
    """Return the image that is meant by the name of one file."""
    given = read_file(path)
    if "Rows" not in given.header or "Columns" not in given.header:
        raise VolumeError(f"{path.name} is DICOM but holds no image.")
    if frame is not None:
        return _Selection([given], [_one_frame(given, frame)])
    slices = _slices_of(given)
    # A still is read whatever else its folder holds.
    if given.frames > 1 or not given.series_uid or not slices[0].is_placed:
        return _Selection([given], slices)
    siblings = [
        file
        for file in image_files(path.parent)
        if file.series_uid == given.series_uid and file.path.name != path.name
    ]
    others = [(file, _slices_of(file)[0]) for file in siblings if file.frames == 1]
    view = [(file, piece) for file, piece in others if lie_in_one_view(slices[0], piece)]
    if lie_at_one_position([*slices, *(piece for _, piece in view)]):
        view = []
    files, pieces = [given, *(f for f, _ in view)], [*slices, *(piece for _, piece in view)]
    return _Selection(files, pieces, _note_of_others(given, len(siblings) - len(view), len(view)))


def _note_of_others(given: DicomFile, others: int, used: int) -> tuple[str, ...]:
    if not others:
        return ()
    read = "it was read alone" if not used else f"the {used + 1} slices of its view were read"
    return (
        f"{given.path.name}: {read}; {others} other file(s) of its series are stills, or slices in "
        "another view.",
    )


def _one_frame(file: DicomFile, frame: int) -> Slice:
    if not 1 <= frame <= file.frames:
        raise VolumeError(
            f"Expected a frame from 1 to {file.frames} of {file.path.name}, got {frame}."
        )
    per_frame = file.header.get("PerFrameFunctionalGroupsSequence") or []
    own = per_frame[frame - 1] if len(per_frame) == file.frames else pydicom.Dataset()
    return _make_slice(file, frame - 1, own)


def _slices_of(file: DicomFile) -> list[Slice]:
    """Return the slice of a classic file, or the frames of an enhanced one.

    Each frame has its own functional groups, and may be the only frame.
    """
    per_frame = list(file.header.get("PerFrameFunctionalGroupsSequence") or [])
    if file.frames == 1 and len(per_frame) != 1:
        per_frame = [pydicom.Dataset()]
    if len(per_frame) != file.frames:
        raise VolumeError(
            f"{file.path.name} holds {file.frames} frames but gives the position of "
            f"{len(per_frame)}; its geometry is incomplete. One frame can be read alone (--frame)."
        )
    return [_make_slice(file, frame, own) for frame, own in enumerate(per_frame)]


def _macros(file: DicomFile, own: pydicom.Dataset) -> Callable[[str], pydicom.Dataset]:
    """Return the data set that holds the attributes of a functional group macro.

    It is the frame's own, else the shared one, else the header itself (PS3.3, C.7.6.16.2).
    """
    shared = (file.header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    return lambda name: (own.get(name) or shared.get(name) or [file.header])[0]


def _make_slice(file: DicomFile, frame: int, own: pydicom.Dataset) -> Slice:
    """Collect the attributes of a slice or frame; `own` holds the frame's functional groups."""
    macro = _macros(file, own)
    measures = macro("PixelMeasuresSequence")
    spacing_mm = _finite_numbers(measures.get("PixelSpacing"), 2)
    if spacing_mm is None:
        spacing_mm = _finite_numbers(measures.get("ImagerPixelSpacing"), 2)
    if spacing_mm is None:
        spacing_mm = _region_spacing_mm(file.header.get("SequenceOfUltrasoundRegions") or [])
    thickness_mm = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    position = macro("PlanePositionSequence").get("ImagePositionPatient")
    orientation = macro("PlaneOrientationSequence").get("ImageOrientationPatient")
    values = macro("PixelValueTransformationSequence")
    return Slice(
        path=file.path,
        frame=frame,
        columns=int(file.header.Columns),
        rows=int(file.header.Rows),
        position_lps=_finite_numbers(position, 3),
        orientation_lps=_finite_numbers(orientation, 6),
        spacing_mm=spacing_mm,
        thickness_mm=abs(float(thickness_mm)) if thickness_mm else None,
        transform=modality_transform(file.header, values, file.path.name),
    )


def _finite_numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    listed = [] if values is None else np.atleast_1d(values).tolist()
    if len(listed) != count:
        return None
    numbers = np.array([float(value) for value in listed])
    return numbers if np.isfinite(numbers).all() else None


def _region_spacing_mm(regions: Iterable[pydicom.Dataset]) -> NDArray[np.float64] | None:
    """Return the (row, column) spacing of the largest two-dimensional ultrasound region."""
    spacings = [
        (_region_area(region), abs(float(region.PhysicalDeltaY)), abs(float(region.PhysicalDeltaX)))
        for region in regions
        if region.get("PhysicalUnitsXDirection") == _CENTIMETRES
        and region.get("PhysicalUnitsYDirection") == _CENTIMETRES
        and region.get("RegionSpatialFormat", _TISSUE) == _TISSUE
        and region.get("PhysicalDeltaX")
        and region.get("PhysicalDeltaY")
    ]
    return np.array(max(spacings)[1:]) * 10.0 if spacings else None


def _region_area(region: pydicom.Dataset) -> int:
    width = int(region.get("RegionLocationMaxX1") or 0) - int(
        region.get("RegionLocationMinX0") or 0
    )
    height = int(region.get("RegionLocationMaxY1") or 0) - int(
        region.get("RegionLocationMinY0") or 0
    )
    return width * height


def _read_voxels(files: Sequence[DicomFile], slices: Sequence[Slice], name: str) -> Voxels:
    """Decode (i, j, k) or (i, j, k, 3) in the order of `slices`."""
    planes = _stored_planes(files, slices)
    first = next(planes)
    is_colour = first.ndim == 3
    transforms = [COLOUR if is_colour else piece.transform for piece in slices]
    stack = ValueStack(transforms, first.shape)
    for index, (transform, plane) in enumerate(
        zip(transforms, chain([first], planes), strict=True)
    ):
        if plane.ndim != first.ndim:
            raise VolumeError(f"{name}: expected all slices grey or all in colour, got both.")
        stack.put(index, transform.apply(plane))
    kji = stack.planes
    return kji.transpose((2, 1, 0, *range(3, kji.ndim)))


def _stored_planes(
    files: Sequence[DicomFile], slices: Sequence[Slice]
) -> Iterator[NDArray[np.generic]]:
    """Yield the stored values of each slice; slices of one file follow each other."""
    by_path = {file.path: file for file in files}
    for path, pieces in groupby(slices, key=lambda piece: piece.path):
        decoded = stored_values(by_path[path])
        for piece in pieces:
            yield decoded[piece.frame]


def _modality(header: pydicom.Dataset, name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the modality, guessed from the SOP class if missing, and a note if that is unusual."""
    modality = str(header.get("Modality") or "").strip() or None
    uid = UID(str(header.get("SOPClassUID") or ""))
    known = "" if uid.name == str(uid) else uid.name.removeprefix("Enhanced ")
    if not known:
        found = f"the SOP class {uid}, which the standard does not have" if uid else "no SOP class"
        return modality, (
            f"{name} gives {found}; it was read as {modality or 'an image without modality'} from "
            "its other attributes.",
        )
    if modality is None:
        modality = next(
            (code for text, code in _MODALITIES.items() if known.startswith(text)), None
        )
        if modality:
            return modality, (f"{name} gives no modality; {modality} follows from its SOP class.",)
    return modality, ()


def _display(
    files: Sequence[DicomFile], modality: str | None, name: str
) -> tuple[bool, tuple[str, ...]]:
    """Return True if the picture is shown inverted, and the note about it."""
    if not any(file.header.get("PhotometricInterpretation") == "MONOCHROME1" for file in files):
        return False, ()
    is_xray = modality in _XRAY
    shown = "its picture is inverted for display" if is_xray else "that concerns its display only"
    return is_xray, (
        f"{name} is stored with white as its lowest value (MONOCHROME1); {shown}, and its values "
        "are not changed.",
    )
