"""DICOM series: the slices of one folder, or the frames of one enhanced file.

Headers are read with pydicom, and the slices must form a regular grid. Only then does SimpleITK
(GDCM) decode the pixels and apply each slice's own rescale slope and intercept.

    normal ^   p3  ------      The header of each slice has the position p of its first pixel (LPS).
           |   p2  ------      Steps along the normal must be equal (otherwise slices are missing),
           |   p1  ------      and all p must lie on one line along the normal (otherwise the gantry
               p0  ------      was tilted, and the volume is sheared).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_grid import Slice, grid_of
from segsam.imaging.formats.raw import RawImage, check_data_size, reading
from segsam.imaging.geometry import swap_lps_ras
from segsam.imaging.voxels import check_declared_shape, shape_text
from segsam.types import Voxels

_TAGS = [
    "SeriesInstanceUID", "SeriesDescription", "Modality", "Rows", "Columns", "NumberOfFrames",
    "BitsAllocated", "SamplesPerPixel",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing",
    "SpacingBetweenSlices", "SliceThickness", "RescaleSlope", "RescaleIntercept",
    "PhotometricInterpretation", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class _File:
    path: Path
    header: pydicom.Dataset

    @property
    def series_uid(self) -> str:
        return str(self.header.get("SeriesInstanceUID", ""))

    @property
    def frames(self) -> int:
        return int(self.header.get("NumberOfFrames") or 1)


def has_dicom_prefix(path: Path) -> bool:
    """Return True if the file has "DICM" after a preamble of 128 bytes (PS3.10, section 7.1)."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_dicom(path: Path) -> RawImage:
    """Read the only series of a folder, or the series to which the given file belongs.

    Raises VolumeError for no series, several, missing or unevenly spaced slices, gantry tilt, and
    multi-frame files without complete geometry.
    """
    with reading(path, "DICOM"):
        files = _only_series(path) if path.is_dir() else _series_of(path)
        enhanced = next((file for file in files if file.frames > 1), None)
        if enhanced and len(files) > 1:
            raise VolumeError(
                f"{path.name}: the series has {len(files)} files, and {enhanced.path.name} alone "
                f"holds {enhanced.frames} frames; give that file on its own."
            )
        slices = _frames_of(enhanced) if enhanced else [_slice_of(file) for file in files]
        header = files[0].header
        check_declared_shape((header.Columns, header.Rows, len(slices)), path.name)
        for file in files:
            _check_pixel_bytes(file)
        grid = grid_of(slices, path.name)
        voxels = _read_pixels([slices[index] for index in grid.order], path.name)
        modality = str(header.get("Modality", "")) or None
        return RawImage(voxels, swap_lps_ras(grid.affine_lps), modality, grid.notes)


def _only_series(folder: Path) -> list[_File]:
    by_series: dict[str, list[_File]] = {}
    for file in _image_files(folder):
        by_series.setdefault(file.series_uid, []).append(file)
    if not by_series:
        raise VolumeError(f"The folder {folder.name} holds no DICOM image.")
    if len(by_series) > 1:
        listed = "; ".join(_description(files) for files in by_series.values())
        raise VolumeError(
            f"Expected one DICOM series in the folder {folder.name}, got {len(by_series)}: "
            f"{listed}. Give one file of the series."
        )
    return next(iter(by_series.values()))


def _description(files: list[_File]) -> str:
    header = files[0].header
    description = str(header.get("SeriesDescription", "")).strip() or "without description"
    modality = header.get("Modality", "?")
    return f"{modality} {description!r} ({len(files)} files, {files[0].path.name} ...)"


def _series_of(path: Path) -> list[_File]:
    given = _File(path, _read_header(path))
    if "Rows" not in given.header:
        raise VolumeError(f"{path.name} is DICOM but holds no image.")
    if given.frames > 1 or not given.series_uid:
        return [given]
    return [file for file in _image_files(path.parent) if file.series_uid == given.series_uid]


def _image_files(folder: Path) -> list[_File]:
    candidates = sorted(path for path in folder.iterdir() if path.is_file())
    files = [_File(path, _read_header(path)) for path in candidates if has_dicom_prefix(path)]
    return [file for file in files if "Rows" in file.header and "Columns" in file.header]


def _read_header(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)


def _check_pixel_bytes(file: _File) -> None:
    """Refuse a file too short for its uncompressed pixels; GDCM checks compressed ones."""
    header = file.header
    if header.file_meta.TransferSyntaxUID.is_compressed:
        return
    bits = int(header.get("BitsAllocated", 8)) * int(header.get("SamplesPerPixel", 1))
    declared = int(header.Rows) * int(header.Columns) * file.frames * bits // 8
    check_data_size(declared, file.path.stat().st_size, file.path.name, compressed=False)


def _slice_of(file: _File) -> Slice:
    """Return the slice of a classic file, whose header holds all attributes itself."""
    return _make_slice(file, 0, lambda _: file.header)


def _frames_of(file: _File) -> list[Slice]:
    """Return the frames of an enhanced file, each with its own or the shared functional groups."""
    shared = (file.header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    per_frame = list(file.header.get("PerFrameFunctionalGroupsSequence") or [])
    if len(per_frame) != file.frames:
        raise VolumeError(
            f"{file.path.name} holds {file.frames} frames but gives the position of "
            f"{len(per_frame)}; its geometry is incomplete."
        )

    def macro_of(own: pydicom.Dataset) -> Callable[[str], pydicom.Dataset]:
        return lambda name: (own.get(name) or shared.get(name) or [pydicom.Dataset()])[0]

    return [_make_slice(file, frame, macro_of(own)) for frame, own in enumerate(per_frame)]


def _make_slice(file: _File, frame: int, macro: Callable[[str], pydicom.Dataset]) -> Slice:
    """Collect the attributes of a slice or frame.

    `macro` returns the data set that holds the attributes of a functional group macro (PS3.3,
    C.7.6.16.2).
    """
    measures = macro("PixelMeasuresSequence")
    spacing_mm = measures.get("PixelSpacing") or measures.get("ImagerPixelSpacing")
    thickness_mm = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    position = macro("PlanePositionSequence").get("ImagePositionPatient")
    orientation = macro("PlaneOrientationSequence").get("ImageOrientationPatient")
    transformation = macro("PixelValueTransformationSequence")
    return Slice(
        path=file.path,
        frame=frame,
        columns=int(file.header.Columns),
        rows=int(file.header.Rows),
        position_lps=_finite_numbers(position, 3),
        orientation_lps=_finite_numbers(orientation, 6),
        spacing_mm=_finite_numbers(spacing_mm, 2),
        thickness_mm=float(thickness_mm) if thickness_mm else None,
        rescale=(
            float(transformation.get("RescaleSlope") or 1),
            float(transformation.get("RescaleIntercept") or 0),
        ),
        is_inverted=file.header.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def _finite_numbers(values: Sequence[float] | None, count: int) -> NDArray[np.float64] | None:
    if values is None or len(values) != count:
        return None
    numbers = np.array([float(value) for value in values])
    return numbers if np.isfinite(numbers).all() else None


def _read_pixels(slices: list[Slice], name: str) -> Voxels:
    """Decode (i, j, k) or (i, j, k, 3) in the order of `slices`.

    float32 if any rescale slope or intercept has a fraction, otherwise an integer type.
    """
    is_multiframe = any(each.frame for each in slices)
    if is_multiframe:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(slices[0].path))
    else:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(each.path) for each in slices])
    reader.SetImageIO("GDCMImageIO")
    # ITK takes the pixel type from the first slice, which would truncate fractions in later ones.
    if any(not number.is_integer() for each in slices for number in each.rescale):
        reader.SetOutputPixelType(sitk.sitkFloat32)
    kji: NDArray[np.generic] = sitk.GetArrayFromImage(reader.Execute())
    expected = (len(slices), slices[0].rows, slices[0].columns)
    if kji.shape[:3] != expected:
        raise VolumeError(
            f"{name}: expected {shape_text(expected)} slices x rows x columns as the headers "
            f"declare, got {shape_text(kji.shape)} decoded pixels."
        )
    if is_multiframe:
        if len({each.rescale for each in slices}) > 1:
            raise VolumeError(f"{name}: its frames have different rescale slopes or intercepts.")
        kji = kji[[each.frame for each in slices]]
    if kji.ndim == 4 and (kji.shape[3] != 3 or kji.dtype != np.uint8):
        raise VolumeError(
            f"{name}: expected single numbers or 8-bit colour as voxels, got {kji.shape[3]} "
            f"{kji.dtype} values each."
        )
    return kji.transpose((2, 1, 0, *range(3, kji.ndim)))
