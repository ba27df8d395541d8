"""DICOM series: the slices of one folder, or the frames of one enhanced file.

Headers are read first, and the slices must form a regular grid. Only then are the pixels decoded,
and each slice's own rescale slope and intercept applied.

    normal ^   p3  ------      The header of each slice has the position p of its first pixel (LPS).
           |   p2  ------      Steps along the normal must be equal (otherwise slices are missing),
           |   p1  ------      and all p must lie on one line along the normal (otherwise the gantry
               p0  ------      was tilted, and the volume is sheared).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import UID

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_concatenations import check_together, is_one_concatenation
from segsam.imaging.formats.dicom_copies import without_copies
from segsam.imaging.formats.dicom_files import (
    DicomFile,
    DicomFolder,
    dicom_folder,
    is_dicom,
    read_file,
)
from segsam.imaging.formats.dicom_grid import (
    Slice,
    grid_of,
    lie_at_one_position,
    lie_in_one_view,
    main_view,
)
from segsam.imaging.formats.dicom_pixels import UnusedBits, check_pixel_bytes, stored_values
from segsam.imaging.formats.dicom_slices import has_one_position, one_frame, slices_of
from segsam.imaging.formats.dicom_values import COLOUR, ValueStack
from segsam.imaging.formats.raw import RawImage, reading
from segsam.imaging.formats.stored_voxels import implausible, plausible_bytes
from segsam.imaging.geometry import swap_lps_ras
from segsam.imaging.image_files import is_litter, may_be_dicom
from segsam.imaging.voxels import check_declared_shape
from segsam.types import Voxels

__all__ = ["beside_main_view", "is_dicom", "read_dicom"]

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
        ordered = [slices[index] for index in grid.order]
        voxels, about_bits = _read_voxels(selection.files, ordered, path.name)
        modality, about_modality = _modality(header, path.name)
        is_inverted, about_display = _display(selection.files, modality, path.name)
        return RawImage(
            voxels,
            swap_lps_ras(grid.affine_lps),
            modality,
            (
                *selection.notes,
                *_note_of_mixture(selection.files, path.name),
                *grid.notes,
                *about_bits,
                *about_modality,
                *about_display,
            ),
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
    found = dicom_folder(folder)
    for file in found.images:
        by_series.setdefault(file.series_uid, []).append(file)
    if not by_series:
        raise VolumeError(_without_image(folder, found))
    if len(by_series) > 1:
        listed = "; ".join(_description(files) for files in by_series.values())
        raise VolumeError(
            f"Expected one DICOM series in the folder {folder.name}, got {len(by_series)}: "
            f"{listed}. Give one file of the series."
        )
    if found.damaged:
        raise VolumeError(
            f"Expected whole slices in the folder {folder.name}, got damaged or incomplete ones: "
            f"{_names(found.damaged)}. Copy them again, or give a whole slice to read the others."
        )
    whole, about_copies = without_copies(next(iter(by_series.values())))
    files, about_view = _in_main_view(whole, folder.name)
    about_labels = _note_of_labels(found.segmentations)
    notes = (*_check_alone(files, folder.name), *about_view, *about_copies, *about_labels)
    slices = [piece for file in files for piece in slices_of(file)]
    if len(slices) > 1 and not any(piece.is_placed for piece in slices):
        raise VolumeError(
            f"Expected one image or one series of slices in the folder {folder.name}, got "
            f"{_description(files)} without positions in the patient, so they form no volume: "
            f"{_names(files)}. Give the file that is meant."
        )
    return _Selection(files, slices, notes)


def _in_main_view(files: list[DicomFile], name: str) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Return the slices of a series without scouts, stills and the like, and the note on these."""
    if len(files) < 2 or is_one_concatenation(files):
        return files, ()
    pieces = [slices_of(file)[0] if file.frames == 1 else None for file in files]
    orientations = [
        piece.orientation_lps if piece is not None and piece.is_placed else None for piece in pieces
    ]
    sizes_px = [(int(file.header.Columns), int(file.header.Rows)) for file in files]
    kinds = [str(file.header.get("SOPClassUID") or "") for file in files]
    chosen = main_view(orientations, sizes_px, kinds)
    if not chosen or len(chosen) == len(files):
        return files, ()
    try:
        grid_of([piece for index in chosen if (piece := pieces[index]) is not None], name)
    except VolumeError:  # one of the others may be the slice that is missing
        return files, ()
    sentence = beside_main_view(len(chosen), len(files) - len(chosen))
    return [files[index] for index in chosen], (f"{name}: {sentence}",)


def beside_main_view(slices: int, others: int) -> str:
    """Return the sentence on files of a series that are no slices of its volume."""
    return (
        f"the {slices} parallel slices of its series were read; {others} other file(s) of it are "
        "stills, or slices in another view or size, and were left out."
    )


def _without_image(folder: Path, found: DicomFolder) -> str:
    """Return the sentence for a folder without an image: what it, or its subfolders, hold."""
    if found.damaged:
        return (
            f"Expected whole slices in the folder {folder.name}, got damaged or incomplete ones "
            f"only: {_names(found.damaged)}."
        )
    if found.segmentations:
        return (
            f"Expected an image in the folder {folder.name}, got labels (DICOM segmentation): "
            f"{_names(found.segmentations)}."
        )
    inside = [
        path.name
        for path in sorted(folder.iterdir())
        if path.is_dir() and not is_litter(path.name) and _holds_dicom(path)
    ]
    if not inside:
        return f"The folder {folder.name} holds no DICOM image."
    listed = ", ".join(inside[:_LISTED]) + (", ..." if len(inside) > _LISTED else "")
    return (
        f"The folder {folder.name} holds no DICOM image itself, but its subfolders hold DICOM "
        f"files: {listed}. Give the folder of one series."
    )


def _holds_dicom(folder: Path) -> bool:
    """Return True if a file in the folder, or below it, is DICOM; links are not followed."""
    for root, _, names in os.walk(folder):
        paths = [Path(root) / name for name in names if may_be_dicom(name)]
        if any(path.is_file() and is_dicom(path) for path in paths):
            return True
    return False


def _names(files: Sequence[DicomFile]) -> str:
    listed = ", ".join(file.path.name for file in files[:_LISTED])
    return listed + (", ..." if len(files) > _LISTED else "")


def _note_of_labels(segmentations: Sequence[DicomFile]) -> tuple[str, ...]:
    if not segmentations:
        return ()
    return (f"{_names(segmentations)}: labels (DICOM segmentation), left out of the image.",)


def _note_of_damaged(given: DicomFile, damaged: Sequence[DicomFile]) -> tuple[str, ...]:
    """Return the note about damaged files that may be slices of the same series."""
    near = [file for file in damaged if file.series_uid in {"", given.series_uid}]
    if not near:
        return ()
    return (
        f"{_names(near)}: damaged or incomplete, left out; slices of the series may be missing.",
    )


def _note_of_mixture(files: Sequence[DicomFile], name: str) -> tuple[str, ...]:
    """Return notes on slices of one series that say that they are of different origin."""
    kinds = {"PatientID": "patients (Patient ID)", "FrameOfReferenceUID": "frames of reference"}
    counts = {
        kind: len({str(file.header.get(keyword) or "") for file in files} - {""})
        for keyword, kind in kinds.items()
    }
    return tuple(
        f"{name}: the slices of one series name {count} {kind}; they were read as one image."
        for kind, count in counts.items()
        if count > 1
    )


def _description(files: list[DicomFile]) -> str:
    header = files[0].header
    description = str(header.get("SeriesDescription", "")).strip() or "without description"
    modality = header.get("Modality", "?")
    return f"{modality} {description!r} ({len(files)} files, {files[0].path.name} ...)"


def _check_alone(files: Sequence[DicomFile], name: str) -> tuple[str, ...]:
    """Refuse frames of several files that are no whole concatenation; return notes."""
    if is_one_concatenation(files):
        return check_together(files)
    many = next((file for file in files if file.frames > 1), None)
    if many and len(files) > 1:
        raise VolumeError(
            f"{name}: the series has {len(files)} files, and {many.path.name} alone "
            f"holds {many.frames} frames; give that file on its own."
        )
    return ()


def _named(path: Path, frame: int | None) -> _Selection:
    """Return the image that is meant by the name of one file."""
    given = read_file(path)
    _check_image(given)
    if frame is not None:
        piece = one_frame(given, frame)
        return _Selection([given], [piece], _note_of_one_position(given, frame))
    if is_one_concatenation([given]):
        return _whole_concatenation(given)
    slices = slices_of(given)
    # A still is read whatever else its folder holds.
    if given.frames > 1 or not given.series_uid or not slices[0].is_placed:
        return _Selection([given], slices)
    found = dicom_folder(path.parent)
    same = [file for file in found.images if file.series_uid == given.series_uid]
    others_of_series = [file for file in same if file.path.name != path.name]
    (_, *siblings), about_copies = without_copies([given, *others_of_series])
    others = [(file, slices_of(file)[0]) for file in siblings if file.frames == 1]
    view = [(file, piece) for file, piece in others if lie_in_one_view(slices[0], piece)]
    if lie_at_one_position([*slices, *(piece for _, piece in view)]):
        view = []
    files, pieces = [given, *(f for f, _ in view)], [*slices, *(piece for _, piece in view)]
    notes = _note_of_others(given, len(siblings) - len(view), len(view))
    about_damaged = _note_of_damaged(given, found.damaged)
    return _Selection(files, pieces, (*notes, *about_copies, *about_damaged))


def _check_image(given: DicomFile) -> None:
    """Refuse a named file that is a segmentation, damaged, or another object than an image."""
    name = given.path.name
    if given.is_segmentation:
        raise VolumeError(
            f"Expected an image, got {name}, a DICOM segmentation, which holds labels."
        )
    if given.is_cut:
        raise VolumeError(
            f"{name} could not be read as DICOM: expected an image with its rows and columns, got "
            "a damaged or incomplete file."
        )
    if not given.has_size:
        raise VolumeError(f"{name} is DICOM but holds no image.")


def _whole_concatenation(given: DicomFile) -> _Selection:
    """Return all parts, which lie beside the given one."""
    uid = given.header.ConcatenationUID
    parts, about_copies = without_copies(
        [
            file
            for file in dicom_folder(given.path.parent).images
            if file.series_uid == given.series_uid and file.header.get("ConcatenationUID") == uid
        ]
    )
    notes = (*check_together(parts), *about_copies)
    return _Selection(parts, [piece for part in parts for piece in slices_of(part)], notes)


def _note_of_one_position(file: DicomFile, frame: int) -> tuple[str, ...]:
    if not has_one_position(file):
        return ()
    return (
        f"{file.path.name} gives one position for all of its {file.frames} frames; frame {frame} "
        "was placed there.",
    )


def _note_of_others(given: DicomFile, others: int, used: int) -> tuple[str, ...]:
    if not others:
        return ()
    read = "it was read alone" if not used else f"the {used + 1} slices of its view were read"
    return (
        f"{given.path.name}: {read}; {others} other file(s) of its series are stills, or slices in "
        "another view.",
    )


def _read_voxels(
    files: Sequence[DicomFile], slices: Sequence[Slice], name: str, *, all_bits: bool = False
) -> tuple[Voxels, tuple[str, ...]]:
    """Decode (i, j, k) or (i, j, k, 3) in the order of `slices`, and note which bits were read."""
    unused: list[UnusedBits] = []
    planes = _stored_planes(files, slices, unused, all_bits=all_bits)
    first = next(planes)
    is_colour = first.ndim == 3
    transforms = [COLOUR if is_colour else piece.transform for piece in slices]
    stack = ValueStack(transforms, first.shape)
    for index, (transform, plane) in enumerate(
        zip(transforms, chain([first], planes), strict=True)
    ):
        if plane.ndim != first.ndim:
            raise VolumeError(f"{name}: expected all slices grey or all in colour, got both.")
        stack.put(index, transform.apply(plane), plane.dtype)
    if UnusedBits.READ in unused and len(set(unused)) > 1 and not all_bits:
        # Bits Stored is too small in one slice: the others are read in the same way.
        return _read_voxels(files, slices, name, all_bits=True)
    kji = stack.planes
    return kji.transpose((2, 1, 0, *range(3, kji.ndim))), _note_of_bits(files, unused, name)


def _note_of_bits(
    files: Sequence[DicomFile], unused: Sequence[UnusedBits], name: str
) -> tuple[str, ...]:
    """Return the note on bits outside of the stored ones, if they are not 0 in some pixels."""
    bits = files[0].header.get("BitsStored")
    if UnusedBits.READ in unused or UnusedBits.PADDING in unused:
        return (
            f"{name} declares {bits} bits for a value (Bits Stored), but some values need more; "
            "all of their bits were read.",
        )
    if UnusedBits.LEFT_OUT in unused:
        return (
            f"{name} declares {bits} bits for a value (Bits Stored), and other bits of its pixels "
            "are not 0; they are no part of the values and were left out.",
        )
    return ()


def _stored_planes(
    files: Sequence[DicomFile],
    slices: Sequence[Slice],
    unused: list[UnusedBits],
    *,
    all_bits: bool,
) -> Iterator[NDArray[np.generic]]:
    """Yield the stored values of each slice; slices of one file follow each other.

    What became of unused bits is added to `unused`, once for each file.
    """
    by_path = {file.path: file for file in files}
    for path, pieces in groupby(slices, key=lambda piece: piece.path):
        decoded = stored_values(by_path[path], all_bits=all_bits)
        unused.append(decoded.unused_bits)
        for piece in pieces:
            yield decoded.values[piece.frame]


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
