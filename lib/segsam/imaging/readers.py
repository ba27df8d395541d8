"""Which reader for which file: by the name's ending, by DICOM's mark, or a folder of slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segsam.errors import VolumeError, VolumeNotFoundError
from segsam.imaging.formats.dicom import looks_like_dicom, read_dicom
from segsam.imaging.formats.metaimage import read_metaimage
from segsam.imaging.formats.nifti import read_nifti, read_nifti_grid
from segsam.imaging.formats.nrrd_file import read_nrrd, read_nrrd_grid
from segsam.imaging.formats.picture_file import read_picture
from segsam.imaging.formats.raw import RawGrid, RawImage

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
    """Shape (i, j, k) and RAS affine of an image; of NIfTI and NRRD only the header is read.

    Raises what `read_image` raises.
    """
    for ending, reader in _GRID_READERS.items():
        if path.name.lower().endswith(ending) and path.is_file():
            return reader(path)
    raw = read_image(path)
    i, j, k = (*raw.voxels.shape[:3], 1)[:3]
    return RawGrid((i, j, k), raw.affine_ras)


def read_image(path: Path) -> RawImage:
    """Voxels, affine, modality and notes of a file or a DICOM folder.

    Raises VolumeNotFoundError, VolumeTooLargeError or VolumeError; no other exception means that a
    file is wrong.
    """
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        is_folder = is_file = False
    if is_folder:
        return read_dicom(path)
    if not is_file:
        raise VolumeNotFoundError(f"There is no image {path.name!r} at the place given.")
    lowered = path.name.lower()
    for ending, reader in _READERS.items():
        if lowered.endswith(ending):
            return reader(path)
    if looks_like_dicom(path):
        return read_dicom(path)
    raise VolumeError(
        f"{path.name} is of no format that is read here; wanted is a DICOM series or a name ending "
        f"in {', '.join(_READERS)}."
    )
