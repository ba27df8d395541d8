"""Reader of images: chooses the format by the file name, by the DICOM prefix, or by a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segsam.errors import VolumeError, VolumeNotFoundError
from segsam.imaging.formats.dicom import is_dicom, read_dicom
from segsam.imaging.formats.metaimage import read_metaimage
from segsam.imaging.formats.nifti import read_nifti, read_nifti_grid
from segsam.imaging.formats.nrrd_file import read_nrrd, read_nrrd_grid
from segsam.imaging.formats.picture_file import read_picture
from segsam.imaging.formats.raw import RawGrid, RawImage, matching_ending

_READERS: dict[str, Callable[[Path], RawImage]] = {
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
    ".dcm": read_dicom,
    ".png": read_picture,
    ".jpg": read_picture,
    ".jpeg": read_picture,
    ".tif": read_picture,
    ".tiff": read_picture,
    ".bmp": read_picture,
}
_GRID_READERS: dict[str, Callable[[Path], RawGrid]] = {
    ".nii.gz": read_nifti_grid,
    ".nii": read_nifti_grid,
    ".nrrd": read_nrrd_grid,
}


def read_grid(path: Path) -> RawGrid:
    """Read shape (i, j, k), RAS affine and notes of an image; of NIfTI and NRRD only the header.

    Raises the errors of `read_image`.
    """
    ending = matching_ending(path, _GRID_READERS)
    if ending is not None and path.is_file():
        return _GRID_READERS[ending](path)
    raw = read_image(path)
    i, j, k = (*raw.voxels.shape[:3], 1)[:3]
    return RawGrid((i, j, k), raw.affine_ras, raw.notes)


def read_image(path: Path, frame: int | None = None) -> RawImage:
    """Read voxels, affine, modality and notes of a file or a DICOM folder.

    `frame` (from 1) reads one frame of a DICOM file. Raises VolumeNotFoundError,
    VolumeTooLargeError or VolumeError, and no other exception for a file that cannot be read.
    """
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # a name that the file system does not allow
        is_folder = is_file = False
    if is_folder:
        return read_dicom(path, frame)
    if not is_file:
        raise VolumeNotFoundError(f"There is no image {path.name!r} at the given path.")
    ending = matching_ending(path, _READERS)
    if ending == ".dcm" or (ending is None and is_dicom(path)):
        return read_dicom(path, frame)
    if frame is not None:
        raise VolumeError(f"Expected a DICOM file to read frame {frame} of, got {path.name}.")
    if ending is not None:
        return _READERS[ending](path)
    raise VolumeError(
        f"{path.name} has no supported format; expected a DICOM series or a name ending in "
        f"{', '.join(_READERS)}."
    )
