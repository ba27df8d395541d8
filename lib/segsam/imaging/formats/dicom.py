"""A DICOM series: the slices of one folder, or the frames of one enhanced file.

Headers are read with pydicom and decide whether the slices form a grid; only then does SimpleITK
(GDCM) decode the pixels, with each slice's own rescale slope and intercept applied.

    normal ^   p3  ------      every slice states the position p of its first pixel, in LPS.
           |   p2  ------      Steps along the normal must be equal (else slices are missing), and
           |   p1  ------      the p must lie on one line along the normal (else the gantry was
               p0  ------      tilted, and the volume is sheared).
"""

from __future__ import annotations

from collections.abc import Sequence
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
from segsam.imaging.voxels import check_declared_shape
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
    def series(self) -> str:
        return str(self.header.get("SeriesInstanceUID", ""))

    @property
    def frames(self) -> int:
        return int(self.header.get("NumberOfFrames") or 1)


def looks_like_dicom(path: Path) -> bool:
    """The file carries DICOM's mark, "DICM" after a preamble of 128 bytes."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_dicom(path: Path) -> RawImage:
    """The only series of a folder, or the series to which one file of a folder belongs.

    Raises VolumeError for no series, several, missing or unevenly spaced slices, gantry tilt, and
    multi-frame files without complete geometry.
    """
    with reading(path, "DICOM"):
        files = _only_series(path) if path.is_dir() else _series_of(path)
        several = [file for file in files if file.frames > 1]
        if several and len(files) > 1:
            raise VolumeError(
                f"{path.name}: the series has {len(files)} files, and {several[0].path.name} alone "
                f"holds {several[0].frames} frames; give that file on its own."
            )
        slices = _frames_of(files[0]) if several else [_slice_of(file) for file in files]
        header = files[0].header
        check_declared_shape((header.Columns, header.Rows, len(slices)), path.name)
        for file in files:
            _check_pixels_fit(file)
        order, affine_lps, notes = grid_of(slices, path.name)
        ordered = [slices[position] for position in order]
        voxels = _pixels(ordered, path.name)
        modality = str(header.get("Modality", "")) or None
        return RawImage(voxels, swap_lps_ras(affine_lps), modality, notes)


def _only_series(folder: Path) -> list[_File]:
    by_series: dict[str, list[_File]] = {}
    for file in _image_files(folder):
        by_series.setdefault(file.series, []).append(file)
    if not by_series:
        raise VolumeError(f"The folder {folder.name} holds no DICOM image.")
    if len(by_series) > 1:
        listed = "; ".join(_described(files) for files in by_series.values())
        raise VolumeError(
            f"The folder {folder.name} holds {len(by_series)} DICOM series, and one is wanted: "
            f"{listed}. Give one file of the series."
        )
    return next(iter(by_series.values()))


def _described(files: list[_File]) -> str:
    header = files[0].header
    what = str(header.get("SeriesDescription", "")).strip() or "without description"
    return f"{header.get('Modality', '?')} {what!r} ({len(files)} files, {files[0].path.name} ...)"


def _series_of(path: Path) -> list[_File]:
    own = _File(path, _header(path))
    if "Rows" not in own.header:
        raise VolumeError(f"{path.name} is DICOM but holds no image.")
    if own.frames > 1 or not own.series:
        return [own]
    return [file for file in _image_files(path.parent) if file.series == own.series]


def _image_files(folder: Path) -> list[_File]:
    candidates = sorted(path for path in folder.iterdir() if path.is_file())
    files = [_File(path, _header(path)) for path in candidates if looks_like_dicom(path)]
    return [file for file in files if "Rows" in file.header and "Columns" in file.header]


def _header(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)


def _check_pixels_fit(file: _File) -> None:
    """Uncompressed pixels cannot be more than the file holds; compressed ones GDCM will count."""
    header = file.header
    if header.file_meta.TransferSyntaxUID.is_compressed:
        return
    bits = int(header.get("BitsAllocated", 8)) * int(header.get("SamplesPerPixel", 1))
    declared = int(header.Rows) * int(header.Columns) * file.frames * bits // 8
    check_data_size(declared, file.path.stat().st_size, file.path.name, compressed=False)


def _slice_of(file: _File) -> Slice:
    header = file.header
    spacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    thickness = header.get("SpacingBetweenSlices") or header.get("SliceThickness")
    return Slice(
        path=file.path,
        frame=0,
        size=(int(header.Columns), int(header.Rows)),
        position=_numbers(header.get("ImagePositionPatient"), 3),
        orientation=_numbers(header.get("ImageOrientationPatient"), 6),
        spacing=_numbers(spacing, 2),
        thickness_mm=float(thickness) if thickness else None,
        rescale=(
            float(header.get("RescaleSlope") or 1),
            float(header.get("RescaleIntercept") or 0),
        ),
        is_inverted=header.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def _frames_of(file: _File) -> list[Slice]:
    """The frames of an enhanced file, each with its own or the shared geometry."""
    shared = (file.header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    groups = list(file.header.get("PerFrameFunctionalGroupsSequence") or [])
    if len(groups) != file.frames:
        raise VolumeError(
            f"{file.path.name} holds {file.frames} frames but states the position of "
            f"{len(groups)}; its geometry is incomplete."
        )
    return [_frame(file, shared, group, number) for number, group in enumerate(groups)]


def _frame(file: _File, shared: pydicom.Dataset, group: pydicom.Dataset, number: int) -> Slice:
    def item(sequence: str) -> pydicom.Dataset:
        found = group.get(sequence) or shared.get(sequence) or [pydicom.Dataset()]
        return found[0]

    measures = item("PixelMeasuresSequence")
    values = item("PixelValueTransformationSequence")
    slope, intercept = values.get("RescaleSlope"), values.get("RescaleIntercept")
    thickness = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    return Slice(
        path=file.path,
        frame=number,
        size=(int(file.header.Columns), int(file.header.Rows)),
        position=_numbers(item("PlanePositionSequence").get("ImagePositionPatient"), 3),
        orientation=_numbers(item("PlaneOrientationSequence").get("ImageOrientationPatient"), 6),
        spacing=_numbers(measures.get("PixelSpacing"), 2),
        thickness_mm=float(thickness) if thickness else None,
        rescale=(float(slope or 1), float(intercept or 0)),
        is_inverted=file.header.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def _numbers(values: Sequence[float] | None, count: int) -> NDArray[np.float64] | None:
    if values is None or len(values) != count:
        return None
    numbers = np.array([float(value) for value in values])
    return numbers if np.isfinite(numbers).all() else None


def _pixels(slices: list[Slice], name: str) -> Voxels:
    """(i, j, k) or (i, j, k, 3) in the order of `slices`; float32 where a rescale has fractions."""
    is_multiframe = any(piece.frame for piece in slices)
    if is_multiframe:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(slices[0].path))
    else:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(piece.path) for piece in slices])
    reader.SetImageIO("GDCMImageIO")
    if any(not number.is_integer() for piece in slices for number in piece.rescale):
        reader.SetOutputPixelType(sitk.sitkFloat32)
    kji: NDArray[np.generic] = sitk.GetArrayFromImage(reader.Execute())
    if kji.shape[:3] != (len(slices), slices[0].size[1], slices[0].size[0]):
        raise VolumeError(
            f"{name}: {len(slices)} slices of {slices[0].size} pixels are declared; "
            f"decoded were {kji.shape}."
        )
    if is_multiframe:
        if len({piece.rescale for piece in slices}) > 1:
            raise VolumeError(f"{name}: its frames have different rescale slopes or intercepts.")
        kji = kji[[piece.frame for piece in slices]]
    if kji.ndim == 4 and (kji.shape[3] != 3 or kji.dtype != np.uint8):
        raise VolumeError(f"{name}: voxels must be single numbers or 8-bit colour.")
    return kji.transpose((2, 1, 0, *range(3, kji.ndim)))
