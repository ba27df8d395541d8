"""Checks of a label file before it is saved: format, grid, voxel values.

The header is checked first. A label that lies elsewhere than its image, or one whose header
declares more voxels than the server reads, is refused before any voxel is unpacked. The voxels are
read block by block.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.label_files import read_label_names, read_label_values

LABEL_ENDINGS = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd")
"""Formats that MONAI Label's clients send, longest ending first."""


def ending_of(name: str, endings: Collection[str]) -> str | None:
    """Return the longest of `endings` that `name` ends in (in any case), None for none of them."""
    lowered = name.lower()
    return next((end for end in sorted(endings, key=len)[::-1] if lowered.endswith(end)), None)


@dataclass(frozen=True)
class CheckedLabel:
    """Label that may be saved: the ending of its format, and the values it holds except 0.

    `names` are those that the file itself gives its values; empty for most formats.
    """

    ending: str
    values: tuple[int, ...]
    names: Mapping[int, str]


def check_label(path: Path, image: RawGrid) -> CheckedLabel:
    """Check that a file holds whole numbers from 0 where `image` lies, in any order of voxels.

    Raises VolumeError, and VolumeTooLargeError if the header declares too many voxels.
    """
    ending = ending_of(path.name, LABEL_ENDINGS)
    if ending is None:
        raise VolumeError(
            f"a label must be a file that ends in {', '.join(LABEL_ENDINGS)}; this name ends in "
            f"{path.suffix or 'nothing'!r:.20}"
        )
    return CheckedLabel(ending, read_label_values(path, image), read_label_names(path))
