"""Concatenations of DICOM: one multi-frame object in several files (PS3.3, C.7.6.16).

Each part has the UID of the whole and its number in it, from 1; how many there are may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_files import DicomFile


def is_one_concatenation(files: Sequence[DicomFile]) -> bool:
    """Return True if all files are parts of the same object."""
    uids = {str(file.header.get("ConcatenationUID") or "") for file in files}
    return len(uids) == 1 and "" not in uids


def check_together(parts: Sequence[DicomFile]) -> tuple[str, ...]:
    """Refuse parts that are not the whole object; return a note if that cannot be known.

    Raises VolumeError.
    """
    name = parts[0].path.name
    numbers = sorted(int(part.header.get("InConcatenationNumber") or 0) for part in parts)
    totals = {int(part.header.get("InConcatenationTotalNumber") or 0) for part in parts} - {0}
    total = max(totals, default=max(numbers))
    if numbers != list(range(1, total + 1)):
        found = ", ".join(map(str, numbers))
        raise VolumeError(
            f"{name} is a part of a concatenation: expected its parts 1 to {total} in one folder, "
            f"got {found}."
        )
    if totals:
        return ()
    return (
        f"{name} is a part of a concatenation that does not say how many parts it has; "
        f"{len(parts)} were read.",
    )
