"""Copies of a slice among the files of a DICOM series: each is read once.

A file that was exported or copied twice has the SOP Instance UID, header and pixels of the other.
Slices of a series that lost their own UIDs may share one, too, but lie at different positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_files import DicomFile
from segsam.imaging.formats.dicom_pixels import check_pixel_bytes, stored_values

_LISTED = 4
_PLACE = ("ImagePositionPatient", "InConcatenationNumber")


def without_copies(files: Sequence[DicomFile]) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Return the files without copies of earlier ones, and the note about these.

    Raises VolumeError for two files of one SOP Instance UID and place that differ.
    """
    first: dict[tuple[str, ...], DicomFile] = {}
    kept, copies = [], []
    for file in files:
        uid = str(file.header.get("SOPInstanceUID") or "")
        key = (uid, *(str(file.header.get(keyword)) for keyword in _PLACE))
        original = first.setdefault(key, file) if uid else file
        if original is file:
            kept.append(file)
        else:
            _check_copy(original, file)
            copies.append(file.path.name)
    if not copies:
        return kept, ()
    listed = ", ".join(copies[:_LISTED]) + (", ..." if len(copies) > _LISTED else "")
    return kept, (
        f"{listed}: a second copy of a slice (same SOP Instance UID, same pixels), left out.",
    )


def _check_copy(original: DicomFile, copy: DicomFile) -> None:
    """Refuse a file of the same UID that is not the same slice. Raises VolumeError."""
    names = f"{original.path.name} and {copy.path.name}"
    differing = "headers" if original.header != copy.header else ""
    if not differing:
        for file in (original, copy):
            check_pixel_bytes(file)
        pixels, others = stored_values(original).values, stored_values(copy).values
        differing = "" if np.array_equal(pixels, others) else "pixels"
    if differing:
        raise VolumeError(
            f"{names} have one SOP Instance UID and one position, but their {differing} differ; "
            "expected each slice once. Remove the one that is wrong."
        )
