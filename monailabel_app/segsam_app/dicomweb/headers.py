"""DICOM headers of a fetched series, which its segmentations repeat: patient, study, positions.

They are stored beside the image that was made from the same files. So a label drawn on that image
goes back to exactly those slices, whatever the server has by then.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from segsam.errors import DamagedRecordError, VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.geometry import swap_lps_ras
from segsam_app.storage.disk import sha256_of

SUMS = "SHA256SUMS"
_UNREADABLE = (
    *(InvalidDicomError, OSError, EOFError, AttributeError, LookupError, TypeError, ValueError),
    *(ArithmeticError, NotImplementedError, RecursionError, struct.error),
)
"""Errors that a damaged header causes in pydicom (found by changing single bits)."""
_TOLERANCE_MM, _TOLERANCE_STEPS = 0.05, 0.02
"""Largest distance between a slice of the series and one of the image; the larger one counts."""
_TYPE_2 = (  # attributes that a segmentation must have, with or without a value
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)


def save_headers(source: Path, folder: Path) -> None:
    """Save the headers of the instances in `source` in `folder`, with their SHA-256.

    Raises OSError.
    """
    for file in sorted(source.glob("*.dcm")):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        header.save_as(folder / file.name, write_like_original=False)
    (folder / SUMS).write_text(_sums(folder), "utf-8")


def check_headers(folder: Path) -> None:
    """Raise DamagedRecordError if the headers in a folder are not those that were saved, OSError.

    A label must not go back with a damaged name of a patient. Folders of older versions of this
    program have no sums; their headers only need to be readable.
    """
    sums = folder / SUMS
    if sums.exists() and sums.read_bytes() != _sums(folder).encode():
        raise DamagedRecordError("the headers of the series are not those that were saved")
    try:
        read_headers(folder)
    except VolumeError as error:
        raise DamagedRecordError(str(error)) from error


def _sums(folder: Path) -> str:
    return "".join(f"{sha256_of(file)}  {file.name}\n" for file in sorted(folder.glob("*.dcm")))


def read_headers(folder: Path) -> list[pydicom.Dataset]:
    """Read what `save_headers` wrote. Raises VolumeError if there is nothing, or it is damaged."""
    files = sorted(folder.glob("*.dcm"))
    if not files:
        raise VolumeError("the headers of the series are missing; open the image again")
    try:
        headers = [pydicom.dcmread(file) for file in files]
        for header in headers:
            for name in _TYPE_2:
                if name not in header:
                    setattr(header, name, None)
            if len(headers) > 1 and header.get("NumberOfFrames") == 1:
                del header.NumberOfFrames
    except _UNREADABLE as error:
        raise VolumeError("the headers of the series are damaged; open the image again") from error
    return headers


@dataclass(frozen=True, eq=False)
class SeriesSlices:
    """Headers of a series, and the frame of the series that each slice k of its image is.

    A series with one header per slice has its `headers` in the order of k.
    """

    headers: list[pydicom.Dataset]
    frame_of_k: NDArray[np.intp]

    @classmethod
    def match(cls, headers: Sequence[pydicom.Dataset], grid: RawGrid) -> SeriesSlices:
        """Match the slices of a series with those of the image on `grid`.

        Raises VolumeError unless each slice of the image is exactly one of the series.
        """
        positions_lps = _positions_lps(headers)
        columns, rows, count = grid.shape_ijk
        first = headers[0]
        if (first.Columns, first.Rows, len(positions_lps)) != (columns, rows, count):
            raise VolumeError(
                f"the series has {len(positions_lps)} slices of {first.Columns}x{first.Rows} "
                f"pixels, and its image here {count} of {columns}x{rows}"
            )
        affine_lps = swap_lps_ras(grid.affine_ras)
        expected_lps = affine_lps[:3, 3] + np.arange(count)[:, None] * affine_lps[:3, 2]
        distances_mm = np.linalg.norm(expected_lps[:, None] - positions_lps[None], axis=-1)
        frame_of_k = distances_mm.argmin(axis=1)
        furthest_mm = float(distances_mm.min(axis=1).max())
        step_mm = float(np.linalg.norm(affine_lps[:3, 2]))
        allowed_mm = max(_TOLERANCE_MM, _TOLERANCE_STEPS * step_mm)
        if furthest_mm > allowed_mm or len(set(frame_of_k.tolist())) != count:
            raise VolumeError(
                f"the slices of the series are up to {furthest_mm:.3g} mm away from those of its "
                f"image here (at most {allowed_mm:.3g} mm is accepted)"
            )
        if len(headers) == 1:
            return cls(list(headers), frame_of_k)
        ordered = [headers[frame] for frame in frame_of_k]
        for header in ordered:
            # Slices without a segment are left out of the file, so readers cannot find the step.
            header.SpacingBetweenSlices = float(f"{step_mm:.10g}")
            header.SliceThickness = header.get("SliceThickness") or header.SpacingBetweenSlices
        return cls(ordered, np.arange(count))


def _positions_lps(headers: Sequence[pydicom.Dataset]) -> NDArray[np.float64]:
    """Position of the first pixel of each slice or frame (n, 3), LPS mm, in header order."""
    with suppress(AttributeError, TypeError, ValueError, IndexError):
        frames = headers[0].get("PerFrameFunctionalGroupsSequence") if len(headers) == 1 else None
        if frames:
            positions = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames]
        else:
            positions = [header.ImagePositionPatient for header in headers]
        return np.array(positions, dtype=np.float64).reshape(-1, 3)
    raise VolumeError("the series does not state where its slices lie in the patient")
