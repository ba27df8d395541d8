"""Check of an image's size in memory before it is read: a small file must not fill the memory.

The formats' headers say what a file unpacks to. An image that is far larger than a scan in a file
of its size could be is counted block by block (`formats/stored_voxels.py`) or refused. Labels are
not checked here: most of their voxels are 0, and they shrink further than any scan.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segsam.imaging.formats.metaimage import stored_metaimage
from segsam.imaging.formats.nifti import stored_nifti
from segsam.imaging.formats.nrrd_file import stored_nrrd
from segsam.imaging.formats.picture_file import check_picture_size
from segsam.imaging.formats.raw import reading
from segsam.imaging.formats.stored_voxels import StoredVoxels, check_plausible
from segsam.imaging.image_files import Format, kind_of

_STORED: dict[Format, Callable[[Path], StoredVoxels | None]] = {
    "NIfTI": stored_nifti,
    "NRRD": stored_nrrd,
    "MetaImage": stored_metaimage,
}
_CHANNELS = (3, 4)
"""Lengths of the first side of 8-bit colours, which are compared with each other when read."""


def check_plausible_size(path: Path) -> None:
    """Refuse an image that unpacks to far more than a scan in a file of its size.

    A file that cannot be read passes: its reader says why. Raises VolumeTooLargeError, and the
    errors of the readers for a header that cannot be read.
    """
    try:
        if not path.is_file():
            return
    except (OSError, ValueError):  # a name that the file system does not allow
        return
    kind = kind_of(path.name)
    if kind is None or kind.format == "DICOM":  # checked where its slices are known
        return
    if kind.format == "picture":
        check_picture_size(path)
        return
    stored = _STORED[kind.format](path)
    if stored is not None:
        with reading(path, "an image"):
            check_plausible(stored, may_be_empty=not _is_colour(stored))


def _is_colour(stored: StoredVoxels) -> bool:
    return stored.dtype == "u1" and len(stored.shape) > 2 and min(stored.shape) in _CHANNELS
