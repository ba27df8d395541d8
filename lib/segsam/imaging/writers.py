"""Volumes to files, whole or not at all: written beside their place, flushed to disk, renamed.

A reader of the target sees the old file or the new one, never half of one, and a failed write
leaves the old one as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segsam.errors import OutputError
from segsam.imaging.formats.metaimage import write_metaimage
from segsam.imaging.formats.nifti import write_nifti
from segsam.imaging.formats.nrrd_file import write_nrrd
from segsam.imaging.formats.picture_file import write_png
from segsam.imaging.formats.seg_nrrd import Segment, write_seg_nrrd
from segsam.system.atomic import replacing
from segsam.types import Affine, Voxels

WRITABLE = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", ".png")


def write_image(
    path: Path,
    voxels: Voxels,
    affine_ras: Affine,
    *,
    segments: Mapping[int, Segment] | None = None,
) -> None:
    """Write (i, j, k[, 3]) voxels in the format that the file name's ending asks for.

    Raises OutputError for an unknown ending, a missing folder, voxels the format cannot hold, or a
    disk that refuses.
    """
    ending = next((end for end in WRITABLE if path.name.lower().endswith(end)), None)
    if ending is None:
        raise OutputError(f"{path.name}: a name ending in {', '.join(WRITABLE)} is wanted.")
    with replacing(path, ending) as fresh:
        if ending in (".nii", ".nii.gz"):
            write_nifti(fresh, voxels, affine_ras)
        elif ending == ".seg.nrrd":
            write_seg_nrrd(fresh, voxels, affine_ras, segments)
        elif ending == ".nrrd":
            write_nrrd(fresh, voxels, affine_ras)
        elif ending == ".mha":
            write_metaimage(fresh, voxels, affine_ras)
        else:
            write_png(fresh, voxels)
