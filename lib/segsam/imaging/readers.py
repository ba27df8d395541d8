"""Reader of images: chooses the format by the file name, by the DICOM prefix, or by a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segsam.errors import VolumeError, VolumeNotFoundError
from segsam.imaging.formats.dicom import is_dicom, read_dicom
from segsam.imaging.formats.metaimage import read_metaimage, read_metaimage_grid
from segsam.imaging.formats.nifti import read_nifti, read_nifti_grid
from segsam.imaging.formats.nrrd_file import read_nrrd, read_nrrd_grid
from segsam.imaging.formats.picture_file import read_picture
from segsam.imaging.formats.raw import RawGrid, RawImage
from segsam.imaging.image_files import IMAGE_ENDINGS, Format, kind_of
from segsam.imaging.plausible_size import check_plausible_size

_READERS: dict[Format, Callable[[Path], RawImage]] = {
    "NIfTI": read_nifti,
    "NRRD": read_nrrd,
    "MetaImage": read_metaimage,
    "DICOM": read_dicom,
    "picture": read_picture,
}
_GRID_READERS: dict[Format, Callable[[Path], RawGrid]] = {
    "NIfTI": read_nifti_grid,
    "NRRD": read_nrrd_grid,
    "MetaImage": read_metaimage_grid,
}


def read_grid(path: Path) -> RawGrid:
    """Read shape (i, j, k), RAS affine and notes of an image, from its header if the format allows.

    Raises the errors of `read_image`, and VolumeTooLargeError for another small file that would
    fill the memory (`plausible_size`).
    """
    kind = kind_of(path.name)
    if kind is not None and kind.format in _GRID_READERS and path.is_file():
        return _GRID_READERS[kind.format](path)
    check_plausible_size(path)
    raw = read_image(path)
    i, j, k = (*raw.voxels.shape[:3], 1)[:3]
    return RawGrid((i, j, k), raw.affine_ras, raw.notes)


def ending_by_content(path: Path) -> str:
    """Return the ending for a file whose name has none: DICOM begins as such, others are NIfTI."""
    return ".dcm" if is_dicom(path) else ".nii.gz"


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
    kind = kind_of(path.name)
    if is_dicom(path) if kind is None else kind.format == "DICOM":
        return read_dicom(path, frame)
    if frame is not None:
        raise VolumeError(f"Expected a DICOM file to read frame {frame} of, got {path.name}.")
    if kind is not None:
        return _READERS[kind.format](path)
    raise VolumeError(
        f"{path.name} has no supported format; expected a DICOM series or a name ending in "
        f"{', '.join(IMAGE_ENDINGS)}."
    )
