"""The headers of a fetched series, which a segmentation of it repeats: patient, study, and where
each slice lies.

They are kept beside the image that was made of the very same files, so that a label drawn on that
image goes back to those slices, whatever the server has by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.geometry import swap_lps_ras

_APART_MM, _APART_STEPS = 0.05, 0.02
_EMPTY = (  # attributes that a segmentation must have, if only without a value (type 2)
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)


def keep_headers(source: Path, folder: Path) -> None:
    """Write the headers of the instances in `source` into `folder`. Raises OSError."""
    for file in sorted(source.glob("*.dcm")):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        header.save_as(folder / file.name, write_like_original=False)


def read_headers(folder: Path) -> list[pydicom.Dataset]:
    """What `keep_headers` wrote. Raises VolumeError when there is nothing."""
    files = sorted(folder.glob("*.dcm"))
    if not files:
        raise VolumeError("the headers of the series are not here any more; open the image again")
    headers = [pydicom.dcmread(file) for file in files]
    for header in headers:
        for name in _EMPTY:
            if name not in header:
                setattr(header, name, None)
        if len(headers) > 1 and header.get("NumberOfFrames") == 1:
            del header.NumberOfFrames
    return headers


@dataclass(frozen=True, eq=False)
class Slices:
    """The headers of a series and, for each slice k of its image, the frame that it is.

    Of one header for each slice, `headers` are in the order of k.
    """

    headers: list[pydicom.Dataset]
    frame_of_k: NDArray[np.intp]
    step_mm: float

    @classmethod
    def of(cls, headers: Sequence[pydicom.Dataset], grid: RawGrid) -> Slices:
        """Those on which the image `grid` lies.

        Raises VolumeError when a slice of the image is none of them, or the other way round.
        """
        positions = _positions(headers)
        columns, rows, count = grid.shape_ijk
        first = headers[0]
        if (first.Columns, first.Rows, len(positions)) != (columns, rows, count):
            raise VolumeError(
                f"the series has {len(positions)} slices of {first.Columns}x{first.Rows} pixels, "
                f"and its image here {count} of {columns}x{rows}"
            )
        affine_lps = swap_lps_ras(grid.affine_ras)
        wanted = affine_lps[:3, 3] + np.arange(count)[:, None] * affine_lps[:3, 2]
        apart = np.linalg.norm(wanted[:, None] - positions[None], axis=-1)
        frame_of_k = apart.argmin(axis=1)
        furthest = float(apart.min(axis=1).max())
        step = float(np.linalg.norm(affine_lps[:3, 2]))
        allowed = max(_APART_MM, _APART_STEPS * step)
        if furthest > allowed or len(set(frame_of_k.tolist())) != count:
            raise VolumeError(
                f"the slices of the series lie elsewhere than those of its image here, by up to "
                f"{furthest:.3g} mm (at most {allowed:.3g} is accepted)"
            )
        if len(headers) == 1:
            return cls(list(headers), frame_of_k, step)
        ordered = [headers[frame] for frame in frame_of_k]
        for header in ordered:  # empty slices are left out, so readers could not count it
            header.SpacingBetweenSlices = float(f"{step:.10g}")
            header.SliceThickness = header.get("SliceThickness") or header.SpacingBetweenSlices
        return cls(ordered, np.arange(count), step)


def _positions(headers: Sequence[pydicom.Dataset]) -> NDArray[np.float64]:
    """(n, 3): the first pixel of each slice or frame, LPS mm, in the order of the headers."""
    with suppress(AttributeError, TypeError, ValueError, IndexError):
        frames = headers[0].get("PerFrameFunctionalGroupsSequence") if len(headers) == 1 else None
        if frames:
            places = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames]
        else:
            places = [header.ImagePositionPatient for header in headers]
        return np.array(places, dtype=np.float64).reshape(-1, 3)
    raise VolumeError("the series does not say where its slices lie in the patient")
