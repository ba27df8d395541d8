"""Checks of a label file before it is saved: format, grid, voxel values, and that it is no image.

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
from segsam.imaging.image_files import LABEL_VOLUME_ENDINGS, ending_of
from segsam.imaging.label_files import (
    label_planes,
    read_label_names,
    read_label_values,
    read_labels,
)
from segsam.imaging.label_regions import FEW_VALUES, check_planes, check_regions

LABEL_ENDINGS = LABEL_VOLUME_ENDINGS
"""Formats in which a label is stored: one file with its geometry."""

FOUND_ENDINGS = (*LABEL_ENDINGS, ".mhd")
"""Formats in which other programs put labels there; an .mhd has its voxels in a file beside it."""


@dataclass(frozen=True)
class CheckedLabel:
    """Label that may be saved: the ending of its format, and the values it holds except 0.

    `names` are those that the file itself gives its values; empty for most formats.
    """

    ending: str
    values: tuple[int, ...]
    names: Mapping[int, str]


def check_label(
    path: Path, image: RawGrid, endings: Collection[str] = LABEL_ENDINGS
) -> CheckedLabel:
    """Check that a file holds whole numbers from 0 where `image` lies, in any order of voxels, and
    that these are structures.

    Raises VolumeError, and VolumeTooLargeError if the header declares too many voxels.
    """
    ending = ending_of(path.name, endings)
    if ending is None:
        raise VolumeError(
            f"a label must be a file that ends in {', '.join(endings)}; this name ends in "
            f"{path.suffix or 'nothing'!r:.20}"
        )
    values = read_label_values(path, image)
    if len(values) > FEW_VALUES:
        planes = label_planes(path)
        if planes is not None:
            check_planes(planes, values)
        else:
            check_regions(read_labels(path, image, integers_only=True))
    return CheckedLabel(ending, values, read_label_names(path))
