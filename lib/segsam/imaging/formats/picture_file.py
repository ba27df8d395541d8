"""Pictures (PNG, JPEG, TIFF, BMP) as one slice: i to the right, j down, k = 0.

They contain no patient orientation. As in ITK and 3D Slicer, i runs to the left, j to posterior,
with 1 mm per pixel.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.raw import RawImage, reading
from segsam.imaging.formats.stored_voxels import implausible, plausible_bytes
from segsam.imaging.formats.tiff_tags import as_plain
from segsam.imaging.voxels import check_declared_shape, shape_text
from segsam.types import Voxels

_AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
_ORIENTATION_TAG, _BITS_TAG, _SAMPLES_TAG, _PAGE_KIND_TAG = 274, 258, 339, 254
_UNSIGNED, _SIGNED, _AS_STORED = 1, 2, 1
_TURNED = range(2, 9)
"""Orientations of a picture that is turned or mirrored."""
_BYTES = {"I": 4, "F": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes of a sample in Pillow's modes, where it is not 1."""
_NATIVE_MODES = ("L", "I", "F", "I;16", "I;16B", "I;16L", "RGB")
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM")
"""Formats that are opened, whatever the file's ending; some others of Pillow start programs."""
_PACKED_COLOURS = ("BGR;15", "BGR;16")
"""Layouts of a BMP whose pixel holds three colours in two bytes."""
_FEW_BITS = re.compile(r"L;([1-7])")
_EXPECTED = (
    "expected a complete PNG, JPEG, TIFF or BMP file of 8-bit colour or of grey values with up to "
    "32 bits, got one that is incomplete, damaged or of another format"
)


@dataclass(frozen=True, eq=False)
class _Opened:
    """Picture that is open but not decoded, and what its file says about its numbers."""

    picture: Image.Image
    name: str
    is_white_zero: bool
    """True for a TIFF whose lowest value is white; its pixels are read as they are stored."""
    orientation: int
    """How the file says that its picture is turned or mirrored: 1 to 8, 1 for not at all."""
    raw_mode: str
    """Layout of the pixels in the file, in Pillow's words."""

    @property
    def bits(self) -> int:
        """Bits of a grey value or of a colour in the file."""
        stated = getattr(self.picture, "tag_v2", {}).get(_BITS_TAG)
        if stated:
            return int(stated[0])
        few = _FEW_BITS.match(self.raw_mode)
        return int(few[1]) if few else (16 if ";16" in self.raw_mode else 8)


def read_picture(path: Path) -> RawImage:
    """Read grey values in their stored depth, or 8-bit colour; transparency is dropped.

    A palette becomes its colours. A TIFF whose lowest value is white is inverted, so that high
    values are bright. Raises VolumeError for several pages, animations, and files that are not
    pictures.
    """
    with _opening(path) as opened:
        notes = _notes(opened)
        return _as_image(_brightness(opened, path), notes)


def read_picture_labels(path: Path) -> RawImage:
    """Read the numbers that a picture stores: of a palette the indices, of few bits their values.

    A picture with colours instead is read as by `read_picture`. Raises VolumeError.
    """
    with _opening(path) as opened:
        picture = opened.picture
        if picture.mode in {"P", "PA"}:
            plane = np.asarray(picture)
            return _as_image(plane if plane.ndim == 2 else plane[..., 0], ())
        if picture.mode == "1":
            return _as_image(np.asarray(picture).astype(np.uint8), ())
        bits = opened.bits
        plane = _samples(opened, path)
        if picture.mode == "L" and bits < 8:
            plane = plane // (255 // (2**bits - 1))  # Pillow spreads them over 0 to 255
        return _as_image(plane, ())


def _as_image(plane: NDArray[np.generic], notes: tuple[str, ...]) -> RawImage:
    return RawImage(plane.swapaxes(0, 1)[:, :, None], _AFFINE.copy(), None, notes)


@contextmanager
def _opening(path: Path) -> Iterator[_Opened]:
    """Open the one picture of a file. Raises VolumeError."""
    sentence = f"{path.name} could not be read as a picture: {_EXPECTED}."
    with reading(path, "a picture", sentence):
        plain = as_plain(path)
        Image.init()  # registers the formats, of which a few are opened
        source = path if plain is None else io.BytesIO(plain.content)
        with Image.open(source, formats=_FORMATS) as picture:
            check_declared_shape((*picture.size, 1), path.name)
            _check_one_picture(picture, path.name)
            raw_mode = _raw_mode(picture)  # gone after decoding, which the next line may do
            orientation = _take_orientation(picture)
            is_white_zero = False
            if plain is not None:
                orientation, is_white_zero = plain.orientation, plain.is_white_zero
            yield _Opened(picture, path.name, is_white_zero, orientation, raw_mode)


def _take_orientation(picture: Image.Image) -> int:
    """Return how a picture says that it is turned, and keep Pillow from turning it.

    A TIFF says so in its tags or in its XMP text, and Pillow follows both while it decodes.
    """
    said = picture.getexif().get(_ORIENTATION_TAG)
    picture.getexif()[_ORIENTATION_TAG] = _AS_STORED
    return said if isinstance(said, int) else _AS_STORED


def _raw_mode(picture: Image.Image) -> str:
    tiles = getattr(picture, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    return str(arguments if isinstance(arguments, str) else (arguments or [""])[0])


def _check_one_picture(picture: Image.Image, name: str) -> None:
    """Refuse several pages; small copies of the first one, and those of a photograph, are none."""
    frames = int(getattr(picture, "n_frames", 1))
    if frames == 1 or picture.format == "MPO":
        return
    if _pages(picture, frames) > 1:
        raise VolumeError(
            f"{name}: expected one picture, got a file with {frames} pages or frames. Save the one "
            "that is meant as a file of its own."
        )


def _pages(picture: Image.Image, frames: int) -> int:
    """Number of pages, small copies of the first page not counted."""
    tags = getattr(picture, "tag_v2", None)
    if tags is None:
        return frames
    kinds = []
    for page in range(frames):
        picture.seek(page)
        kinds.append(int(getattr(picture, "tag_v2", {}).get(_PAGE_KIND_TAG, 0)))
    picture.seek(0)
    return 1 if all(kind & 1 for kind in kinds[1:]) else frames


def _brightness(opened: _Opened, path: Path) -> NDArray[np.generic]:
    """Pixels (rows, columns[, 3]) in which high values are bright."""
    bits = opened.bits
    plane: NDArray[Any] = _samples(opened, path)
    if not opened.is_white_zero or plane.dtype.kind != "u" or plane.ndim != 2:
        return plane
    highest = 255 if plane.dtype.itemsize == 1 else 2**bits - 1
    return np.asarray(np.array(highest, plane.dtype) - plane)


def _samples(opened: _Opened, path: Path) -> NDArray[np.generic]:
    """Decoded pixels (rows, columns[, 3]); palettes resolved, transparency dropped, as RGB."""
    if opened.raw_mode.startswith("LA;16"):  # Pillow keeps 8 of its 16 bits
        stored = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
        if stored is None or stored.ndim != 3:
            raise VolumeError(f"{path.name} could not be read as a picture: {_EXPECTED}.")
        return np.asarray(stored[..., 0])
    tags = getattr(opened.picture, "tag_v2", {})
    kind, bits = (tags.get(_SAMPLES_TAG) or (_UNSIGNED,))[0], opened.bits
    plane: NDArray[np.generic] = np.array(_to_grey_or_rgb(opened.picture))
    if plane.dtype == np.uint8 and plane.ndim == 2 and kind == _SIGNED and bits == 8:
        return plane.view(np.int8)
    if plane.dtype == np.int32 and tags and kind == _UNSIGNED and bits == 32:
        return plane.view(np.uint32)
    return plane


def check_picture_size(path: Path) -> None:
    """Refuse a picture whose pixels take far more memory than a picture in a file of its size.

    A file that Pillow does not open passes: its reader says why. Raises VolumeTooLargeError.
    """
    with reading(path, "a picture"):
        Image.init()
        try:
            with Image.open(path, formats=_FORMATS) as picture:
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


def _notes(opened: _Opened) -> tuple[str, ...]:
    picture, name = opened.picture, opened.name
    notes = []
    if opened.orientation in _TURNED:
        notes.append(
            f"{name} is marked as rotated (EXIF orientation {opened.orientation}); its pixels were "
            "read as they are stored."
        )
    frames = int(getattr(picture, "n_frames", 1))
    if frames > 1:
        notes.append(f"{name} holds {frames} pictures; the first was read.")
    if opened.is_white_zero:
        notes.append(
            f"{name} is stored with white as its lowest value; whole numbers from 0 were inverted, "
            "so that high values are bright, and others were read as they are stored."
        )
    is_colour = picture.mode in {"RGB", "RGBA"} and not opened.raw_mode.startswith("LA")
    if opened.raw_mode in _PACKED_COLOURS:
        notes.append(
            f"{name} has 16 bits per pixel, 5 or 6 per colour; they were spread over 0 to 255."
        )
    elif is_colour and opened.bits == 16:
        notes.append(f"{name} has 16 bits per colour; the upper 8 were read.")
    if opened.raw_mode.startswith("RGBa"):
        notes.append(
            f"{name} stores its colours multiplied by their opacity (associated alpha); they were "
            "divided by it, and the opacity was dropped."
        )
    return tuple(notes)


def check_flat(shape: Sequence[int]) -> None:
    """Raise OutputError for a volume (i, j, k, ...) of more than one slice."""
    if 1 not in shape[:3]:
        raise OutputError(
            f"A PNG holds one slice; this volume has {shape_text(shape[:3])} "
            "voxels. Write .nii.gz or .nrrd instead."
        )


def write_png(path: Path, voxels: Voxels) -> None:
    """Write one slice as PNG: the first of its two axes to the right, the second down.

    This is the inverse of `read_picture`. Raises OutputError for more than one slice, or for voxels
    that are not 8- or 16-bit.
    """
    check_flat(voxels.shape)
    flat = [axis for axis in (2, 1, 0) if voxels.shape[axis] == 1]
    plane: NDArray[np.generic] = np.asarray(np.take(voxels, 0, axis=flat[0])).swapaxes(0, 1)
    if plane.dtype not in (np.uint8, np.uint16):
        raise OutputError(
            f"A PNG holds 8- or 16-bit whole numbers; these voxels are {plane.dtype}. "
            "Write .nii.gz or .nrrd instead."
        )
    Image.fromarray(np.ascontiguousarray(plane)).save(path, format="PNG")
