"""Concatenations of DICOM: one multi-frame object in several files (PS3.3, C.7.6.16).

Each part has the UID of the whole and its number in it, from 1; how many there are may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_files import DicomFile


@dataclass(frozen=True)
class Part:
    """Place of a file in a concatenation: UID of the whole, number from 1, number of parts (0 if
    the file does not give it).
    """

    uid: str
    number: int
    total: int


def part_of(file: DicomFile) -> Part | None:
    """Return the place of a file in its concatenation; None for a whole object."""
    uid = str(file.header.get("ConcatenationUID") or "")
    if not uid:
        return None
    number = int(file.header.get("InConcatenationNumber") or 0)
    return Part(uid, number, int(file.header.get("InConcatenationTotalNumber") or 0))


def is_one_concatenation(files: Sequence[DicomFile]) -> bool:
    """Return True if all files are parts of the same object."""
    parts = [part_of(file) for file in files]
    return None not in parts and len({part.uid for part in parts if part is not None}) == 1


def why_not_whole(parts: Sequence[Part]) -> str:
    """Return what is wrong with the parts of one object; "" if they are all of it."""
    numbers = sorted(part.number for part in parts)
    total = max([part.total for part in parts if part.total], default=max(numbers))
    if numbers == list(range(1, total + 1)):
        return ""
    found = ", ".join(map(str, numbers))
    return f"a part of a concatenation: expected its parts 1 to {total} in one folder, got {found}"


def check_together(files: Sequence[DicomFile]) -> tuple[str, ...]:
    """Refuse parts that are not the whole object; return a note if that cannot be known.

    Raises VolumeError.
    """
    name, parts = files[0].path.name, [part for file in files if (part := part_of(file))]
    if problem := why_not_whole(parts):
        raise VolumeError(f"{name} is {problem}.")
    if any(part.total for part in parts):
        return ()
    return (
        f"{name} is a part of a concatenation that does not say how many parts it has; "
        f"{len(parts)} were read.",
    )
