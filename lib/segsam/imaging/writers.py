"""Writer of volumes: chooses the format by the file name and writes atomically."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segsam.errors import OutputError
from segsam.imaging.formats.metaimage import write_metaimage
from segsam.imaging.formats.nifti import write_nifti
from segsam.imaging.formats.nrrd_file import write_nrrd
from segsam.imaging.formats.picture_file import check_flat, write_png
from segsam.imaging.formats.raw import matching_ending
from segsam.imaging.formats.seg_nrrd import Segment, write_seg_nrrd
from segsam.system.atomic import replacing
from segsam.types import Affine, VoxelIndex, Voxels

WRITABLE = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", ".png")


def check_holds(path: Path, shape_ijk: VoxelIndex) -> None:
    """Raise OutputError if a file of this name cannot hold a label volume of this shape."""
    if matching_ending(path, WRITABLE) == ".png":
        check_flat(shape_ijk)


def write_image(
    path: Path,
    voxels: Voxels,
    affine_ras: Affine,
    *,
    segments: Mapping[int, Segment] | None = None,
    compress: bool = True,
) -> None:
    """Write (i, j, k[, 3]) voxels in the format of the file name's ending. `compress` is for .nrrd.

    Raises OutputError for an unknown ending, a missing folder, voxels that the format cannot hold,
    or a file that cannot be written.
    """
    ending = matching_ending(path, WRITABLE)
    if ending is None:
        raise OutputError(f"{path.name}: expected a name ending in {', '.join(WRITABLE)}.")
    with replacing(path, ending) as temporary:
        if ending in (".nii", ".nii.gz"):
            write_nifti(temporary, voxels, affine_ras)
        elif ending == ".seg.nrrd":
            write_seg_nrrd(temporary, voxels, affine_ras, segments)
        elif ending == ".nrrd":
            write_nrrd(temporary, voxels, affine_ras, compress=compress)
        elif ending == ".mha":
            write_metaimage(temporary, voxels, affine_ras)
        else:
            write_png(temporary, voxels)
