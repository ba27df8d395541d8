"""Pictures (PNG, JPEG, TIFF, BMP) as one slice: i to the right, j down, k = 0.

They contain no patient orientation. As in ITK and 3D Slicer, i runs to the left, j to posterior,
with 1 mm per pixel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.raw import RawImage, reading
from segsam.imaging.formats.stored_voxels import implausible, plausible_bytes
from segsam.imaging.voxels import check_declared_shape, shape_text
from segsam.types import Voxels

_ORIENTATION_TAG = 274
_BYTES = {"I": 4, "F": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes of a sample in Pillow's modes, where it is not 1."""
_NATIVE_MODES = ("L", "I", "F", "I;16", "I;16B", "I;16L", "RGB")


def read_picture(path: Path) -> RawImage:
    """Read grey values in their stored depth, or 8-bit colour; transparency is dropped.

    Raises VolumeError for several pages, animations, and files that are not pictures.
    """
    with reading(path, "a picture"), Image.open(path) as picture:
        check_declared_shape((*picture.size, 1), path.name)
        frames = int(getattr(picture, "n_frames", 1))
        if frames != 1:
            raise VolumeError(f"{path.name}: expected one picture, got a file with {frames}.")
        notes = _notes(picture, path.name)
        plane = np.array(_to_grey_or_rgb(picture))
        voxels = plane.swapaxes(0, 1)[:, :, None]
        return RawImage(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]), None, notes)


def check_picture_size(path: Path) -> None:
    """Refuse a picture whose pixels take far more memory than a picture in a file of its size.

    A file that Pillow does not open passes: its reader says why. Raises VolumeTooLargeError.
    """
    with reading(path, "a picture"):
        try:
            with Image.open(path) as picture:
                samples = picture.width * picture.height * len(picture.getbands())
                declared = samples * _BYTES.get(picture.mode, 1)
        except (UnidentifiedImageError, SyntaxError, ValueError):
            return
    size = path.stat().st_size
    if declared > plausible_bytes(size):
        raise implausible(path, declared, size)


def _to_grey_or_rgb(picture: Image.Image) -> Image.Image:
    """Convert to grey or RGB: palettes resolved, transparency dropped, CMYK converted."""
    if picture.mode in _NATIVE_MODES:
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("L" if picture.mode == "LA" else "RGB")


def _notes(picture: Image.Image, name: str) -> tuple[str, ...]:
    orientation = picture.getexif().get(_ORIENTATION_TAG, 1)
    if orientation in (None, 1):
        return ()
    return (
        f"{name} is marked as rotated (EXIF orientation {orientation}); its pixels were read as "
        "they are stored.",
    )


def write_png(path: Path, voxels: Voxels) -> None:
    """Write one slice as PNG: the first of its two axes to the right, the second down.

    This is the inverse of `read_picture`. Raises OutputError for more than one slice, or for voxels
    that are not 8- or 16-bit.
    """
    flat = [axis for axis in (2, 1, 0) if voxels.shape[axis] == 1]
    if not flat:
        raise OutputError(
            f"A PNG holds one slice; this volume has {shape_text(voxels.shape[:3])} "
            "voxels. Write .nii.gz or .nrrd instead."
        )
    plane: NDArray[np.generic] = np.asarray(np.take(voxels, 0, axis=flat[0])).swapaxes(0, 1)
    if plane.dtype not in (np.uint8, np.uint16):
        raise OutputError(
            f"A PNG holds 8- or 16-bit whole numbers; these voxels are {plane.dtype}. "
            "Write .nii.gz or .nrrd instead."
        )
    Image.fromarray(np.ascontiguousarray(plane)).save(path, format="PNG")
